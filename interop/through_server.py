"""The cells of what passes through our example `server`: who registers there by digest, and calls who is registered there.

When a cell is over the server has to end at once with nothing left, and to have taken no message for wrong (`Server.check`).
"""

import functools
import socket

import names
import presence
from bench import BOTH, Cell
from peers import Beside, Copied, Failed, Pair, Phones, Renamed, Sipp, Watching, free_port
from script import Script

ALICE, BOB, CAROL = (f"sip:{user}@example.com" for user in ("alice", "bob", "carol"))

# ---------------------------------------------------------------- SIPp to SIPp


def proof(user, uri):
    """What SIPp answers challenges with; told no Request-URI it would answer for the address of the server."""
    return ["-au", user, "-ap", "secret", "-auth_uri", uri.removeprefix("sip:")]


def registers(bench, server, user, contact, transport=None):
    """SIPp registers with digest, by whatever `server` stands for: the server, or a proxy before it."""
    texts = {"@127.0.0.1": "@example.com", "REGISTER sip:[remote_ip]:[remote_port];transport=[transport]": "REGISTER sip:example.com",
             "Expires: 600": "Expires: 600\n    Supported: path"}
    sipp = Sipp(bench.folder, Renamed("register", texts), transport or bench.transport, bench.host, server.address, service=user,
                keys={"contact": contact}, arguments=proof(user, "example.com"))
    bench.started(sipp).ok()


def called(bench, server, script, user="bob", transport=None, **options):
    """SIPp waits for a call, and is registered."""
    transport = transport or bench.transport
    sipp = bench.started(Sipp(bench.folder, script, transport, bench.host, **options))
    registers(bench, server, user, sipp_uri(bench, sipp, user, transport), transport)
    return sipp


def sipp_uri(bench, sipp, user, transport=None):
    transport = transport or bench.transport
    return f"sip:{user}@{bench.host}:{sipp.port}" + ("" if transport == "udp" else f";transport={transport}")


def calling(bench, server, script, user="alice", to=BOB, **options):
    return bench.sipp(script, server.address, arguments=proof(user, to), **options)


def calls(script, caller=ALICE, to=BOB):
    """A leg that calls; one of our users is challenged (407), and calls again."""
    leg = script.calls(through=(caller, to))
    invite = leg.asks("INVITE", sdp="sendrecv")
    return leg, leg.proves(invite, 407, sdp="sendrecv") if caller == ALICE else invite


def is_called(script, caller=ALICE, recorded=""):
    """What came through a proxy that stays in the path; that matches what is `recorded`."""
    headers = {"From": caller, "body": "m=audio", **({"msg": recorded} if recorded else {})}
    return script.is_called(headers, routed=True)


def ended(*sipps):
    for sipp in sipps:
        sipp.ok()


def caller_acts(caller=ALICE, to=BOB, recorded=""):
    """A call with hold and resume by the caller, who hangs up: what SIPp does on both sides."""
    calling, called = Script("calls_and_holds"), Script("is_called_and_held")
    offers = (("sendonly", "recvonly"), ("sendrecv", "sendrecv"))
    leg, invite = calls(calling, caller, to)
    leg.gets(180, invite)
    leg.gets(200, invite, {"body": "a=sendrecv"})
    leg.acks(invite)
    for offer, answer in offers:
        invite = leg.asks("INVITE", sdp=offer)
        leg.gets(200, invite, {"body": f"a={answer}"})
        leg.acks(invite)
    leg.gets(200, leg.asks("BYE"))
    leg, invite = is_called(called, caller, recorded)
    leg.answers(invite, 180)
    leg.answers(invite, 200, sdp="sendrecv")
    leg.is_asked("ACK", lacks=["Route"])
    for offer, answer in offers:
        leg.answers(leg.is_asked("INVITE", {"body": f"a={offer}"}, lacks=["Route"]), 200, sdp=answer)
        leg.is_asked("ACK", lacks=["Route"])
    leg.answers(leg.is_asked("BYE", lacks=["Route"]), 200)
    return calling, called


