"""The cells of presence: we publish at a server that somebody else wrote, and watch there what it makes of it."""

import pathlib
import shutil

from bench import BOTH, Cell
from peers import HERE, Ours, Process, Told, free_port, target, wait_bound

TABLES = pathlib.Path("/usr/share/kamailio/dbtext/kamailio")


class PresenceServer(Process):
    """Kamailio, which says what it is asked."""

    def __init__(self, folder, host):
        self.address = f"{host}:{(port := free_port())}"
        runtime = folder / "presence"
        runtime.mkdir()
        for table in ("version", "presentity", "active_watchers", "watchers", "xcap"):
            shutil.copy(TABLES / table, runtime / table)
        command = ["kamailio", "-f", HERE / "kamailio" / "presence.cfg", "-DD", "-E", "-m", 32, "-M", 8]
        command += ["-l", f"udp:{self.address}", "-l", f"tcp:{self.address}", "-A", f'DB="text://{runtime}"']
        command += ["-Y", runtime, "-P", runtime / "pid", "-w", runtime]
        super().__init__("presence-server", command, folder)
        wait_bound(self, port, "udp", host)
        wait_bound(self, port, "tcp", host)

    def asked(self, what, seconds=10):
        return self.expect(rf"asked: {what}$", seconds)


def publishes_and_watches(bench):
    """PUBLISH, its refresh, a change and the removal, each with the entity-tag of the one before; and what is told of them."""
    server = bench.started(PresenceServer(bench.folder, bench.host))
    uri = f"sip:alice@{server.address}{bench.suffix()}"
    (folder := bench.folder / "watcher").mkdir()
    watcher = bench.started(Ours(folder, "presence", ["watch", uri]))
    watcher.may_fail = True  # it watches until it is ended by a signal
    server.asked(r"SUBSCRIBE alice of presence tag '<null>' expires 3600 body \d+")
    teller = bench.started(Told("presence", [target("presence"), "tell", uri], bench.folder))
    server.asked(r"PUBLISH alice of presence tag '<null>' expires 3600 body [1-9]\d*")
    watcher.expect(r"^open $")
    # The server grants 20 seconds.
    server.asked(r"PUBLISH alice of presence tag '[^<']+' expires 3600 body 0", 20)
    teller.tell("away")
    server.asked(r"PUBLISH alice of presence tag '[^<']+' expires 3600 body [1-9]\d*")
    watcher.expect(r"^closed away$")
    teller.process.stdin.close()
    server.asked(r"PUBLISH alice of presence tag '[^<']+' expires 0 body 0")
    teller.ok()
    watcher.expect(r"^closed $")


def cells():
    for transport in BOTH:
        yield Cell("Kamailio", "takes what we publish", transport, "PUBLISH, refreshed, changed, removed", publishes_and_watches)
