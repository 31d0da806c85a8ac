"""The programs of the matrix: started with a log each, ended by process id."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


class Failed(Exception):
    """Why a cell is red, in one line."""


def target(example):
    folder = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    return str(folder / "release" / "examples" / example)


LOOPBACK = {4: "127.0.0.1", 6: "[::1]"}


def literal(host):
    """The address without the brackets that a URI puts around IPv6."""
    return host.strip("[]")


_ports_lock = threading.Lock()
_next_port = 20_000 + os.getpid() % 5_000


def free_port(count=1):
    """The first of `count` ports that are free for UDP and TCP on 127.0.0.1 and ::1; each is given out once.

    All of them lie below the range from which the kernel picks ports of its own.
    """
    global _next_port
    with _ports_lock:
        while True:
            ports = range(_next_port, _next_port + count)
            _next_port = _next_port + count if _next_port + count < 32_000 else 20_000
            if all(_is_free(port) for port in ports):
                return ports[0]


def free_host():
    """An address of loopback where port 5060 is free, for who leaves ports out; each is given out once."""
    global _next_host
    with _ports_lock:
        while True:
            _next_host += 1
            host = f"127.{1 + os.getpid() % 200}.{_next_host // 250}.{1 + _next_host % 250}"
            with contextlib.suppress(OSError), socket.create_server((host, 5060)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((host, 5060))
                return host


_next_host = 0


def _is_free(port):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for family, host in ((socket.AF_INET, LOOPBACK[4]), (socket.AF_INET6, LOOPBACK[6])):
            with socket.socket(family, kind) as probe:
                try:
                    probe.bind((literal(host), port))
                except OSError:
                    return False
    return True


class Pki:
    """An issuer and its certificates, made by openssl in a folder: `ca`, and for each name `NAME.pem` and `NAME.key`."""

    def __init__(self, folder):
        self.folder = folder / "pki"
        self.folder.mkdir()
        self.ca = self.folder / "ca.pem"
        self._run("req", "-x509", *self.KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Interop issuer", "-days", 30)

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def _run(self, *command):
        subprocess.run(["openssl", *map(str, command)], cwd=self.folder, check=True, capture_output=True)

    def issue(self, name, alternative):
        """The files of a certificate with these alternative names, and of its key."""
        (self.folder / "extensions").write_text(f"subjectAltName={alternative}\n")
        self._run("req", *self.KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/O=Interop")
        self._run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem",
                  "-extfile", "extensions", "-days", 30)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        (self.folder / f"{name}-both.pem").write_text(key.read_text() + cert.read_text())
        return cert, key

    def loopback(self, name):
        return self.issue(name, "IP:127.0.0.1,IP:::1,DNS:localhost")


class Process:
    def __init__(self, name, command, folder, feed=None, told=False, **environment):
        self.name, self.log = name, folder / f"{name}.log"
        with open(self.log, "wb") as log:
            log.write((" ".join(map(str, command)) + "\n").encode())
            log.flush()
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=log, cwd=folder,
                stdin=open(feed, "rb") if feed else subprocess.PIPE if told else subprocess.DEVNULL, env={**os.environ, **environment},
            )

    def text(self):
        return self.log.read_text(errors="replace")

    def expect(self, pattern, seconds=10):
        """Waits until the log holds a match of the pattern."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None  # before the look: what it said last counts
            found = re.search(pattern, self.text(), re.M)
            if found:
                return found
            if ended:
                raise Failed(f"{self.name} ended ({self.process.returncode}) without {pattern!r}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} did not say {pattern!r} within {seconds} s")
            time.sleep(0.02)

    def wait(self, seconds=30):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {seconds} s") from None

    def ok(self, seconds=30):
        code = self.wait(seconds)
        if code != 0:
            raise Failed(f"{self.name} ended with {code}: {self.last_line()}")

    def fails(self, seconds=30):
        """Ends with an exit status of its own other than 0; a death by a signal or a panic is none."""
        code = self.wait(seconds)
        if code <= 0 or code == 101:
            raise Failed(f"{self.name} should have failed, but ended with {code}")

    def last_line(self):
        lines = [line for line in self.text().splitlines() if line.strip()]
        return lines[-1].strip()[:150] if lines else ""

    def stop(self, seconds=5):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Told(Process):
    """One that is told what to do on its standard input, and that ends with it."""

    def __init__(self, name, command, folder, **environment):
        self.beside, self.heard = [], 0
        super().__init__(name, command, folder, told=True, **environment)

    def tell(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def hears(self, pattern, seconds=10):
        """Waits for a line that matches, after those that were waited for before."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            text = self.text()
            found = re.compile(pattern, re.M).search(text, self.heard)
            if found:
                self.heard = found.end()
                return found
            for sipp in self.beside:
                if isinstance(sipp, Sipp) and sipp.process.poll():
                    raise Failed(f"{sipp.name}: {sipp.last_line()}")
            if ended or time.monotonic() > deadline:
                said = text[self.heard :].strip().replace("\n", " | ")[-200:]
                raise Failed(f"{self.name} did not say {pattern!r}, but: {said}")
            time.sleep(0.02)

    def stop(self, seconds=8):
        if self.process.poll() is None:
            self.process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        return super().stop(seconds)


class Renamed:
    """A scenario of sipp/ with other texts in the place of some."""

    def __init__(self, scenario, texts):
        self.name, self.scenario, self.texts = f"{scenario}-renamed", scenario, texts

    def text(self):
        text = (HERE / "sipp" / f"{self.scenario}.xml").read_text()
        for old, new in self.texts.items():
            text = text.replace(old, new)
        return text


class Sipp(Process):
    """One scenario of sipp/, or a `Script`, run once (or `calls` times). The answering side when no remote is named."""

    def __init__(self, folder, scenario, transport, host, remote=None, calls=1, service="service", repeats=False, fill=None,
                 keys=None, arguments=(), patience=20, port=None):
        self.port = port or free_port(2)
        if isinstance(scenario, str):
            text = (HERE / "sipp" / f"{scenario}.xml").read_text()
        else:
            scenario, text = scenario.name, scenario.text()
        name = f"sipp-{scenario}-{self.port}"
        for word, value in (fill or {}).items():
            text = text.replace(f"@{word}@", value)
        (folder / f"{name}.xml").write_text(text)
        self.messages, self.errors = folder / f"{name}.messages", folder / f"{name}.errors"
        command = ["sipp", "-sf", folder / f"{name}.xml", "-i", literal(host), "-mi", literal(host)]
        command += ["-p", self.port, "-m", calls, "-r", 20]
        command += ["-t", {"udp": "u1", "tcp": "t1"}[transport], "-s", service, "-nostdin", "-recv_timeout", patience * 1000]
        command += ["-timeout", f"{2 * patience}s", "-timeout_error", "-trace_msg", "-message_file", self.messages]
        command += ["-trace_err", "-error_file", self.errors, "-cp", self.port + 1]
        if repeats:
            command += ["-nr"]  # every repetition is the scenario's own business
        for key, value in (keys or {}).items():
            command += ["-key", key, value]
        if remote:
            command += [remote]
        super().__init__(name, [*command, *arguments], folder)
        if not remote:
            wait_bound(self, self.port, transport, host)

    def reaches(self, pattern, seconds=10):
        """Waits until a message that was sent or received matches."""
        deadline = time.monotonic() + seconds
        while not (self.messages.exists() and re.search(pattern, self.messages.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{self.name} saw no {pattern!r}: {self.last_line()}")
            time.sleep(0.02)

    def last_line(self):
        """What it says of its first error, which it puts after a date."""
        if not self.errors.exists():
            return "see its log"
        found = re.search(r"^\d{4}-.*?\d: (.*)", self.errors.read_text(errors="replace"), re.M)
        return found[1].strip()[:220] if found else ""


class Baresip(Process):
    def __init__(self, folder, transport, host, answer="manual", extra="", interval=0, pki=None, contacts=(), modules=(), aor=None,
                 settings=()):
        """With these modules and settings besides those of its `config`; with `presence` it watches its contacts. Without an `aor` it is nobody's."""
        self.sip, self.control, rtp = free_port(2), free_port(), free_port(8)
        home = folder / f"baresip-{self.sip}"
        home.mkdir()
        text = (HERE / "baresip" / "config").read_text()
        for word, value in {"HOST": host, "ADDRESS": literal(host), "SIP": self.sip, "CTRL": self.control, "RTP": f"{rtp}-{rtp + 7}"}.items():
            text = text.replace(f"@{word}@", str(value))
        if transport == "tls":
            pki.loopback("baresip")
            text += f"sip_certificate {pki.folder / 'baresip-both.pem'}\nsip_cafile {pki.ca}\n"
        text += "".join(f"module_app {module}.so\n" for module in modules) + "".join(f"{setting}\n" for setting in settings)
        (home / "config").write_text(text)
        suffix = "" if transport == "udp" else f";transport={transport}"
        # TLS is listened on one port further.
        port = self.sip + (transport == "tls")
        account = aor or f"sip:bare@{host}:{self.sip}"
        (home / "accounts").write_text(f"<{account}{suffix}>;regint={interval};answermode={answer}{extra}\n")
        watched = ";presence=p2p" if "presence" in modules else ""
        (home / "contacts").write_text("".join(f'"Contact" <{uri}>{watched}\n' for uri in contacts))
        self.uri = f"sip:bare@{host}:{port}{suffix}"
        name = f"baresip-{re.split('[:@]', aor)[1]}" if aor else "baresip"
        super().__init__(name, ["baresip", "-f", home, "-s"], folder)
        self.events, self.replies, self.socket = [], [], None
        deadline = time.monotonic() + 10
        while self.socket is None:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.control))
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise Failed("baresip does not start") from None
                time.sleep(0.05)
        wait_bound(self, port, transport, host)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        """Reads netstrings (`LENGTH:JSON,`) for ever."""
        buffer = b""
        while True:
            try:
                chunk = self.socket.recv(65_536)
            except OSError:
                return
            if not chunk:
                return
            buffer += chunk
            while (head := re.match(rb"(\d+):", buffer)) and len(buffer) > head.end() + int(head[1]):
                end = head.end() + int(head[1])
                message = json.loads(buffer[head.end() : end].decode(errors="replace"))
                buffer = buffer[end + 1 :]
                (self.events if message.get("event") else self.replies).append(message)

    def command(self, command, parameters=""):
        text = json.dumps({"command": command, "params": parameters, "token": command}).encode()
        before = len(self.replies)
        self.socket.sendall(b"%d:%s," % (len(text), text))
        deadline = time.monotonic() + 5
        while len(self.replies) == before:
            if time.monotonic() > deadline:
                raise Failed(f"baresip does not answer the command {command}")
            time.sleep(0.01)
        if not self.replies[-1].get("ok"):
            raise Failed(f"baresip refuses {command}: {self.replies[-1].get('data')}")
        return self.replies[-1].get("data") or ""

    def event(self, kind, seconds=10):
        """Waits for an event that has not been asked for before; returns its `param`."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event.get("type") == kind and not event.get("seen"):
                    event["seen"] = True
                    return event.get("param") or ""
            if time.monotonic() > deadline:
                seen = " ".join(event.get("type", "?") for event in self.events)
                raise Failed(f"baresip told of no {kind} within {seconds} s (only of: {seen})")
            time.sleep(0.02)

    def stop(self, seconds=5):
        if self.socket:
            self.socket.close()
        return super().stop(seconds)


class Kamailio(Process):
    def __init__(self, folder, host, *defines, pki=None):
        self.port = free_port()
        self.address = f"{host}:{self.port}"
        self.uri = f"sip:{self.address}"
        runtime = folder / "kamailio"
        runtime.mkdir()
        command = ["kamailio", "-f", HERE / "kamailio" / "kamailio.cfg", "-DD", "-E", "-m", 32, "-M", 8]
        command += ["-l", f"udp:{self.address}", "-l", f"tcp:{self.address}"]
        command += ["-Y", runtime, "-P", runtime / "pid", "-w", runtime]
        for define in defines:
            command += ["-A", define]
        if pki:
            command += ["-l", f"tls:{host}:{(tls := free_port())}", "-A", "TLS"]
            for word, file in zip(("CERT", "KEY"), pki.loopback("kamailio")):
                command += ["-A", f'{word}="{file}"']
            command += ["-A", f'CA="{pki.ca}"']
            self.uri = f"sip:{host}:{tls}"
        super().__init__("kamailio", command, folder)
        wait_bound(self, self.port, "udp", host)
        wait_bound(self, self.port, "tcp", host)
        if pki:
            wait_bound(self, tls, "tls", host)

    def asked(self, bench, *arguments):
        """sipsak asks for bob through it, and gets a 200."""
        process = bench.started(Sipsak(bench.folder, "udp", "-s", f"sip:bob@{self.address}", "-u", "alice", "-a", "secret", *arguments))
        process.ok()
        return process

    def routed(self, method, seconds=5):
        """The request went through the route set that Record-Route made."""
        self.expect(rf"routed in dialog: {method}", seconds)


class Beside(Process):
    """Kamailio as a proxy beside our server, by `kamailio/beside.cfg`: `server` and `phone` are the URIs that it sends to."""

    def __init__(self, folder, host, server, phone):
        self.address = f"{host}:{(port := free_port())}"
        self.port = port
        runtime = folder / "kamailio"
        runtime.mkdir()
        command = ["kamailio", "-f", HERE / "kamailio" / "beside.cfg", "-DD", "-E", "-m", 32, "-M", 8]
        command += ["-l", f"udp:{self.address}", "-l", f"tcp:{self.address}"]
        command += ["-Y", runtime, "-P", runtime / "pid", "-w", runtime, "-A", f'SERVER="{server}"', "-A", f'PHONE="{phone}"']
        super().__init__("kamailio", command, folder)
        wait_bound(self, port, "udp", host)
        wait_bound(self, port, "tcp", host)


class Collector(Process):
    """Kamailio as a collector of HEP."""

    def __init__(self, folder):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        runtime = folder / "collector"
        runtime.mkdir()
        command = ["kamailio", "-f", HERE / "kamailio" / "collector.cfg", "-DD", "-E", "-m", 32, "-M", 8]
        command += ["-l", f"udp:{self.address}", "-A", f'DB="text://{runtime}"']
        command += ["-Y", runtime, "-P", runtime / "pid", "-w", runtime]
        super().__init__("collector", command, folder)
        wait_bound(self, self.port, "udp", "127.0.0.1")

    def told(self):
        """What it was told of: (method or status, Call-ID, source)."""
        return re.findall(r"told of (\S+) (\S+) from (\S+)$", self.text(), re.M)


class Sipsak(Process):
    """sipsak, run to its end: 0 if it got the answer that it wants."""

    def __init__(self, folder, transport, *arguments):
        over = [] if transport == "udp" else ["-E", transport]
        super().__init__("sipsak", ["sipsak", "-vvv", *over, *arguments], folder)


class HepOverTcp(threading.Thread):
    """Takes HEP over TCP for a collector, and gives it each packet of the stream as a datagram.

    Kamailio 5.6 itself frames such a stream right, and then takes the packet, not what is in it, for SIP.
    """

    def __init__(self, collector):
        super().__init__(daemon=True)
        self.collector = ("127.0.0.1", collector.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp:127.0.0.1:%d" % self.listener.getsockname()[1]
        self.start()

    def run(self):
        with self.listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            with self.listener.accept()[0] as connection, connection.makefile("rb") as stream:
                while len(head := stream.read(6)) == 6:
                    datagrams.sendto(head + stream.read(int.from_bytes(head[4:], "big") - 6), self.collector)

    def stop(self):
        """Ends with the connection; if none came, with one of its own."""
        if self.is_alive():
            with contextlib.suppress(OSError):
                socket.create_connection(self.listener.getsockname()).close()
        self.join(5)


def captured(file):
    """What tshark reads in a capture: (method or status, Call-ID, source)."""
    fields = ["sip.Method", "sip.Status-Code", "sip.Call-ID", "ip.src", "udp.srcport", "tcp.srcport"]
    command = ["tshark", "-n", "-r", file, "-Y", "sip", "-T", "fields", "-E", "separator=|"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"tshark cannot read {file}: {done.stderr.strip()[-150:]}")
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [(method + status, call, f"{ip}:{udp}{tcp}") for method, status, call, ip, udp, tcp in rows]


class Ours(Process):
    """An example program of this project."""

    def __init__(self, folder, example, arguments):
        super().__init__(example, [target(example), *arguments], folder)


class Uas(Ours):
    """Our `uas`, listening on UDP and TCP of one port, and for a cell of TLS on another."""

    def __init__(self, folder, transport, host, *arguments, port=None):
        self.port = port or free_port()
        self.address = address = f"{host}:{self.port}"
        listen = ["--listen", f"udp:{address}", "--listen", f"tcp:{address}"]
        if transport == "tls":
            self.address = address = f"{host}:{free_port()}"
            listen += ["--listen", f"tls:{address}"]
        super().__init__(folder, "uas", [*listen, *arguments])
        self.uri = f"sip:uas@{address}" + ("" if transport == "udp" else f";transport={transport}")
        self.expect(r"^ready$")


class Phone(Told):
    """Our `phone`, listening on UDP and TCP of one port: it does what it is told, and says what happens.

    A SIPp `beside` it that fails says more than the silence that follows.
    """

    def __init__(self, folder, transport, host, beside, *arguments, port=None):
        self.address = address = f"{host}:{port or free_port()}"
        listen = ["--listen", f"udp:{address}", "--listen", f"tcp:{address}"]
        if transport == "tls":
            self.address = f"{host}:{free_port()}"
            listen += ["--listen", f"tls:{self.address}"]
        super().__init__("phone", [target("phone"), *listen, *arguments], folder)
        self.beside = beside
        self.uri = f"sip:phone@{self.address}" + ("" if transport == "udp" else f";transport={transport}")
        self.hears(r"^ready$")


class WebSocketServer(Ours):
    """Our `server` or `uas`, listening for WebSocket, with TLS below if it is `wss`."""

    def __init__(self, folder, transport, host, example, arguments):
        self.port = free_port()
        self.url = f"{transport}://{host}:{self.port}/sip"
        self.uri = f"sip:uas@{host}:{self.port};transport=ws"
        super().__init__(folder, example, ["--listen", f"{transport}:{host}:{self.port}", *arguments])
        self.expect(r"^ready$")


class Server(Ours):
    """Our `server` of example.com, which listens on UDP and TCP of one port, and for a cell of TLS or WebSocket on another as well.

    Each of its users has the password "secret", and is asked for MD5: SIPp, baresip, and the browsers' stacks know no other.
    """

    DOMAIN = "example.com"

    def __init__(self, folder, transport, host, *arguments, users=("alice", "bob", "carol")):
        self.address = f"{host}:{free_port()}"
        listen = ["--listen", f"udp:{self.address}", "--listen", f"tcp:{self.address}"]
        self.uri = f"sip:{self.address}" + ("" if transport == "udp" else ";transport=tcp")
        if transport not in ("udp", "tcp"):
            secure = f"{host}:{free_port()}"
            listen += ["--listen", f"{transport}:{secure}"]
            self.uri, self.url = f"sip:{secure};transport={transport}", f"{transport}://{secure}/sip"
        who = [word for user in users for word in ("--user", f"{user}:secret")]
        rest = ["--domain", self.DOMAIN, *who, "--algorithm", "MD5", "--metrics", "0", "--pcap", folder / "server.pcapng"]
        super().__init__(folder, "server", [*listen, *rest, *arguments])
        self.expect(r"^ready$")
        self.metrics = self.expect(r"^metrics at (http://\S+)")[1]
        self.counted = ""

    def stop(self, seconds=10):
        """A transaction that somebody still waits for holds it up for longer than that."""
        # What happened is told once a second.
        began = time.monotonic()
        while self.process.poll() is None and time.monotonic() < began + 10:
            time.sleep(1.1)
            with contextlib.suppress(OSError), urllib.request.urlopen(self.metrics, timeout=5) as page:
                self.counted = page.read().decode()
            if "sip_transactions_started_total" in self.counted:
                break
        return super().stop(seconds)

    def check(self):
        """It ended with nothing left, and took nothing that came for wrong."""
        if not re.search(r"^ended: nothing was left$", self.text(), re.M):
            raise Failed(f"our server left something: {self.last_line()}")
        if not re.search(r"^sip_transactions_started_total", self.counted, re.M):
            raise Failed("our server counted nothing")
        for name, number in re.findall(r"^(sip_(?:messages_refused|transactions_timed_out)_total\S*) (\d+)$", self.counted, re.M):
            if int(number) and not any(text in name for text in self.may_count):
                raise Failed(f"our server counted {name} {number}")

    # What else than nothing a cell may make it count: parts of the names.
    may_count = ()


class Phones(Process):
    """A part of browser/phones.mjs, in Node.js or in a page of headless Chromium."""

    def __init__(self, folder, where, what, options, **environment):
        command = ["node", HERE / "browser" / f"{where}.mjs"]
        if where == "chromium":
            command += [folder / "profile"]
        super().__init__(where, [*command, what, json.dumps(options)], folder, **environment)


class Pair(Process):
    """Two phones in two pages of headless Chromium, by browser/pair.mjs."""

    def __init__(self, folder, options):
        super().__init__("pair", ["node", HERE / "browser" / "pair.mjs", folder / "profile", json.dumps(options)], folder)


class Copied(Process):
    """The phone of examples/browser.html in two pages of headless Chromium, by browser/copied.mjs."""

    def __init__(self, folder, options):
        super().__init__("copied", ["node", HERE / "browser" / "copied.mjs", folder / "profile", json.dumps(options)], folder)


class Watching(Process):
    """The page of `--web` in headless Chromium, by browser/watching.mjs."""

    def __init__(self, folder, seen):
        command = ["node", HERE / "browser" / "watching.mjs", folder / "profile", json.dumps(seen)]
        super().__init__("watching", command, folder)


def wait_bound(process, port, transport, host, seconds=10):
    """Until the program listens on the port of that loopback address, or of all addresses."""
    transport = "tcp" if transport == "tls" else transport
    table, address = {
        LOOPBACK[4]: (transport, "0100007F|00000000"),
        LOOPBACK[6]: (f"{transport}6", f"{'0' * 24}01000000|{'0' * 32}"),
    }[host]
    deadline = time.monotonic() + seconds
    while True:
        bound = pathlib.Path(f"/proc/net/{table}").read_text()
        # A TCP line counts when it listens (state 0A).
        state = r" \S+ 0A" if transport == "tcp" else ""
        if re.search(rf"({address}):{port:04X}{state}", bound):
            return
        if process.process.poll() is not None:
            raise Failed(f"{process.name} does not start: {process.last_line()}")
        if time.monotonic() > deadline:
            raise Failed(f"{process.name} does not listen on port {port}")
        time.sleep(0.02)


PACKAGES = {
    "tshark": "tshark", "sipp": "sip-tester", "baresip": "baresip-core", "kamailio": "kamailio", "openssl": "openssl", "node": "nodejs", "npm": "npm",
    "chromium": "chromium", "sipsak": "sipsak", "linphone-daemon": "linphone-cli",
}


def install_missing():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [package for command, package in PACKAGES.items() if not shutil.which(command)]
    for module, package in (("tls", "kamailio-tls-modules"), ("websocket", "kamailio-websocket-modules"), ("outbound", "kamailio-outbound-modules"),
                            ("presence", "kamailio-presence-modules")):
        if not pathlib.Path(f"/usr/lib/x86_64-linux-gnu/kamailio/modules/{module}.so").exists():
            missing.append(package)
    if missing:
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    browser = HERE / "browser"
    lock, installed = browser / "package-lock.json", browser / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        # A package here needs no script of its own to be of use.
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=browser, check=True)
