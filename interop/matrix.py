"""The cells of the matrix. A cell starts its programs through `Bench`, which ends them all."""

import functools
import re
import time

import bridges
import linphone
import names
import presence
import sessions
import through_server
from bench import BOTH, WEBSOCKET, Cell
from peers import (
    HERE, Collector, Failed, HepOverTcp, Ours, Phones, Process, Renamed, Sipsak, Watching, WebSocketServer, captured, free_port, wait_bound,
)

# The same over IPv6.
BOTH_6 = ("udp IPv6", "tcp IPv6")
# What is run over IPv6 too: each place in a message where an address stands is in one of them.
OVER_IPV6 = {
    "plain call", "called side hangs up", "CANCEL", "302", "401", "hold and resume", "501, 405, 420, 481, 416", "BYE from us",
    "BYE from baresip", "hold and resume by baresip", "digest MD5", "407 MD5, Record-Route", "Record-Route", "BYE from the called side",
}


def transports_of(scenario, transports=BOTH):
    return (*transports, *BOTH_6) if scenario in OVER_IPV6 else transports


def cells(reference):
    if reference:
        return sipp_reference()
    ours = [
        *sipp_calls_us(), *we_call_sipp(), *sessions.cells(), *bridges.cells(), *baresip_cells(), *linphone.cells(), *kamailio_cells(),
        *presence.cells(), *openssl_cells(), *sipsak_cells(), *our_own_cells(),
    ]
    return [*ours, *browser_cells(), *through_server.cells()]


# ---------------------------------------------------------------- SIPp

# scenario, sipp/FILE.xml, arguments of our uas, options of SIPp, SIPp's answering scenario for --reference
CALLS_US = [
    ("plain call", "uac", [], dict(calls=10), "uas"),
    ("called side hangs up", "uac_waits", ["--bye-after", "500"], {}, "uas_bye"),
    ("lost ACK", "uac_lost_ack", [], dict(repeats=True), "uas"),
    ("CANCEL", "uac_cancel", ["--ring", "5000"], dict(repeats=True), "uas_cancel"),
    ("486", "uac_refused", ["--reject", "486"], dict(repeats=True, fill={"STATUS": "486"}), "uas_refuses"),
    ("302", "uac_refused", ["--reject", "302"], dict(repeats=True, fill={"STATUS": "302"}), "uas_refuses"),
    ("hold and resume", "uac_hold", [], {}, "uas_hold"),
    ("OPTIONS", "uac_options", [], {}, None),
    ("MESSAGE", "uac_message", [], {}, None),
    ("501, 405, 420, 481, 416", "uac_refusals", [], {}, None),
]


def sipp_calls_us():
    for scenario, file, arguments, options, _ in CALLS_US:
        for transport in transports_of(scenario):

            def body(bench, file=file, arguments=arguments, options=options):
                uas = bench.uas(*arguments)
                bench.sipp(file, uas.address, **options).ok()

            yield Cell("SIPp", "calls us", transport, scenario, body)
    for transport in BOTH:
        yield Cell("SIPp", "calls us", transport, "401", we_challenge_sipp)
        yield Cell("SIPp", "registers at us", transport, "401", we_register_sipp)


ALICE = ["--username", "alice", "--password", "secret"]


def we_challenge_sipp(bench):
    """SIPp knows MD5 only, ends at the sight of anything else, and answers for the address alone unless told the Request-URI."""
    uas = bench.uas(*ALICE, "--algorithm", "MD5")
    uri = f"service@{uas.address};transport={bench.transport.upper()}"
    bench.sipp("uac_auth", uas.address, fill={"STATUS": "401"}, arguments=["-au", "alice", "-ap", "secret", "-auth_uri", uri]).ok()


def we_register_sipp(bench):
    uas = bench.uas("--registrations", *ALICE, "--algorithm", "MD5")
    uri = f"{uas.address};transport={bench.transport.upper()}"
    bench.sipp("register", uas.address, service="alice", keys={"contact": bench.sipp_uri(uas)},
               arguments=["-au", "alice", "-ap", "secret", "-auth_uri", uri]).ok()
    uas.expect(r"^REGISTER .*: 200")


def is_called(file, *arguments, options=None, outcome="ok"):
    """SIPp answers with the scenario; our `call` calls it and ends as it should."""

    def body(bench):
        sipp = bench.sipp(file, **(options or {}))
        call = bench.call(bench.sipp_uri(sipp), *arguments, may_fail=outcome != "ok")
        if outcome == "ok":
            call.ok()
            call.expect(r"^calls: \d+ ok, 0 failed")
        else:
            call.fails()
            call.expect(outcome)
            call.expect(r"^calls: 0 ok, 1 failed")
        sipp.ok()

    return body


def redirected(bench):
    second = bench.sipp("uas")
    first = bench.sipp("uas_302", keys={"elsewhere": bench.sipp_uri(second)})
    call = bench.call(bench.sipp_uri(first), "--duration", "300")
    call.ok()
    first.ok()
    second.ok()