def called_side_acts(caller=ALICE, to=BOB, recorded=""):
    """A call with hold by the called side, which hangs up."""
    calling, called = Script("calls_and_is_held"), Script("is_called_and_holds")
    leg, invite = calls(calling, caller, to)
    leg.gets(200, invite)
    leg.acks(invite)
    leg.answers(leg.is_asked("INVITE", {"body": "a=sendonly"}, lacks=["Route"]), 200, sdp="recvonly")
    leg.is_asked("ACK", lacks=["Route"])
    leg.answers(leg.is_asked("BYE", lacks=["Route"]), 200)
    leg, invite = is_called(called, caller, recorded)
    leg.answers(invite, 200, sdp="sendrecv")
    leg.is_asked("ACK", lacks=["Route"])
    invite = leg.asks("INVITE", sdp="sendonly")
    leg.gets(200, invite, {"body": "a=recvonly"})
    leg.acks(invite)
    leg.gets(200, leg.asks("BYE"))
    return calling, called


def call(who_acts, callee_transport, bench):
    caller, callee = who_acts()
    server = bench.server()
    answering = called(bench, server, callee, transport=callee_transport)
    ended(calling(bench, server, caller), answering)


def cancels(bench):
    """200 to the CANCEL, 487 to the INVITE; the called side rings no more."""
    caller, callee = Script("cancels"), Script("is_cancelled")
    leg, invite = calls(caller)
    leg.gets(180, invite)
    leg.gets(200, leg.cancels(invite))
    leg.gets(487, invite)
    leg.acks_refusal(invite)
    rings_until_cancelled(callee)
    server = bench.server()
    answering = called(bench, server, callee)
    ended(calling(bench, server, caller), answering)


def rings_until_cancelled(script):
    leg, invite = is_called(script)
    leg.answers(invite, 180)
    leg.answers(leg.is_asked("CANCEL"), 200)
    leg.answers(invite, 487)
    leg.is_asked("ACK")


def is_refused(status, bench):
    caller, callee = Script("is_refused"), Script("refuses")
    leg, invite = calls(caller)
    leg.gets(180, invite)
    leg.gets(status, invite)
    leg.acks_refusal(invite)
    leg, invite = is_called(callee)
    leg.answers(invite, 180)
    leg.answers(invite, status)
    leg.is_asked("ACK")
    server = bench.server()
    answering = called(bench, server, callee)
    ended(calling(bench, server, caller), answering)


def reaches_nobody(bench):
    """480 for who is not registered, 404 for who is not known, 403 for who is somebody else; 407 again for a wrong password."""
    server = bench.server()
    for status, to, user, password in ((480, BOB, "alice", "secret"), (404, "sip:nobody@example.com", "alice", "secret"),
                                       (403, BOB, "carol", "secret"), (407, BOB, "alice", "wrong")):
        script = Script(f"gets_{status}")
        leg, invite = calls(script, to=to)
        leg.gets(status, invite)
        leg.acks_refusal(invite)
        bench.sipp(script, server.address, arguments=["-au", user, "-ap", password, "-auth_uri", to.removeprefix("sip:")]).ok()


def two_phones_ring(bench):
    """The callee has two: one answers, the other is cancelled."""
    caller, first, second = Script("calls_two"), Script("answers"), Script("is_cancelled")
    leg, invite = calls(caller)
    leg.gets(180, invite, optional=True)
    leg.gets(180, invite, optional=True)
    leg.gets(200, invite)
    leg.acks(invite)
    leg.gets(200, leg.asks("BYE"))
    leg, invite = is_called(first)
    leg.answers(invite, 180)
    first.pauses(500)
    leg.answers(invite, 200, sdp="sendrecv")
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    rings_until_cancelled(second)
    server = bench.server()
    phones = [called(bench, server, script) for script in (first, second)]
    ended(calling(bench, server, caller), *phones)


def repeats_the_2xx(bench):
    """Each 2xx reaches the caller, and each ACK the called side; for want of one the 2xx comes again."""
    caller, callee = Script("loses_an_ack"), Script("repeats_its_2xx")
    leg, invite = calls(caller)
    leg.gets(200, invite)
    leg.acks(invite)
    leg.gets(200, invite)
    leg.gets(200, invite)
    leg.acks(invite)
    leg.gets(200, leg.asks("BYE"))
    leg, invite = is_called(callee)
    leg.answers(invite, 200, sdp="sendrecv")
    leg.is_asked("ACK")
    for pause in (200, 0):
        leg.version -= 1
        leg.answers(invite, 200, sdp="sendrecv")
        if pause:
            callee.pauses(pause)
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    server = bench.server()
    answering = called(bench, server, callee, repeats=True)
    ended(calling(bench, server, caller, repeats=True), answering)


