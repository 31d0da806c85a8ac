"""What the benches that run beside SIPp share: programs under test on one core, SIPp on the other, tables.

The program under test runs on core 0 and SIPp on core 1. CPU is what the kernel charged to the process and its
children (wait4); memory is VmHWM and VmRSS of /proc/PID/status. Everything stays on 127.0.0.1.
"""

import argparse
import csv
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
UNDER_TEST, CALLER = "0", "1"  # the cores
PROFILE = os.environ.get("BENCH_PROFILE", "production")  # of Cargo.toml; "dev" is for trying a bench out


def run_modes(description, modes, programs, prepare, seconds=15):
    """Reads the command line, prepares (`prepare(names of programs)`), and runs the modes; the exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modes", nargs="*", metavar="MODE", help=", ".join(modes))
    parser.add_argument("--programs", default=programs, help="which to measure (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=seconds, help="length of a cost run (default: %(default)s)")
    parser.add_argument("--write", type=pathlib.Path, help="the page to put the tables into")
    options = parser.parse_args()
    options.programs = options.programs.split(",")
    for mode in options.modes:
        if mode not in modes:
            parser.error(f"no mode {mode!r}")
    prepare(options.programs)
    failed = False
    for mode in options.modes or modes:
        table, ok = modes[mode](options)
        print(f"\n{table}", flush=True)
        failed |= not ok
        if options.write:
            write_section(options.write, mode, table)
    return 1 if failed else 0


# ---------------------------------------------------------------- programs under test


class Program:
    """One program under test, alone on its core. `cpu_seconds` is known after the `with` block.

    It is ready when it prints `ready` on a line of its own, or, if it `binds`, when its port is bound for UDP.
    """

    def __init__(self, name, port, command, binds=False, gentle=True):
        self.name, self.port, self.command, self.binds = name, port, command, binds
        self.gentle = gentle  # ends by SIGTERM
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        self.output = self.folder / "output"

    def __enter__(self):
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", UNDER_TEST, *map(str, self.command)],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=self.folder,
            )
        deadline = time.monotonic() + 10
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.name} does not start: {self.tail()}")
            time.sleep(0.02)
        return self

    def is_ready(self):
        if self.binds:
            return is_bound(self.port)
        return any(line.strip() == "ready" for line in self.lines())

    def lines(self):
        return self.output.read_text(errors="replace").splitlines()

    def tail(self):
        return " | ".join(self.lines()[-5:])

    def memory(self, field):
        """A field of /proc/PID/status, KiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M)[1])

    def live(self):
        """Asks the uas example what its tables hold; the line it answers with."""
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            found = [line for line in self.lines() if line.startswith("live:")]
            if found:
                return found[-1]
            time.sleep(0.05)
        return None

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM if self.gentle else signal.SIGKILL)
        deadline = time.monotonic() + 10
        while True:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self.process.kill()
            time.sleep(0.01)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        shutil.rmtree(self.folder, ignore_errors=True)


def is_bound(port):
    return f":{port:04X} " in pathlib.Path("/proc/net/udp").read_text()


# ---------------------------------------------------------------- SIPp as the caller


class Result:
    def __init__(self, row, seconds):
        number = lambda column: int(float(row.get(column) or 0))
        self.ok = number("SuccessfulCall(C)")
        self.failed = number("FailedCall(C)")
        self.retransmissions = number("Retransmissions(C)")
        self.unexpected = number("FailedUnexpectedMessage(C)")
        self.seconds = seconds

    def __str__(self):
        return (f"{self.ok} ok, {self.failed} failed, {self.unexpected} unexpected, "
                f"{self.retransmissions} retransmissions, {self.seconds:.1f} s")


class Caller:
    """SIPp, which calls a port of 127.0.0.1; by its built-in `uac` unless `scenario` names a file."""

    def __init__(self, port, rate, calls, transport="udp", hold=0, scenario=None, arguments=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sipp-"))
        self.begun, self.calls = time.monotonic(), calls
        self.due = self.begun + calls / rate + hold
        played = ["-sf", str(scenario)] if scenario else ["-sn", "uac"]
        command = ["taskset", "-c", CALLER, "sipp", *played, f"127.0.0.1:{port}", "-i", "127.0.0.1"]
        command += ["-t", {"udp": "u1", "tcp": "t1"}[transport], "-r", str(rate), "-m", str(calls), "-l", str(calls)]
        command += ["-nostdin", "-trace_stat", "-stf", str(self.folder / "stat.csv"), "-fd", "1", "-d", str(hold * 1000)]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def finish(self):
        """Waits for the end of the calls, and 45 s more for those that SIPp still tries to save."""
        try:
            self.process.wait(max(0, self.due + 45 - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        seconds = time.monotonic() - self.begun
        with open(self.folder / "stat.csv", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter=";"))
        shutil.rmtree(self.folder, ignore_errors=True)
        result = Result(rows[-1] if rows else {}, seconds)
        # A call that SIPp never ended is as failed as one that it gave up.
        result.failed = max(result.failed, self.calls - result.ok)
        return result


class Callee:
    """SIPp, which answers on a port of its own on the callers' core, until the `with` block ends."""

    def __init__(self, scenario):
        self.port, self.scenario = free_port(), scenario

    def __enter__(self):
        command = ["taskset", "-c", CALLER, "sipp", "-sf", str(self.scenario), "-i", "127.0.0.1", "-p", str(self.port), "-nostdin"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not is_bound(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"SIPp does not play {self.scenario.name}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


# ---------------------------------------------------------------- the rest


def need(*packages):
    """Installs what is missing, each as (command, package of Debian); sipp and taskset in any case."""
    missing = [package for command, package in (("sipp", "sip-tester"), ("taskset", "util-linux"), *packages) if not shutil.which(command)]
    if missing:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", *missing], check=True, stdout=subprocess.DEVNULL)


def build(*bins, examples=(), features=()):
    """Builds programs of `benches` and examples, as an operator builds a server: with link-time optimisation."""
    cargo = ["cargo", "build", "--profile", PROFILE, "--quiet"]
    for name in bins:
        subprocess.run([*cargo, "-p", "benches", "--bin", name], cwd=ROOT, check=True)
    for name in examples:
        wanted = ["--features", ",".join(features)] if features else []
        subprocess.run([*cargo, "-p", "examples", "--example", name, *wanted], cwd=ROOT, check=True)


def target(name):
    folder = "debug" if PROFILE == "dev" else PROFILE
    return str(pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / folder / name)


def free_port():
    """A port of 127.0.0.1 that nobody has now, neither for UDP nor for TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


def markdown(heading, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [heading, ["---"] * len(heading), *rows]]
    return "\n".join(lines)


def write_section(path, name, table):
    text = path.read_text()
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    if not marked.search(text):
        sys.exit(f"{path} has no place <!-- {name} -->")
    path.write_text(marked.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text))


def note(line):
    print(line, file=sys.stderr, flush=True)