def found_by_its_domain(bench):
    """NAPTR, SRV and A records lead to SIPp; over TCP past a server of the domain where nobody listens."""
    sipp, service = bench.sipp("uas"), f"_sip._{bench.transport}.example.test"
    dead = [names.srv(1, free_port(), "dead.example.test")] if bench.transport == "tcp" else []
    server = bench.started(names.NameServer({
        ("example.test", "NAPTR"): [names.naptr(1, {"udp": "SIP+D2U", "tcp": "SIP+D2T"}[bench.transport], service)],
        (service, "SRV"): [*dead, names.srv(2, sipp.port, "live.example.test")],
        ("dead.example.test", "A"): [names.a("127.0.0.1")],
        ("live.example.test", "A"): [names.a("127.0.0.1")],
    }))
    call = bench.call("sip:service@example.test", "--dns", server.address, "--duration", "300")
    call.ok()
    call.expect(r"^calls: 1 ok, 0 failed")
    sipp.ok()
    if ("example.test", names.TYPES["NAPTR"]) not in server.asked:
        raise Failed("the name server was not asked")


def we_call_sipp():
    table = [
        ("plain call", BOTH, is_called("uas", "--duration", "300")),
        ("found by its domain", ("udp", "tcp"), found_by_its_domain),
        ("ten calls", BOTH, is_called("uas", "--duration", "300", "--calls", "10", "--rate", "20", options=dict(calls=10))),
        ("called side hangs up", BOTH, is_called("uas_bye", "--duration", "20000")),
        ("lost INVITE", ("udp",), is_called("uas_lost_invite", "--duration", "300", options=dict(repeats=True))),
        ("repeated 2xx", BOTH, is_called("uas_repeated_2xx", "--duration", "1500", options=dict(repeats=True))),
        ("CANCEL", BOTH, is_called("uas_cancel", "--cancel-after", "500", options=dict(repeats=True))),
        ("486", BOTH, is_called("uas_refuses", options=dict(repeats=True, fill={"STATUS": "486 Busy Here"}), outcome="486")),
        ("302", BOTH, redirected),
        ("401", BOTH, is_called("uas_401", "--duration", "300", *ALICE)),
        ("407", BOTH, is_called("uas_407", "--duration", "300", *ALICE)),
    ]
    for scenario, transports, body in table:
        for transport in transports_of(scenario, transports):
            yield Cell("SIPp", "is called by us", transport, scenario, body)


def sipp_reference():
    """SIPp against SIPp: the scenarios, proved without us."""

    def pair(caller, answerer, caller_options, answerer_options, bench):
        called = bench.sipp(answerer, **answerer_options)
        bench.sipp(caller, f"{bench.host}:{called.port}", **caller_options).ok()
        called.ok()

    table = [(name, file, answerer, options, dict(fill={"STATUS": options["fill"]["STATUS"] + " Refused"}) if "fill" in options else
              dict(calls=options.get("calls", 1)))
             for name, file, _, options, answerer in CALLS_US if answerer]
    table.append(("lost INVITE", "uac", "uas_lost_invite", {}, dict(repeats=True)))
    for code in ("401", "407"):
        caller = dict(fill={"STATUS": code}, arguments=["-au", "alice", "-ap", "secret"])
        table.append((code, "uac_auth", f"uas_{code}", caller, {}))
    for name, caller, answerer, caller_options, answerer_options in table:
        for transport in BOTH:
            # SIPp repeats nothing over TCP, so it can stand in only where nothing is lost.
            if transport == "tcp" and name.startswith("lost"):
                continue
            body = functools.partial(pair, caller, answerer, caller_options, answerer_options)
            yield Cell("SIPp", "calls SIPp", transport, name, body)
    yield from baresip_reference()
    yield from kamailio_reference()


# ---------------------------------------------------------------- baresip


def baresip_calls(bench, uas):
    baresip = bench.baresip()
    baresip.command("dial", uas.uri)
    baresip.event("CALL_RINGING")
    baresip.event("CALL_ESTABLISHED")
    return baresip


def baresip_hangs_up(bench):
    uas = bench.uas("--ring", "300")
    baresip = baresip_calls(bench, uas)
    time.sleep(0.5)
    baresip.command("hangup")
    answered(baresip, "BYE")


def we_hang_up(bench):
    baresip = baresip_calls(bench, bench.uas("--ring", "300", "--bye-after", "500"))
    baresip.event("CALL_CLOSED")


def baresip_holds(bench):
    uas = bench.uas("--ring", "300")
    baresip = baresip_calls(bench, uas)
    time.sleep(0.3)
    baresip.command("hold")
    baresip.expect(r"a=sendonly")
    baresip.expect(r"a=recvonly|a=inactive", 5)
    time.sleep(0.3)
    baresip.command("resume")
    time.sleep(0.7)
    if any(event["type"] == "CALL_CLOSED" for event in baresip.events):
        raise Failed("the call did not outlive hold and resume")
    baresip.command("hangup")
    answered(baresip, "BYE")


def answered(baresip, method, seconds=5):
    """baresip's trace shows a 200 for the method."""
    baresip.expect(rf"SIP/2\.0 200 (?:[^\r\n]+\r?\n)+?CSeq: \d+ {method}", seconds)


def baresip_is_refused(bench):
    uas = bench.uas("--reject", "486")
    baresip = bench.baresip()
    baresip.command("dial", uas.uri)
    why = baresip.event("CALL_CLOSED")
    if "486" not in why:
        raise Failed(f"baresip closed with {why!r}, not 486")