def nobody_answers(bench):
    """Where the phone was there is silence: 408 after 64*T1."""
    script = Script("gets_408")
    leg, invite = calls(script)
    leg.gets(408, invite)
    leg.acks_refusal(invite)
    server = bench.server()
    server.may_count = ("timed_out",)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((bench.host, 0))
        registers(bench, server, "bob", f"sip:bob@{bench.host}:{silent.getsockname()[1]}")
        calling(bench, server, script, patience=45).ok(60)


def sipp_cells():
    table = [
        ("407, re-INVITE and BYE of the caller", functools.partial(call, caller_acts, None)),
        ("re-INVITE and BYE of the called side", functools.partial(call, called_side_acts, None)),
        ("CANCEL", cancels),
        ("486", functools.partial(is_refused, 486)),
        ("480, 404, 403, 407", reaches_nobody),
        ("two phones, one answers", two_phones_ring),
        ("repeated 2xx, lost ACK", repeats_the_2xx),
    ]
    for scenario, body in table:
        for transport in BOTH:
            yield Cell("SIPp", "through server", transport, scenario, body)
    for here, there in (BOTH, reversed(BOTH)):
        for whose, who_acts in (("caller", caller_acts), ("called side", called_side_acts)):
            yield Cell("SIPp", "through server", here, f"to {there}, re-INVITE and BYE of the {whose}", functools.partial(call, who_acts, there))
    yield Cell("SIPp", "through server", "udp", "no answer: 408", nobody_answers, waits=True)


# ---------------------------------------------------------------- Kamailio beside it


def each_acts(bench, entry, answering, caller=ALICE, to=BOB, route=(), port=None):
    """Two calls that come in at `entry`, in each of which another side holds and hangs up. Record-Route names these proxies, the last first."""
    port = port or free_port(2)
    recorded = "Record-Route: " + ">[^>]*".join(rf"<sip:{proxy.address}[;>][^>]*" for proxy in route)
    for who_acts in (caller_acts, called_side_acts):
        calling_script, called_script = who_acts(caller, to, recorded)
        phone = answering(called_script, port=port)
        ended(calling(bench, entry, calling_script, to=to), phone)


def out_to_kamailio(bench):
    """A user of ours calls a foreign domain, which NAPTR, SRV and A records say to be Kamailio's."""
    port, service = free_port(2), f"_sip._{bench.transport}.example.net"
    kamailio = bench.started(Beside(bench.folder, bench.host, "sip:nobody.invalid", f"sip:carol@{bench.host}:{port}{bench.suffix()}"))
    dns = bench.started(names.NameServer({
        ("example.net", "NAPTR"): [names.naptr(1, {"udp": "SIP+D2U", "tcp": "SIP+D2T"}[bench.transport], service)],
        (service, "SRV"): [names.srv(1, kamailio.port, "kamailio.example.net")],
        ("kamailio.example.net", "A"): [names.a("127.0.0.1")],
    }))
    server = bench.server("--dns", dns.address)
    each_acts(bench, server, bench.sipp, to="sip:carol@example.net", route=(kamailio, server), port=port)
    kamailio.expect(r"for us: INVITE from sip:alice@example\.com")


def in_from_kamailio(bench):
    """Somebody of a foreign domain calls a user of ours, who is reached without digest."""
    server = bench.server()
    kamailio = bench.started(Beside(bench.folder, bench.host, server.uri, "sip:nobody.invalid"))
    each_acts(bench, kamailio, functools.partial(called, bench, server), caller="sip:carol@example.net", route=(server, kamailio))


def behind_kamailio(bench):
    """Two users of ours behind Kamailio: it lets their REGISTERs through with a Path, and sees each request twice."""
    server = bench.server()
    kamailio = bench.started(Beside(bench.folder, bench.host, server.uri, "sip:nobody.invalid"))
    each_acts(bench, kamailio, functools.partial(called, bench, kamailio), route=(kamailio, server, kamailio))
    kamailio.expect(r"by its path: INVITE sip:bob@127\.0\.0\.1")


def kamailio_cells():
    table = [
        ("calls out to its domain", out_to_kamailio),
        ("calls in from its domain", in_from_kamailio),
        ("users behind it, Path", behind_kamailio),
    ]
    for scenario, body in table:
        for transport in BOTH:
            yield Cell("Kamailio", "through server", transport, f"{scenario}, each side holds and hangs up", body)


# ---------------------------------------------------------------- baresip to baresip


