"""What `benches/proxy/run` and `benches/register/run` share: the servers, who registers with them, and the tables."""

import pathlib
import shutil
import sys
import tempfile

from measuring import ROOT, Caller, Program, build, free_port, markdown, need, note, target

PROGRAMS = "kamailio,serving,server"
SECRET = "secret"
DOMAIN = "bench.example.com"
BENCHES = ROOT / "benches"
TITLES = {
    "kamailio": "Kamailio 5.6.3, `-x fm`",
    "serving": "ours, the least server",
    "server": "ours, the example `server`",
}
HAS_SERVER = (ROOT / "examples" / "server.rs").exists() or (ROOT / "examples" / "server").exists()


def prepare(programs):
    if "server" in programs and not HAS_SERVER:
        programs.remove("server")
    need(*([("kamailio", "kamailio")] if "kamailio" in programs else []))
    build(*(["serving"] if "serving" in programs else []), examples=["server"] if "server" in programs else [])


def server(name, digest=False, users=()):
    """A server of that name; `digest`: a REGISTER must prove whose it is, and these users may."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    if name == "kamailio":
        command = ["kamailio", "-DD", "-E", "-x", "fm", "-X", "fm", "-m", "512", "-M", "64", "-l", f"udp:{address}"]
        command += ["-f", BENCHES / "proxy" / "kamailio.cfg", *(["-A", "DIGEST"] if digest else [])]
        return Kamailio(name, port, command)
    if name == "serving":
        return Program(name, port, [target("serving"), address, *([SECRET] if digest else [])])
    users = users or [("callee", 0)]
    known = [argument for user, _ in users for argument in ("--user", f"{user}:{SECRET}")]
    # SIPp knows no other digest than MD5, and nobody waits for the end of what is under way.
    command = [target("examples/server"), "--quiet", "--listen", f"udp:{address}", "--domain", DOMAIN, "--algorithm", "MD5", "--drain", 1]
    return Program(name, port, [*command, *known], binds=True)


class Kamailio(Program):
    """Kamailio has a folder of its own for what it writes at run time, and is ready when its worker is."""

    def __init__(self, name, port, command):
        super().__init__(name, port, [], binds=True)
        self.command = [*command, "-Y", self.folder, "-P", self.folder / "pid"]


class Registrations(Caller):
    """SIPp registers these users in turn, each as (name, port of 127.0.0.1)."""

    def __init__(self, tested, users, rate, count, digest=False):
        self.users = pathlib.Path(tempfile.mkdtemp(prefix="users-"))
        lines = [f"{user};127.0.0.1:{port};[authentication username={user} password={SECRET}]" for user, port in users]
        (self.users / "users.csv").write_text("\n".join(["SEQUENTIAL", *lines]) + "\n")
        scenario = BENCHES / "register" / ("digest.xml" if digest else "plain.xml")
        arguments = ["-inf", self.users / "users.csv", "-auth_uri", DOMAIN]
        super().__init__(tested.port, rate, count, scenario=scenario, arguments=arguments)

    def finish(self):
        result = super().finish()
        shutil.rmtree(self.users, ignore_errors=True)
        return result


def register_users(tested, users):
    """Registers these, once; the run ends if that fails. The example always asks for digest."""
    result = Registrations(tested, users, 100, len(users), digest=tested.name == "server").finish()
    if result.failed:
        sys.exit(f"{tested.name} does not register: {result}, {tested.tail()}")


# ---------------------------------------------------------------- the tables

# `work(name, rate, seconds)` runs the program and returns it, ended, and SIPp's result.


def beside(work, options, unit, rate):
    """CPU for one unit of work at this rate, of each program, and how much that is of the first's."""
    rows, ok, first = [], True, None
    for name in options.programs:
        micros, result = cost(work, name, rate, options.seconds)
        first = first or micros
        note(f"{name} {rate}/s: {micros:.1f} µs a {unit}, {micros / first:.2f}, {result}")
        ok &= result.failed == 0
        rows.append([f"{rate:,}", TITLES[name], f"{micros:.1f}", f"{micros / first:.2f}", result.retransmissions, result.failed])
    return markdown([f"{unit}s/s", "program", f"µs of CPU a {unit}", "× the first", "retransmissions", "failed"], rows), ok


def highest(work, options, unit, step, seconds=5):
    """The same at each rate that all sustain, and for each program the first rate that it does not."""
    rows, standing, best = [], list(options.programs), {name: 0 for name in options.programs}
    why, rate = {}, 0
    while standing:
        rate += step
        measured = {}
        for name in list(standing):
            micros, result = cost(work, name, rate, seconds)
            note(f"{name} {rate}/s: {micros:.1f} µs a {unit}, {result}")
            why[name] = why_not(result, rate, seconds)
            if why[name]:
                standing.remove(name)
            else:
                best[name], measured[name] = rate, micros
        if len(measured) == len(options.programs):
            first = measured[options.programs[0]]
            rows = [[f"{rate:,}", TITLES[name], f"{micros:.1f}", f"{micros / first:.2f}"] for name, micros in measured.items()]
    common = markdown([f"{unit}s/s that all sustain", "program", f"µs of CPU a {unit}", "× the first"], rows)
    ends = [[TITLES[name], f"{best[name]:,}", why[name]] for name in options.programs]
    return f"{common}\n\n{markdown(['program', f'highest {unit}s/s', 'what ended the search'], ends)}", bool(rows)


def why_not(result, rate, seconds):
    """Why this rate is not sustained; nothing if it is."""
    if result.failed:
        return f"{result.failed} failed at {rate:,}"
    if result.retransmissions * 1_000 > result.ok:
        return f"{result.retransmissions} retransmissions at {rate:,}"
    if result.seconds > seconds * 1.1 + 0.5:
        return f"SIPp falls behind at {rate:,}"
    return ""


_idle = {}


def cost(work, name, rate, seconds):
    """Microseconds for one unit of work, and SIPp's result."""
    if name not in _idle:
        with server(name) as idle:
            pass
        _idle[name] = idle.cpu_seconds
    tested, result = work(name, rate, seconds)
    return (tested.cpu_seconds - _idle[name]) * 1e6 / max(result.ok, 1), result