def we_challenge_baresip(password, bench):
    # baresip 1.0 takes no call to a place that offers SHA-256 beside it.
    uas = bench.uas("--ring", "300", "--bye-after", "500", *ALICE, "--algorithm", "MD5")
    baresip = bench.baresip(extra=f";auth_user=alice;auth_pass={password}")
    baresip.command("dial", uas.uri)
    if password == "secret":
        baresip.event("CALL_ESTABLISHED")
        baresip.event("CALL_CLOSED")
    elif "401" not in (why := baresip.event("CALL_CLOSED")):
        raise Failed(f"baresip closed with {why!r}, not 401")


def we_register_baresip(bench):
    uas = bench.uas("--registrations", *ALICE, "--algorithm", "MD5")
    baresip = bench.baresip(extra=f';auth_user=alice;auth_pass=secret;outbound="{uas.uri}"', interval=60)
    answered(baresip, "REGISTER", 10)
    uas.expect(r"^REGISTER .*: 200")


def baresip_cancels(bench):
    uas = bench.uas("--ring", "10000")
    baresip = bench.baresip()
    baresip.command("dial", uas.uri)
    baresip.event("CALL_RINGING")
    baresip.command("hangup")
    baresip.expect(r"SIP/2\.0 487 ", 5)


def we_call_baresip(bench):
    baresip = bench.baresip("auto")
    call = bench.call(baresip.uri, "--duration", "700")
    baresip.event("CALL_ESTABLISHED")
    baresip.event("CALL_CLOSED")
    call.ok()


def called_baresip_hangs_up(bench):
    baresip = bench.baresip("auto")
    call = bench.call(baresip.uri, "--duration", "20000")
    baresip.event("CALL_ESTABLISHED")
    time.sleep(0.5)
    baresip.command("hangup")
    answered(baresip, "BYE")
    call.ok()


def called_baresip_holds(bench):
    baresip = bench.baresip("auto")
    call = bench.call(baresip.uri, "--duration", "3000")
    baresip.event("CALL_ESTABLISHED")
    time.sleep(0.3)
    baresip.command("hold")
    baresip.expect(r"a=sendonly")
    baresip.expect(r"a=recvonly|a=inactive", 5)
    time.sleep(0.3)
    baresip.command("resume")
    baresip.event("CALL_CLOSED")
    call.ok()


def we_hold_baresip(begun, bench):
    baresip, phone = begun(bench)
    phone.tell("hold")
    phone.hears("call 1: hold: sendonly")
    baresip.expect(r"a=recvonly")
    phone.tell("resume")
    phone.hears("call 1: resume: sendrecv")
    phone.tell("hang-up")
    baresip.event("CALL_CLOSED")


def phone_calls_baresip(bench):
    baresip, phone = bench.baresip("auto"), bench.phone()
    phone.tell(f"call {baresip.uri}")
    phone.hears("call 1: answered")
    baresip.event("CALL_ESTABLISHED")
    return baresip, phone


def baresip_calls_phone(bench):
    baresip, phone = bench.baresip(), bench.phone()
    baresip.command("dial", phone.uri)
    phone.hears("call 1: INVITE from sip:bare@")
    phone.tell("ring")
    baresip.event("CALL_RINGING")
    phone.tell("accept")
    phone.hears("call 1: confirmed")
    baresip.event("CALL_ESTABLISHED")
    return baresip, phone


def baresip_transfers_us(begun, bench):
    """It refers us, and hangs up when it hears that we got there."""
    baresip, phone = begun(bench)
    uas = bench.uas()
    baresip.command("transfer", uas.uri)
    phone.hears("call 1: referred to sip:uas@")
    phone.tell("follow")
    uas.expect(r"call 1: confirmed")
    phone.hears("call 1: over: the peer hung up")
    phone.tell("2 hang-up")
    uas.expect(r"call 1: the peer hung up")


def we_transfer_baresip(begun, bench):
    """It calls whom we name, and reports 200; then we hang up."""
    baresip, phone = begun(bench)
    uas = bench.uas("--bye-after", "500")
    phone.tell(f"transfer {uas.uri}")
    uas.expect(r"call 1: confirmed")
    phone.hears("call 1: transfer: Reported.*200")
    uas.expect(r"call 1: we hung up")


def baresip_exchanges_texts(bench):
    phone = bench.phone()
    baresip = bench.baresip(contacts=[phone.uri])
    baresip.command("message", "hello")
    phone.hears("^MESSAGE: hello")
    answered(baresip, "MESSAGE")
    phone.tell(f"message {baresip.uri} good day")
    phone.hears("^MESSAGE: 200")
    baresip.expect("good day")


def baresip_refuses(bench):
    baresip = bench.baresip()
    call = bench.call(baresip.uri, may_fail=True)
    baresip.event("CALL_INCOMING")
    baresip.command("hangup")
    call.fails()
    call.expect("486")


def we_cancel(bench):
    baresip = bench.baresip()
    call = bench.call(baresip.uri, "--cancel-after", "700")
    baresip.event("CALL_INCOMING")
    baresip.event("CALL_CLOSED")
    call.ok()