def baresip(bench, server, aor, media="", transport=None, **options):
    """One that is registered, with digest."""
    user, uri = aor.split(":")[1].split("@")[0], f"sip:{server.address}" if transport == "udp" else server.uri
    extra = f';auth_user={user};auth_pass=secret;outbound="{uri}"{media}'
    phone = bench.baresip(aor=aor, extra=extra, interval=60, transport=transport, **options)
    # The event of it may be over before anybody listens.
    phone.expect(rf"^{user}@example\.com: .* 200 OK .*\[1 binding\]", 20)
    return phone


def established(alice, bob, uri=BOB):
    alice.command("dial", uri)
    bob.event("CALL_INCOMING")
    alice.event("CALL_RINGING")
    bob.command("accept")
    alice.event("CALL_ESTABLISHED")
    bob.event("CALL_ESTABLISHED")


def answered(phone, request, count):
    """The trace shows that many requests of that method, each with its 200."""
    phone.expect(rf"(?:SIP/2\.0 200 (?:[^\r\n]+\r?\n)+?CSeq: \d+ {request}(?s:.*?)){{{count}}}")


def baresip_holds(bench):
    """A call, hold and resume by the caller; the called side hangs up."""
    server = bench.server()
    alice, bob = baresip(bench, server, ALICE), baresip(bench, server, BOB)
    established(alice, bob)
    alice.command("hold")
    bob.expect(r"a=sendonly(?s:.*)SIP/2\.0 200 (?s:.*)a=(recvonly|inactive)")
    answered(alice, "INVITE", 2)
    alice.command("resume")
    bob.expect(r"a=(recvonly|inactive)(?s:.*)a=sendrecv(?s:.*)SIP/2\.0 200 (?s:.*)a=sendrecv")
    answered(alice, "INVITE", 3)
    bob.command("hangup")
    alice.event("CALL_CLOSED")
    answered(bob, "BYE", 1)


def baresip_transfers(bench):
    """alice refers bob to carol, and hangs up when she hears that he got there; then carol hangs up."""
    server = bench.server()
    alice, bob, carol = (baresip(bench, server, aor) for aor in (ALICE, BOB, CAROL))
    established(alice, bob)
    alice.command("transfer", CAROL)
    carol.event("CALL_INCOMING")
    carol.command("accept")
    carol.event("CALL_ESTABLISHED")
    alice.event("CALL_CLOSED")
    answered(bob, "BYE", 1)
    alice.expect(r"message/sipfrag(?s:.*)SIP/2\.0 200 OK")
    carol.command("hangup")
    answered(carol, "BYE", 1)


def baresip_writes(bench):
    server = bench.server()
    alice, bob = baresip(bench, server, ALICE, contacts=[BOB]), baresip(bench, server, BOB, contacts=[ALICE])
    for one, other, text in ((alice, bob, "good morning"), (bob, alice, "good evening")):
        one.command("message", text)
        other.expect(rf"^{text}")
        answered(one, "MESSAGE", 1)


def baresip_watches(bench):
    """alice subscribes to bob's presence with digest, and is told within that dialog how it changes."""
    server = bench.server()
    bob = baresip(bench, server, BOB, modules=["presence"])
    alice = baresip(bench, server, ALICE, contacts=[BOB], modules=["presence"])
    alice.expect(r"SUBSCRIBE sip:bob@example\.com(?s:.*)407(?s:.*)SUBSCRIBE(?s:.*)SIP/2\.0 20[02] ", 20)
    for command, shown in (("presence_online", "Online"), ("presence_offline", "Offline"), ("presence_online", "Online")):
        bob.command(command)
        presence.shows(alice, shown)


def baresip_cells():
    table = [
        ("call, hold, resume, BYE", baresip_holds),
        ("blind transfer", baresip_transfers),
        ("MESSAGE both ways", baresip_writes),
        ("presence: SUBSCRIBE and NOTIFY", baresip_watches),
    ]
    for scenario, body in table:
        for transport in (*BOTH, "tls"):
            yield Cell("baresip", "through server", transport, scenario, body)


# ---------------------------------------------------------------- browsers

STACKS = {"jssip": "JsSIP", "sipjs": "SIP.js"}


def browsers_call(caller, called, hangs_up, bench):
    server = bench.server()
    users = [[user, "secret"] for user in ("alice", "bob")]
    options = {"caller": caller, "called": called, "hangsUp": hangs_up, "url": server.url, "domain": server.DOMAIN, "users": users}
    pair = bench.started(Pair(bench.folder, options))
    pair.ok(120)
    pair.expect(r"^ok")


def the_page_to_copy_calls(bench):
    """examples/browser.html, which README.md shows."""
    page = bench.started(Copied(bench.folder, {"url": bench.server().url}))
    page.ok(120)
    page.expect(r"^ok")


