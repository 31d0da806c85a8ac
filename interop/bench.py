"""A cell of the matrix, and what it works with."""

import re

from peers import (
    LOOPBACK, Baresip, Failed, Kamailio, Ours, Phone, Pki, Process, Server, Sipp, Uas,
)

BOTH = ("udp", "tcp")
WEBSOCKET = ("ws", "wss")


class Cell:
    """One that `waits` does so for most of its time: it runs beside the others from the start."""

    def __init__(self, peer, direction, transport, scenario, body, waits=False):
        self.row = (peer, direction, transport, scenario)
        self.name = re.sub(r"[^a-z0-9]+", "-", " ".join(self.row).lower()).strip("-")
        self.body, self.transport, self.waits = body, transport, waits

    def run(self, folder):
        bench = Bench(folder, self.transport)
        try:
            self.body(bench)
            bench.check_ours()
        finally:
            bench.stop()


class Bench:
    """What a cell works with: it knows the transport and the log folder, and what runs."""

    def __init__(self, folder, transport):
        self.folder, self.running, self.stand_ins = folder, [], 0
        self.transport, _, version = transport.partition(" IPv")
        self.host = LOOPBACK[int(version or 4)]
        self.pki = Pki(folder) if self.transport in ("tls", "wss") else None

    def started(self, process):
        self.running.append(process)
        return process

    def stop(self):
        for process in reversed(self.running):
            process.stop()

    def check_ours(self):
        """Our programs end when told to, in peace; a server after all others, when it has nothing left to do."""
        servers = [process for process in self.running if isinstance(process, Server)]
        for process in reversed(self.running if servers else []):
            if isinstance(process, Process) and process not in servers:
                process.stop()
        for process in self.running:
            if isinstance(process, (Ours, Phone)):
                code = process.stop()
                if code != 0 and not getattr(process, "may_fail", False):
                    raise Failed(f"our {process.name} ended with {code}: {process.last_line()}")
                if re.search(r"panicked at", process.text()):
                    raise Failed(f"our {process.name} panicked")
                if isinstance(process, Server):
                    process.check()

    def sipp(self, scenario, remote=None, **options):
        """Runs a scenario: the name of one of sipp/, or a `Script`."""
        return self.started(Sipp(self.folder, scenario, self.sipp_transport(), self.host, remote, **options))

    def sipp_uri(self, sipp):
        return f"sip:service@{self.host}:{sipp.port}" + ("" if self.sipp_transport() == "udp" else self.suffix())

    def sipp_transport(self):
        """SIPp stands behind Kamailio where we are on WebSocket, which it does not know."""
        return "udp" if self.transport in WEBSOCKET else self.transport

    def suffix(self):
        return "" if self.transport == "udp" else f";transport={self.transport}"

    def listen(self):
        if self.transport in WEBSOCKET:
            return []  # as a browser, which takes no connections
        return ["--listen", f"{self.transport}:{self.host}:0"]

    def shown(self, name):
        """What one of our programs shows and trusts for TLS."""
        if not self.pki:
            return []
        cert, key = self.pki.loopback(name)
        return ["--cert", cert, "--key", key, "--ca", self.pki.ca]

    def uas(self, *arguments, **place):
        place = {"host": self.host, **place}
        return self.started(Uas(self.folder, self.transport, place.pop("host"), *self.shown("uas"), *arguments, **place))

    def phone(self, *arguments, **place):
        place = {"host": self.host, **place}
        return self.started(Phone(self.folder, self.transport, place.pop("host"), self.running, *self.shown("phone"), *arguments, **place))

    def call(self, uri, *arguments, may_fail=False):
        process = self.started(Ours(self.folder, "call", [uri, *self.listen(), *self.shown("call"), *arguments]))
        process.may_fail = may_fail
        return process

    def register(self, aor, registrar, *arguments, may_fail=False):
        trusted = ["--ca", self.pki.ca] if self.pki else []  # no certificate: it only opens connections
        process = self.started(Ours(self.folder, "register", [aor, "--registrar", registrar + self.suffix(), *trusted, *arguments]))
        process.may_fail = may_fail
        return process

    def server(self, *arguments):
        return self.started(Server(self.folder, self.transport, self.host, *self.shown("server"), *arguments))

    def baresip(self, answer="manual", extra="", interval=0, contacts=(), modules=(), aor=None, transport=None, settings=()):
        return self.started(Baresip(self.folder, transport or self.transport, self.host, answer, extra, interval, self.pki, contacts, modules, aor, settings))

    def kamailio(self, *defines):
        """With what `kamailio.cfg` says of these names; Kamailio digests by MD5 unless told SHA256."""
        websocket = ["WS"] if self.transport in WEBSOCKET else []
        return self.started(Kamailio(self.folder, self.host, *defines, *websocket, pki=self.pki))