def baresip_cells():
    table = [
        ("calls us", "BYE from baresip", baresip_hangs_up),
        ("calls us", "BYE from us", we_hang_up),
        ("calls us", "hold and resume", baresip_holds),
        ("calls us", "486", baresip_is_refused),
        ("calls us", "CANCEL", baresip_cancels),
        ("registers at us", "401", we_register_baresip),
        ("calls us", "401", functools.partial(we_challenge_baresip, "secret")),
        ("calls us", "401, wrong password", functools.partial(we_challenge_baresip, "wrong")),
        ("is called by us", "BYE from us", we_call_baresip),
        ("is called by us", "BYE from baresip", called_baresip_hangs_up),
        ("is called by us", "hold and resume by baresip", called_baresip_holds),
        ("is called by us", "486", baresip_refuses),
        ("is called by us", "CANCEL", we_cancel),
        ("calls us", "hold and resume by us", functools.partial(we_hold_baresip, baresip_calls_phone)),
        ("is called by us", "hold and resume by us", functools.partial(we_hold_baresip, phone_calls_baresip)),
        ("transfers us", "that called it", functools.partial(baresip_transfers_us, phone_calls_baresip)),
        ("transfers us", "that it called", functools.partial(baresip_transfers_us, baresip_calls_phone)),
        ("is transferred by us", "that it called", functools.partial(we_transfer_baresip, baresip_calls_phone)),
        ("is transferred by us", "that called it", functools.partial(we_transfer_baresip, phone_calls_baresip)),
        ("and we", "MESSAGE both ways", baresip_exchanges_texts),
    ]
    # It leaves `;transport=tls` out of what it refers or writes to.
    bare_addresses = {baresip_transfers_us, baresip_exchanges_texts}
    for direction, scenario, body in table:
        secure = () if getattr(body, "func", body) in bare_addresses else ("tls",)
        for transport in (*transports_of(scenario), *secure):
            yield Cell("baresip", direction, transport, scenario, body)


class StandIn:
    """SIPp where a cell asks for our program: the bodies above then prove themselves."""

    def __init__(self, bench, uas, caller):
        self.bench, self.uas_file, self.caller_file = bench, uas, caller

    def __getattr__(self, name):
        return getattr(self.bench, name)

    def uas(self, *arguments):
        fill = {"STATUS": "486 Busy Here"} if "486" in arguments else {}
        sipp = self.bench.sipp(self.uas_file, fill=fill)
        sipp.uri = self.bench.sipp_uri(sipp)
        return sipp

    def call(self, uri, *_, may_fail=False):
        fill = {"STATUS": "486"} if may_fail else {}
        sipp = self.bench.sipp(self.caller_file, uri.split("@")[1].split(";")[0], service="bare", fill=fill)
        if may_fail:  # a scenario that expects the refusal ends well when it comes
            sipp.fails, sipp.expect = sipp.ok, lambda *_: None
        return sipp


def baresip_reference():
    table = [
        (baresip_hangs_up, "uas", None),
        (we_hang_up, "uas_bye", None),
        (baresip_holds, "uas_hold", None),
        (baresip_is_refused, "uas_refuses", None),
        (baresip_cancels, "uas_cancel", None),
        (we_call_baresip, None, "uac"),
        (called_baresip_hangs_up, None, "uac_waits"),
        (baresip_refuses, None, "uac_refused"),
        (we_cancel, None, "uac_cancel"),
    ]
    for body, uas, caller in table:
        for transport in BOTH:
            direction = "calls SIPp" if uas else "is called by SIPp"
            run = functools.partial(lambda body, uas, caller, bench: body(StandIn(bench, uas, caller)), body, uas, caller)
            yield Cell("baresip", direction, transport, body.__name__, run)


# ---------------------------------------------------------------- Kamailio

BOB = ["--username", "bob", "--password", "secret"]


def bind(bench, kamailio, uri):
    """SIPp registers `uri` for bob."""
    bench.sipp("register", kamailio.address, service="bob", keys={"contact": uri},
               arguments=["-au", "bob", "-ap", "secret"]).ok()
    kamailio.expect(r"registered: bob")


def proxied_sipp_call(bench, kamailio):
    return bench.sipp("uac_proxy", kamailio.address, service="bob", arguments=["-au", "alice", "-ap", "secret"])


def registers(*defines_and_bench):
    *defines, bench = defines_and_bench
    kamailio = bench.kamailio(*defines)
    register = bench.register("sip:bob@127.0.0.1", kamailio.uri, *BOB, "--expires", "600")
    kamailio.expect(r"registered: bob")
    time.sleep(0.3)
    if register.stop() != 0:
        raise Failed(f"register ended with {register.process.returncode}: {register.last_line()}")
    # What is left at the end is taken back: a REGISTER with Expires 0, or expires=0 at the contact.
    kamailio.expect(r"registered: bob expires (0|.*expires=0)")
    challenges = len(re.findall("challenged: REGISTER", kamailio.text()))
    # With nonces that serve once, the second REGISTER is challenged too, unless its nonce came with a proof that is right.
    if challenges != (2 if "ONCE" in defines and "AUTHINFO" not in defines else 1):
        raise Failed(f"{challenges} challenges")


