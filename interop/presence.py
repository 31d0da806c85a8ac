"""The cells of states that are told when they change: we publish at Kamailio and watch there what it makes of it; baresip
watches us, and we watch it."""

import pathlib
import shutil
import time

from bench import BOTH, Cell
from peers import HERE, Failed, Ours, Process, Told, free_port, target, wait_bound

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


def shows(baresip, status, seconds=10):
    """Waits until that is what baresip shows for its one contact."""
    deadline = time.monotonic() + seconds
    while status not in (shown := baresip.command("contacts")):
        if time.monotonic() > deadline:
            raise Failed(f"baresip does not show {status}, but {shown.strip()!r}")
        time.sleep(0.1)


def baresip_watches_us(bench):
    """Our state is told when baresip subscribes and when it changes; not before five seconds have passed (RFC 3856 §6.10)."""
    phone = bench.phone()
    phone.tell("tell presence closed")
    baresip = bench.baresip(contacts=[phone.uri], modules=["presence"])
    phone.hears("^presence: SUBSCRIBE from sip:bare@")
    shows(baresip, "Offline")
    phone.tell("tell presence open")
    shows(baresip, "Online")
    baresip.expect(r"changed status from \S*Offline\S* to \S*Online")
    baresip.stop()
    phone.hears("^presence: sip:bare@.* is told no more: Unsubscribed")


def we_watch_baresip(bench):
    """Before baresip knows how it is, it says a value that PIDF does not have; then what it is told to be."""
    phone, baresip = bench.phone(), bench.baresip(modules=["presence"])
    phone.tell(f"watch {baresip.uri} presence")
    phone.hears("^presence of sip:bare@.*: neither open nor closed")
    phone.hears("^presence of sip:bare@.*: Active")
    for command, basic in (("presence_online", "open"), ("presence_offline", "closed"), ("presence_online", "open")):
        baresip.command(command)
        phone.hears(f"^presence of sip:bare@.*: {basic}$")
    phone.tell("unwatch")
    phone.hears("^presence of sip:bare@.*: unsubscribed")
    baresip.expect(r"Subscription-State: terminated;reason=timeout")


def baresip_waits_for_messages(bench):
    """baresip subscribes once it is registered; its account comes late, since it hangs where that is done as it starts."""
    phone, baresip = bench.phone("--registrations"), bench.baresip(modules=["mwi"])
    account = f"<{baresip.uri.replace('bare@', 'mailbox@')}>"
    baresip.command("uanew", f'{account};regint=60;mwi=yes;outbound="{phone.uri}"')
    phone.hears("^message-summary: SUBSCRIBE from sip:mailbox@")
    for waiting, count in (("no", "0/0"), ("yes", "2/8"), ("no", "0/10")):
        if count != "0/0":
            phone.tell(f"tell message-summary {count}")
        told = baresip.event("MWI_NOTIFY").split("\r\n")
        if told[:2] != [f"Messages-Waiting: {waiting}", f"Voice-Message: {count}"]:
            raise Failed(f"baresip was told {told}, not {count}")
        baresip.expect(rf"^-+ MWI for sip:mailbox@\S+ -+\r?\nMessages-Waiting: {waiting}\r?\nVoice-Message: {count}\r?$")
    baresip.stop()
    phone.hears("^message-summary: sip:mailbox@.* is told no more: Unsubscribed")


def cells():
    for transport in BOTH:
        yield Cell("baresip", "watches us", transport, "presence", baresip_watches_us)
        yield Cell("baresip", "is watched by us", transport, "presence", we_watch_baresip)
        yield Cell("baresip", "watches us", transport, "message-summary", baresip_waits_for_messages)
        yield Cell("Kamailio", "takes what we publish", transport, "PUBLISH, refreshed, changed, removed", publishes_and_watches)