def browser_cells():
    yield Cell("JsSIP", "in examples/browser.html", "ws", "registration, call with audio both ways, BYE", the_page_to_copy_calls)
    for caller, called, hangs_up in (("jssip", "sipjs", "caller"), ("sipjs", "jssip", "called")):
        body = functools.partial(browsers_call, caller, called, hangs_up)
        yield Cell(STACKS[caller], f"calls {STACKS[called]} through server", "wss", "audio both ways, hold, resume, BYE", body)
    # Without SRTP baresip and a browser have nothing to say to each other.
    table = [
        ("calls baresip", "jssip", browser_calls_baresip, "audio both ways, DTLS-SRTP", WEBRTC, "up"),
        ("is called by baresip", "sipjs", baresip_calls_browser, "audio both ways, DTLS-SRTP", WEBRTC, "up"),
        ("calls baresip", "sipjs", browser_calls_baresip, "RTP alone: 488", {}, "488 .*"),
        ("is called by baresip", "jssip", baresip_calls_browser, "RTP alone: 488", {}, ".*"),
    ]
    for direction, stack, body, scenario, media, outcome in table:
        yield Cell(STACKS[stack], f"{direction} through server", "wss", scenario, functools.partial(body, stack, media, outcome))
    yield Cell("Chromium", "through server", "udp", "registration, call and ladder appear on its page", the_page_shows_it)


WEBRTC = dict(settings=["module srtp.so", "module dtls_srtp.so", "module ice.so", "rtcp_mux yes"], media=";mediaenc=dtls_srtp;medianat=ice")


def one_phone(bench, server, what, stack, **options):
    """alice, with one of the browsers' stacks, in a page."""
    options = {"stack": stack, "url": server.url, "domain": server.DOMAIN, "user": "alice", "password": "secret", **options}
    return bench.started(Phones(bench.folder, "chromium", what, options))


def browser_calls_baresip(stack, media, outcome, bench):
    server = bench.server()
    bob = baresip(bench, server, BOB, **media, transport="udp", answer="auto")
    page = one_phone(bench, server, "places", stack, to=BOB)
    page.ok(90)
    page.expect(rf"^ok {outcome}: ")
    if outcome == "up":
        bob.expect("incoming rtp for 'audio' established")
        bob.event("CALL_ESTABLISHED")
        bob.event("CALL_CLOSED")


def baresip_calls_browser(stack, media, outcome, bench):
    server = bench.server()
    bob = baresip(bench, server, BOB, **media, transport="udp")
    page = one_phone(bench, server, "takes", stack)
    page.expect(r"registered", 60)
    bob.command("dial", ALICE)
    if outcome == "up":
        page.expect(r"audio$", 60)
        bob.expect("incoming rtp for 'audio' established")
        bob.command("hangup")
    elif "488" not in (why := bob.event("CALL_CLOSED", 30)):
        raise Failed(f"baresip closed with {why!r}, not 488")
    page.ok(90)
    page.expect(rf"^ok {outcome}: ")


def the_page_shows_it(bench):
    """The page of `--web` in Chromium: the registration and the call appear, whose caller's name would like to be HTML."""
    name = "<img src=x onerror=window.hacked=1>"
    caller, callee = Script("calls_by_a_name"), Script("is_called")
    leg = caller.calls(through=(CAROL, BOB))
    leg.local = f'"{name}" {leg.local.replace("example.com", "example.net")}'
    invite = leg.asks("INVITE", sdp="sendrecv")
    leg.gets(180, invite)
    leg.gets(200, invite)
    leg.acks(invite)
    leg.gets(200, leg.asks("BYE"))
    leg, invite = callee.is_called(routed=True)
    leg.answers(invite, 180)
    leg.answers(invite, 200, sdp="sendrecv")
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    server = bench.server("--web", "0")
    url = server.expect(r"^page at (http://\S+)")[1]
    page = bench.started(Watching(bench.folder, {"url": url, "aor": BOB, "caller": name, "steps": ["INVITE", "180 Ringing", "ACK", "BYE"]}))
    page.expect(r"^opened", 60)
    answering = called(bench, server, callee)
    page.expect(r"^registered", 30)
    ended(calling(bench, server, caller), answering)
    page.ok(60)
    page.expect(r"^ok")


def cells():
    return [*sipp_cells(), *kamailio_cells(), *baresip_cells(), *browser_cells()]