def registers_too_briefly(bench):
    kamailio = bench.kamailio()
    bench.register("sip:bob@127.0.0.1", kamailio.uri, *BOB, "--expires", "10", "--once").ok()
    kamailio.expect(r"registered: bob expires 60|registered: bob .*expires=60")


def registers_wrongly(bench):
    kamailio = bench.kamailio()
    register = bench.register("sip:bob@127.0.0.1", kamailio.uri, "--username", "bob", "--password", "wrong", "--once", may_fail=True)
    register.fails()
    if "registered: bob" in kamailio.text():
        raise Failed("Kamailio let a wrong password in")


def calls_through(*defines_and_bench):
    """Our `call` through the proxy to SIPp: 407, Record-Route, BYE along the route set."""
    *defines, bench = defines_and_bench
    kamailio = bench.kamailio(*defines)
    sipp = bench.sipp("uas")
    bind_plain(bench, kamailio, bench.sipp_uri(sipp), defines)
    bench.call("sip:bob@127.0.0.1", "--from", "sip:alice@127.0.0.1", "--proxy", f"{kamailio.uri};lr{bench.suffix()}", *ALICE,
               "--duration", "500").ok()
    sipp.ok()
    kamailio.routed("ACK")
    kamailio.routed("BYE")


def is_hung_up_through(bench):
    """SIPp behind the proxy hangs up: its BYE comes to our `call` along the route set, over WebSocket by our own connection."""
    kamailio = bench.kamailio()
    sipp = bench.sipp("uas_bye")
    bind(bench, kamailio, bench.sipp_uri(sipp))
    bench.call("sip:bob@127.0.0.1", "--from", "sip:alice@127.0.0.1", "--proxy", f"{kamailio.uri};lr{bench.suffix()}", *ALICE,
               "--duration", "20000").ok()
    sipp.ok()
    kamailio.routed("BYE")


def bind_plain(bench, kamailio, uri, defines):
    """SIPp knows only MD5; with another algorithm our own `register` makes the binding."""
    if not defines:
        return bind(bench, kamailio, uri)
    bench.register("sip:bob@127.0.0.1", kamailio.uri, *BOB, "--once", "--contact", uri).ok()
    kamailio.expect(r"registered: bob")


def called_through(bench):
    """SIPp calls through the proxy to our `uas`, which our `register` bound there."""
    kamailio = bench.kamailio()
    uas = bench.uas("--ring", "100")
    bench.register("sip:bob@127.0.0.1", kamailio.uri, *BOB, "--once", "--contact", uas.uri).ok()
    proxied_sipp_call(bench, kamailio).ok()
    kamailio.routed("ACK")
    kamailio.routed("BYE")


def challenged_by_both(bench):
    """407 of the proxy, then 401 of our `uas` behind it, which sees another Request-URI: one request answers both."""
    kamailio = bench.kamailio("SHA256")
    uas = bench.uas("--ring", "100", *ALICE)
    bench.register("sip:bob@127.0.0.1", kamailio.uri, *BOB, "--once", "--contact", uas.uri).ok()
    bench.call("sip:bob@127.0.0.1", "--from", "sip:alice@127.0.0.1", "--proxy", f"{kamailio.uri};lr{bench.suffix()}", *ALICE,
               "--duration", "500").ok()
    kamailio.routed("ACK")
    kamailio.routed("BYE")


def hangs_up_through(bench):
    """Our `uas` sends the BYE: its route set comes from the request's Record-Route."""
    kamailio = bench.kamailio()
    uas = bench.uas("--bye-after", "500")
    bench.register("sip:bob@127.0.0.1", kamailio.uri, *BOB, "--once", "--contact", uas.uri).ok()
    bench.call("sip:bob@127.0.0.1", "--from", "sip:alice@127.0.0.1", "--proxy", f"{kamailio.uri};lr{bench.suffix()}", *ALICE,
               "--duration", "20000").ok()
    kamailio.routed("ACK")
    kamailio.routed("BYE")


def cancels_through(bench):
    kamailio = bench.kamailio()
    uas = bench.uas("--ring", "10000")
    bench.register("sip:bob@127.0.0.1", kamailio.uri, *BOB, "--once", "--contact", uas.uri).ok()
    bench.call("sip:bob@127.0.0.1", "--from", "sip:alice@127.0.0.1", "--proxy", f"{kamailio.uri};lr{bench.suffix()}", *ALICE,
               "--cancel-after", "700").ok()


def calls_us_for_another(bench):
    """A gateway: our `call` has no credentials, Kamailio answers our challenge in its place, with the same CSeq."""
    kamailio = bench.kamailio("TRUNK")
    uas = bench.uas("--ring", "100", *ALICE, "--algorithm", "MD5")
    bench.call(uas.uri, "--proxy", f"{kamailio.uri};lr{bench.suffix()}", "--duration", "500").ok()
    kamailio.expect(r"answered for the caller: INVITE")
    kamailio.routed("ACK")
    kamailio.routed("BYE")


OVER_WEBSOCKET = {"digest MD5", "wrong password", "407 MD5, Record-Route", "BYE from the far side"}
OVER_TLS = {"digest MD5", "wrong password", "BYE from the called side", "CANCEL"}


