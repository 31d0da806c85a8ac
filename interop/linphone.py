"""The cells of linphone 5.1 (`linphone-daemon`), which knows 100rel, session timers and UPDATE."""

import functools
import re
import time

from bench import BOTH, Cell
from peers import HERE, Failed, Told, free_host, free_port, wait_bound


class Linphone(Told):
    """Driven on its standard input; it says its events on the output, and shows every message in its trace."""

    def __init__(self, folder, transport, host, *more):
        self.port = free_port()
        home = folder / f"linphone-{self.port}"
        (home / ".local" / "share" / "linphone").mkdir(parents=True)
        text = (HERE / "linphone" / "config").read_text()
        for word, value in {"SIP": self.port, "RTP": free_port(2), "MORE": "\n".join(more)}.items():
            text = text.replace(f"@{word}@", str(value))
        (home / "config").write_text(text)
        self.trace = home / "trace"
        self.uri = f"sip:linphone@{host}:{self.port}" + ("" if transport == "udp" else f";transport={transport}")
        command = ["linphone-daemon", "--config", home / "config", "--log", self.trace, "--disable-stats-events"]
        places = {name: str(home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")}
        super().__init__(f"linphone-{self.port}", command, folder, **places, XDG_DATA_HOME=str(home / ".local" / "share"))
        wait_bound(self, self.port, transport, host)

    def event(self, name):
        self.hears(rf"^Event: Linphone{name}$")

    def does(self, pattern, seconds=5):
        """Waits until what it sent and received matches."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.trace.read_text(errors="replace"), re.M):
            if time.monotonic() > deadline:
                raise Failed(f"linphone's trace does not show {pattern!r}")
            time.sleep(0.05 if seconds < 10 else 1)

    def stop(self, seconds=5):
        if self.process.poll() is None:
            self.tell("quit")
        return super().stop(seconds)


def linphone(bench, *more):
    return bench.started(Linphone(bench.folder, bench.transport, bench.host, *more))


def is_called_by_us(bench, *more, phone=()):
    """A call of ours that linphone has taken."""
    peer, ours = linphone(bench, *more), bench.phone(*phone)
    ours.tell(f"call {peer.uri}")
    peer.event("CallIncomingReceived")
    peer.tell("answer")
    ours.hears("call 1: answered")
    peer.event("CallStreamsRunning")
    return peer, ours


def calls_us(bench, *more, phone=()):
    """A call of linphone's that we have taken."""
    peer, ours = linphone(bench, *more), bench.phone(*phone)
    peer.tell(f"call {ours.uri}")
    ours.hears("call 1: INVITE from sip:linphone@")
    ours.tell("ring")
    peer.event("CallOutgoingRinging")
    ours.tell("accept")
    ours.hears("call 1: confirmed")
    peer.event("CallStreamsRunning")
    return peer, ours


def hangs_up(begun, bench):
    peer, ours = begun(bench)
    peer.tell("terminate")
    ours.hears("call 1: over: the peer hung up")
    peer.event("CallReleased")


def is_hung_up_on(begun, bench):
    peer, ours = begun(bench)
    ours.tell("hang-up")
    ours.hears("call 1: over: we hung up")
    peer.event("CallEnd")


def holds_both_ways(begun, bench):
    peer, ours = begun(bench)
    peer.tell("call-pause")
    ours.hears("call 1: INVITE: recvonly")
    peer.event("CallPaused")
    peer.tell("call-resume 1")
    ours.hears("call 1: INVITE: sendrecv")
    peer.event("CallStreamsRunning")
    ours.tell("hold")
    ours.hears("call 1: hold: sendonly")
    peer.event("CallPausedByRemote")
    ours.tell("resume")
    ours.hears("call 1: resume: sendrecv")
    peer.event("CallStreamsRunning")
    peer.tell("terminate")
    ours.hears("call 1: over: the peer hung up")


RELIABLE = "100rel_support_level=1"


def hears_us_early(bench):
    """Our 183 is reliable; linphone sends the PRACK, and takes our UPDATE before the answer and after it."""
    peer, ours = linphone(bench, RELIABLE), bench.phone("--reliable", "supported")
    peer.tell(f"call {ours.uri}")
    ours.hears("call 1: INVITE")
    ours.tell("progress")
    ours.hears("call 1: acknowledged")
    peer.event("CallOutgoingEarlyMedia")
    ours.tell("update")
    ours.hears("call 1: update: sendrecv")
    ours.tell("accept")
    ours.hears("call 1: confirmed")
    peer.event("CallStreamsRunning")
    ours.tell("update")
    ours.hears("call 1: update: sendrecv")
    peer.tell("terminate")
    ours.hears("call 1: over: the peer hung up")


def is_heard_early(bench):
    """linphone answers by 183 with its session, which must be reliable; we send the PRACK. Only its 200 allows UPDATE."""
    peer, ours = linphone(bench, RELIABLE, "incoming_calls_early_media=1"), bench.phone("--reliable", "required")
    ours.tell(f"call {peer.uri}")
    ours.hears("call 1: 183")
    peer.tell("answer")
    ours.hears("call 1: answered")
    peer.event("CallStreamsRunning")
    ours.tell("update")
    ours.hears("call 1: update: sendrecv")
    peer.does(r"^PRACK sip:(?s:.*)^RAck: \d+ \d+ INVITE")
    peer.does(r"^UPDATE sip:")
    ours.tell("hang-up")
    peer.event("CallEnd")


TIMERS = ("session_expires_enabled=1", "session_expires_value=120", "session_expires_min_value=100")


def agrees_on_a_timer(begun, bench):
    """The interval that both want, and who refreshes."""
    peer, ours = begun(bench, *TIMERS, phone=("--session-expires", "110"))
    peer.does(r"^SIP/2\.0 200 (?:[^\r\n]+\r?\n)*?Session-Expires: (110|120);\s*refresher=ua[cs]")
    ours.tell("hang-up")
    peer.event("CallEnd")


def refreshes(refresher, bench):
    """The one that we chose refreshes at half of the interval, and the other agrees."""
    peer = linphone(bench, TIMERS[0], "session_expires_value=90", "session_expires_min_value=90")
    ours = bench.phone("--session-expires", "90", "--refresher", refresher)
    ours.tell(f"call {peer.uri}")
    peer.event("CallIncomingReceived")
    peer.tell("answer")
    ours.hears("call 1: answered")
    target = {"us": rf"sip:[^ ]*:{peer.port}", "peer": "sip:phone@"}[refresher]
    peer.does(rf"^ACK (?s:.*)^(UPDATE|INVITE) {target}(?s:.*)^SIP/2\.0 200 ", 60)
    ours.tell("hang-up")
    peer.event("CallEnd")


def asks_for_more_time(bench):
    """linphone refuses our interval by 422, and takes the call with its own."""
    peer, ours = linphone(bench, *TIMERS[:2], "session_expires_min_value=600"), bench.phone("--session-expires", "200")
    ours.tell(f"call {peer.uri}")
    peer.event("CallIncomingReceived")
    peer.tell("answer")
    ours.hears("call 1: answered")
    peer.does(r"^SIP/2\.0 422 (?:[^\r\n]+\r?\n)*?Min-SE: 600")
    peer.does(r"^INVITE (?:[^\r\n]+\r?\n)*?Session-Expires: 600")
    ours.tell("hang-up")
    peer.event("CallEnd")


def is_cancelled(bench):
    peer, ours = linphone(bench), bench.phone()
    ours.tell(f"call {peer.uri}")
    peer.event("CallIncomingReceived")
    ours.hears("call 1: 180")
    ours.tell("hang-up")
    ours.hears("call 1: over")
    peer.event("CallEnd")


def is_transferred_by_us(bench):
    """A blind transfer: linphone calls our `uas`, tells us so, and we hang up."""
    peer, ours = is_called_by_us(bench)
    uas = bench.uas()
    ours.tell(f"transfer {uas.uri}")
    uas.expect(r"call 1: confirmed")
    ours.hears("call 1: transfer: Reported.*200")
    ours.expect("^call 1: over: we hung up")
    peer.tell("terminate")


def is_connected_by_us(bench):
    """An attended transfer: linphone takes our place in our call to `uas`."""
    peer, ours = is_called_by_us(bench)
    uas = bench.uas()
    ours.tell(f"call {uas.uri}")
    ours.hears("call 2: answered")
    ours.tell("1 transfer 2")
    uas.expect(r"call 2: confirmed")
    ours.hears("call 1: transfer: Reported.*200")
    uas.expect(r"call 1: replaced")
    peer.does(r"^INVITE (?:[^\r\n]+\r?\n)*?Replaces: ")


def transfers_us(bench):
    """linphone transfers us to our `uas`, without asking there, and hangs up when it hears that we got there."""
    peer, ours = is_called_by_us(bench)
    uas = bench.uas()
    peer.tell(f"call-transfer 1 {uas.uri}")
    ours.hears("call 1: referred to sip:uas@")
    ours.tell("follow")
    ours.hears("call 2: answered")
    uas.expect(r"call 1: confirmed")
    ours.hears("call 1: over: the peer hung up")
    peer.does(r"^NOTIFY (?s:.*)SIP/2\.0 200")
    ours.tell("2 hang-up")


def connects_us(bench):
    """linphone has a call with us and one with our `uas`, and connects us. It names the callee without its port."""
    peer, ours = is_called_by_us(bench)
    uas = bench.uas(host=free_host(), port=5060)
    peer.tell(f"call {uas.uri}")
    uas.expect(r"call 1: confirmed")
    peer.event("CallStreamsRunning")
    peer.tell("call-transfer 1 2")
    ours.hears(r"call 1: referred to .*Replaces")
    ours.tell("follow")
    ours.hears("call 2: answered")
    uas.expect(r"call 1: replaced")
    uas.expect(r"call 2: confirmed")
    ours.tell("2 hang-up")


def exchanges_texts(bench):
    """linphone writes to an address without its port."""
    peer, ours = linphone(bench), bench.phone(host=free_host(), port=5060)
    peer.tell(f"message {ours.uri} hello")
    ours.hears("^MESSAGE: hello")
    ours.tell(f"message {peer.uri} good day")
    ours.hears("^MESSAGE: 20[02]")


def registers(bench):
    """With digest at our `server`, which passes our text on to it. linphone may tell that it has it, at an address without its port."""
    server = bench.server()
    peer, ours = linphone(bench), bench.phone("--proxy", f"{server.uri};lr", host=free_host(), port=5060)
    peer.tell(f"register sip:alice@example.com {server.uri} secret alice")
    server.expect(r"^REGISTER \S+: 401")
    server.expect(r"^REGISTER \S+: 200")
    ours.tell("message sip:alice@example.com hello")
    ours.hears("^MESSAGE: 20[02]")
    server.expect(r"^MESSAGE \S+ -> sip:alice@example\.com: 20[02]")
    peer.hears("^Event-type: message-received(?s:.*)^Content: \"hello\"")


def cells():
    part = functools.partial
    table = [
        ("calls us", "BYE from linphone", part(hangs_up, calls_us)),
        ("calls us", "BYE from us", part(is_hung_up_on, calls_us)),
        ("calls us", "hold and resume both ways", part(holds_both_ways, calls_us)),
        ("calls us", "reliable 183, UPDATE early and later", hears_us_early),
        ("calls us", "session timer", part(agrees_on_a_timer, calls_us)),
        ("is called by us", "BYE from linphone", part(hangs_up, is_called_by_us)),
        ("is called by us", "BYE from us", part(is_hung_up_on, is_called_by_us)),
        ("is called by us", "CANCEL", is_cancelled),
        ("is called by us", "hold and resume both ways", part(holds_both_ways, is_called_by_us)),
        ("is called by us", "reliable 183, UPDATE later", is_heard_early),
        ("is called by us", "session timer", part(agrees_on_a_timer, is_called_by_us)),
        ("is called by us", "session refreshed by us", part(refreshes, "us")),
        ("is called by us", "session refreshed by linphone", part(refreshes, "peer")),
        ("is called by us", "422, again with its Min-SE", asks_for_more_time),
        ("is transferred by us", "blind", is_transferred_by_us),
        ("is transferred by us", "attended", is_connected_by_us),
        ("transfers us", "blind", transfers_us),
        ("transfers us", "attended", connects_us),
        ("and we", "MESSAGE both ways", exchanges_texts),
        ("registers at us", "401, MESSAGE by the server", registers),
    ]
    for direction, scenario, body in table:
        for transport in BOTH:
            yield Cell("linphone", direction, transport, scenario, body, waits=scenario.startswith("session refreshed"))