def kamailio_cells():
    table = [
        ("registers us", "digest MD5", registers),
        ("registers us", "digest SHA-256", functools.partial(registers, "SHA256")),
        ("registers us", "digest MD5, auth-int", functools.partial(registers, "AUTHINT")),
        ("registers us", "digest SHA-256, one-time nonces", functools.partial(registers, "SHA256", "ONCE")),
        ("registers us", "digest MD5, auth-int, next nonces", functools.partial(registers, "AUTHINT", "ONCE", "AUTHINFO")),
        ("registers us", "digest SHA-256, next nonces", functools.partial(registers, "SHA256", "ONCE", "AUTHINFO")),
        ("registers us", "423 then longer", registers_too_briefly),
        ("registers us", "wrong password", registers_wrongly),
        ("we call through it", "407 MD5, Record-Route", calls_through),
        ("we call through it", "BYE from the far side", is_hung_up_through),
        ("we call through it", "407 SHA-256, Record-Route", functools.partial(calls_through, "SHA256")),
        ("calls us for another", "401", calls_us_for_another),
        ("we are called through it", "Record-Route", called_through),
        ("we at both ends", "BYE from the called side", hangs_up_through),
        ("we at both ends", "CANCEL", cancels_through),
        ("we at both ends", "407 and 401", challenged_by_both),
    ]
    for direction, scenario, body in table:
        # SIPp, which stands at one end of the others, is built without TLS.
        secure = ("tls",) if scenario in OVER_TLS else ()
        websocket = WEBSOCKET if scenario in OVER_WEBSOCKET else ()
        for transport in (*transports_of(scenario), *secure, *websocket):
            yield Cell("Kamailio", direction, transport, scenario, body)
    yield Cell("Kamailio", "registers us", "tls", "two flows, TCP and TLS", two_flows)
    for transport in (*BOTH, "tls"):
        yield Cell("Kamailio, tshark", "see what passes", transport, "HEP and pcapng", functools.partial(sees_what_passes, None))
    over_tcp = functools.partial(sees_what_passes, HepOverTcp)
    yield Cell("Kamailio, tshark", "see what passes", "udp", "HEP over TCP and pcapng", over_tcp)


def two_flows(bench):
    """RFC 5626: one instance registers by two flows, what comes for it goes over both, and over the other when one is cut."""
    kamailio, capture = bench.kamailio("OUTBOUND"), bench.folder / "register.pcapng"
    flows = [f"sip:{kamailio.address};transport=tcp", f"{kamailio.uri};transport=tls"]
    register = bench.started(Ours(bench.folder, "register", [
        "sip:bob@127.0.0.1", *(word for flow in flows for word in ("--flow", flow)), "--instance", INSTANCE, *BOB,
        "--listen", f"tcp:{bench.host}:0", "--ca", bench.pki.ca, "--pcap", capture,
    ]))
    for number in (1, 2):
        kamailio.expect(rf"registered: bob .*;reg-id={number}")
    kamailio.asked(bench)
    for transport in ("tcp", "tls"):
        kamailio.expect(rf"^.*sent to \S+ by {transport}")
    cut = kamailio.asked(bench, "-j", "X-Cut: 1")
    cut.expect(r"SIP/2\.0 200 Cut")
    kamailio.expect(r"cut the flow over TCP")
    time.sleep(0.5)
    before = len(re.findall(r"sent to", kamailio.text()))
    kamailio.asked(bench)
    after = re.findall(r"sent to \S+ by (\w+)", kamailio.text())[before:]
    if after != ["tls"]:
        raise Failed(f"after the cut it went by {after}")
    register.stop()
    # (method or status, Call-ID, source): over each flow, and then over one.
    sources = [source for what, _, source in captured(capture) if what == "OPTIONS"]
    tcp, tls = kamailio.address, kamailio.uri.removeprefix("sip:")
    if sorted(sources) != sorted([tcp, tls, tls]):
        raise Failed(f"OPTIONS came from {sources}, not from {tcp} and {tls}")


INSTANCE = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


def sees_what_passes(reached, bench):
    """Kamailio is told over HEP, and tshark reads in the capture, what passed at the called side of a call."""
    collector, capture = bench.started(Collector(bench.folder)), bench.folder / "uas.pcapng"
    told_at = bench.started(reached(collector)) if reached else collector
    uas = bench.uas("--ring", "100", "--hep", told_at.address, "--pcap", capture)
    bench.call(uas.uri, "--duration", "300").ok()
    collector.expect(r"told of BYE (?:.*\n)+?.*told of 200")
    uas.stop()
    told, read = collector.told(), captured(capture)
    passed = [what for what, *_ in read]
    if passed != ["INVITE", "180", "200", "ACK", "BYE", "200"]:
        raise Failed(f"tshark read {passed}")
    if told != read:
        raise Failed(f"the collector was told {told}, and the capture holds {read}")
    if len({call for _, call, _ in read}) != 1 or {source for what, _, source in read if what in ("180", "200")} != {uas.address}:
        raise Failed(f"not one call, or not from {uas.address}: {read}")


def kamailio_reference():
    def body(answerer, bench):
        kamailio = bench.kamailio()
        called = bench.sipp(answerer)
        bind(bench, kamailio, bench.sipp_uri(called))
        proxied_sipp_call(bench, kamailio).ok()
        called.ok()
        kamailio.routed("ACK")
        kamailio.routed("BYE")

    for transport in BOTH:
        yield Cell("Kamailio", "SIPp through it", transport, "407, Record-Route", functools.partial(body, "uas"))


# ---------------------------------------------------------------- ourselves

ALGORITHMS = ("MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess")


def we_challenge_ourselves(algorithm, bench):
    """What no peer here knows: our `register` and `call` at our own challenges, also within the call."""
    uas = bench.uas("--registrations", "--within-dialogs", *ALICE, "--algorithm", algorithm)
    bench.register("sip:alice@example.com", f"sip:{uas.address}", *ALICE, "--once").ok()
    bench.call(uas.uri, *ALICE, "--duration", "200").ok()
    uas.expect(r"^REGISTER .*: 200")


def our_own_cells():
    for algorithm in ALGORITHMS:
        for transport in BOTH:
            yield Cell("ourselves", "register and call", transport, algorithm, functools.partial(we_challenge_ourselves, algorithm))


# ---------------------------------------------------------------- OpenSSL

OPTIONS = """OPTIONS sip:uas@{address};transport=tls SIP/2.0\r
Via: SIP/2.0/TLS client.invalid;branch=z9hG4bKopenssl;rport\r
Max-Forwards: 70\r
From: <sip:openssl@example.com>;tag=1\r
To: <sip:uas@example.com>\r
Call-ID: openssl@client.invalid\r
CSeq: 1 OPTIONS\r
Content-Length: 0\r
\r
"""


def s_client(bench, uas, *arguments):
    """`openssl s_client` sends OPTIONS; what it shows is in its log."""
    feed = bench.folder / "options"
    feed.write_bytes(OPTIONS.format(address=uas.address).encode())
    command = ["openssl", "s_client", "-connect", uas.address, "-CAfile", bench.pki.ca, "-verify_return_error", "-quiet", *arguments]
    return bench.started(Process("s_client", command, bench.folder, feed=feed))


def openssl_asks(arguments, bench):
    uas = bench.uas()
    s_client(bench, uas, "-verify_ip", "127.0.0.1", *arguments).expect(r"^SIP/2\.0 200 ")


def openssl_shows_a_certificate(bench):
    uas = bench.uas("--require-client-cert")
    cert, key = bench.pki.loopback("client")
    s_client(bench, uas, "-cert", cert, "-key", key).expect(r"^SIP/2\.0 200 ")


def openssl_shows_none(bench):
    uas = bench.uas("--require-client-cert")
    s_client(bench, uas).expect(r"certificate required")


def openssl_serves(alternative, why, bench):
    """Our `call` to a server whose certificate is not good enough."""
    port = free_port()
    cert, key = bench.pki.issue("server", alternative)
    command = ["openssl", "s_server", "-accept", f"{bench.host}:{port}", "-cert", cert, "-key", key, "-quiet"]
    server = bench.started(Process("s_server", command, bench.folder))
    wait_bound(server, port, "tls", bench.host)
    call = bench.call(f"sip:bob@{bench.host}:{port};transport=tls", may_fail=True)
    call.fails()
    call.expect(why)


def openssl_cells():
    table = [
        ("asks us", "OPTIONS over TLS 1.3", functools.partial(openssl_asks, ["-tls1_3"])),
        ("asks us", "OPTIONS over TLS 1.2", functools.partial(openssl_asks, ["-tls1_2"])),
        ("asks us", "client certificate", openssl_shows_a_certificate),
        ("asks us", "client certificate missing", openssl_shows_none),
        ("is called by us", "another domain", functools.partial(openssl_serves, "IP:192.0.2.1", "another domain")),
        ("is called by us", "no SIP domain", functools.partial(openssl_serves, "email:bob@example.com", "no SIP domain")),
    ]
    for direction, scenario, body in table:
        yield Cell("OpenSSL", direction, "tls", scenario, body)


# ---------------------------------------------------------------- sipsak


def sipsak_cells():
    """It only asks: as a server it can do nothing. Its own MESSAGE mode dies of itself (0.9.8.1), so it sends one of a file."""
    table = [
        ("asks us", "OPTIONS", BOTH, functools.partial(sipsak_asks, [], [])),
        ("asks us", "OPTIONS, 401", BOTH, functools.partial(sipsak_asks, [*ALICE, "--algorithm", "MD5"], SIPSAK_ALICE)),
        ("asks us", "MESSAGE", BOTH, sipsak_sends_a_message),
        ("asks us", "flood", ("udp",), sipsak_floods),
        ("registers at us", "401", BOTH, sipsak_registers),
    ]
    for direction, scenario, transports, body in table:
        for transport in transports:
            yield Cell("sipsak", direction, transport, scenario, body)


SIPSAK_ALICE = ["-u", "alice", "-a", "secret"]


def sipsak(bench, uas, *arguments):
    process = bench.started(Sipsak(bench.folder, bench.transport, "-s", f"sip:uas@{uas.address}", *arguments))
    process.ok()
    return process


def sipsak_asks(challenge, credentials, bench):
    """Debian's sipsak knows MD5 only, and ends at the sight of anything else."""
    asked = sipsak(bench, bench.uas(*challenge), *credentials)
    asked.expect(r"^ *SIP/2\.0 200 OK")
    if challenge and "401 Unauthorized" not in asked.text():
        raise Failed("sipsak was not challenged")


def sipsak_sends_a_message(bench):
    uas = bench.uas()
    sipsak(bench, uas, "-f", HERE / "sipsak" / "message.sip")
    uas.expect(r"^MESSAGE \(5 bytes\): 200")


def sipsak_registers(bench):
    uas = bench.uas("--registrations", *ALICE, "--algorithm", "MD5")
    registered = sipsak(bench, uas, "-U", "-i", "-C", "sip:alice@127.0.0.1:5090", "-x", 600, *SIPSAK_ALICE)
    registered.expect(r"All usrloc tests completed successful")
    uas.expect(r"^REGISTER .*: 200")


def sipsak_floods(bench):
    """100 requests at once: none is lost, and the next is answered."""
    uas = bench.uas()
    sipsak(bench, uas, "-F", "-e", 100)
    sipsak(bench, uas).expect(r"^ *SIP/2\.0 200 OK")
    uas.stop()
    live = int(uas.expect(r"^live: transactions=(\d+)")[1])
    if live != 101:
        raise Failed(f"{live} of 101 requests made a transaction")


# ---------------------------------------------------------------- JsSIP and SIP.js

PHONES = ["--user", "alice:alice's secret", "--user", "bob:bob's secret", "--algorithm", "MD5"]  # they know no other


def phones(bench, where, what, server, **options):
    """Runs a part of browser/phones.mjs to its end."""
    trusting = {"NODE_EXTRA_CA_CERTS": str(bench.pki.ca)} if bench.pki else {}
    part = bench.started(Phones(bench.folder, where, what, {"url": server.url, **options}, **trusting))
    part.ok(60)
    part.expect(r"^ok")
    return part


def websocket_server(bench, example, *arguments):
    return bench.started(WebSocketServer(bench.folder, bench.transport, bench.host, example, [*arguments, *bench.shown("server")]))


def server_of_phones(bench):
    return websocket_server(bench, "server", *PHONES)


def phones_converse(stack, where, bench):
    server = server_of_phones(bench)
    phones(bench, where, "converse", server, stack=stack, domain="example.com")
    server.expect(r"(?s)REGISTER \S+: 401.*REGISTER \S+: 200.*((MESSAGE|OPTIONS) \S+ -> \S+: 200.*){4}MESSAGE \S+ -> \S+: 480")


def phones_are_refused(stack, where, bench):
    server = server_of_phones(bench)
    phones(bench, where, "refused", server, stack=stack, domain="example.com")
    if re.search(r"^REGISTER \S+: 200", server.text(), re.M):
        raise Failed("a wrong password was let in")


def browser_calls(bench, *arguments):
    """JsSIP with the browser's own session descriptions. Signalling only: nobody is behind the answer's media."""
    uas = websocket_server(bench, "uas", "--ring", "300", *arguments)
    hangs_up = "--bye-after" not in arguments
    part = phones(bench, "chromium", "call", uas, to=uas.uri, milliseconds=1000 if hangs_up else 0)
    part.expect(r"^ok local" if hangs_up else r"^ok remote")
    uas.expect(r"call 1: confirmed")


def the_page_shows_what_happens(bench):
    """The page of `--web` in Chromium: a registration and a call appear, whose caller's name would like to be HTML."""
    uas = bench.uas("--registrations", "--web", "0")
    url = uas.expect(r"^page at (http://\S+)")[1]
    name = "<img src=x onerror=window.hacked=1>"
    seen = {"url": url, "aor": "sip:bob@127.0.0.1", "caller": name, "steps": ["INVITE", "180 Ringing", "ACK", "BYE"]}
    page = bench.started(Watching(bench.folder, seen))
    page.expect(r"^opened", 30)
    bench.register("sip:bob@127.0.0.1", f"sip:{uas.address}", "--once").ok()
    page.expect(r"^registered")
    caller = bench.sipp(Renamed("uac", {'"SIPp"': f'"{name}"'}), uas.address)
    caller.ok()
    page.ok(30)
    page.expect(r"^ok")


def browser_cells():
    yield Cell("Chromium", "watches our page", "udp", "registration, call and ladder appear", the_page_shows_what_happens)
    for name, stack in (("JsSIP", "jssip"), ("SIP.js", "sipjs")):
        for where, transport in (("node", "ws"), ("node", "wss"), ("chromium", "wss")):
            place = {"node": "in Node.js", "chromium": "in Chromium"}[where]
            scenario = "REGISTER with digest, MESSAGE and OPTIONS both ways"
            yield Cell(name, place, transport, scenario, functools.partial(phones_converse, stack, where))
        yield Cell(name, "in Node.js", "wss", "wrong password", functools.partial(phones_are_refused, stack, "node"))
    yield Cell("JsSIP", "in Chromium calls us", "wss", "BYE from the browser", browser_calls)
    yield Cell("JsSIP", "in Chromium calls us", "wss", "BYE from us", lambda bench: browser_calls(bench, "--bye-after", "500"))
