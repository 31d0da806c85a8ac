"""The cells of what happens within a call, with SIPp: reliable provisional responses, UPDATE, session timers, glare, forking, transfer.

Each writes down what SIPp does (script.py), and tells our `phone` what to do when.
"""

import functools

from bench import BOTH, Cell
from script import Script

# ---------------------------------------------------------------- reliable provisional responses (RFC 3262)


def is_pracked(bench):
    """183 with the answer, then 180, each with its PRACK; the 200 needs no session description any more."""
    script = Script("pracks")
    leg = script.calls()
    invite = leg.asks("INVITE", "Require: 100rel", sdp="sendrecv")
    leg.gets(183, invite, {"Require": "100rel", "body": "m=audio"}, keep={"first": ("RSeq", "[0-9]+")})
    leg.gets(200, leg.asks("PRACK", "RAck: [$a_first] 1 INVITE"))
    leg.gets(180, invite, {"Require": "100rel"}, keep={"second": ("RSeq", "[0-9]+")})
    leg.gets(200, leg.asks("PRACK", "RAck: [$a_second] 1 INVITE"))
    leg.gets(200, invite)
    leg.acks(invite)
    hangs_up(leg)
    phone, sipp = called(bench, script)
    for order in ("progress", "ring"):
        phone.tell(order)
        phone.hears("acknowledged")
    phone.tell("accept")
    phone.hears("confirmed")
    ended(phone, sipp)


def loses_a_prack(bench):
    """The 183 is repeated for want of a PRACK; one of another RAck is refused by 481, and so is one that comes twice."""
    script = Script("loses_a_prack")
    leg = script.calls()
    invite = leg.asks("INVITE", "Require: 100rel", sdp="sendrecv")
    leg.gets(183, invite, keep={"first": ("RSeq", "[0-9]+")})
    leg.gets(183, invite, {"RSeq": "[0-9]+"})
    leg.gets(481, leg.asks("PRACK", "RAck: [$a_first] 2 INVITE"))
    leg.gets(481, leg.asks("PRACK", "RAck: 4294967295 1 INVITE"))
    leg.gets(200, leg.asks("PRACK", "RAck: [$a_first] 1 INVITE"))
    script.pauses(2500)  # more than the next repetition takes
    leg.gets(481, leg.asks("PRACK", "RAck: [$a_first] 1 INVITE"))
    leg.gets(200, leg.asks("INFO"))
    leg.gets(200, invite)
    leg.acks(invite)
    hangs_up(leg)
    phone, sipp = called(bench, script, repeats=True)
    phone.tell("progress")
    phone.hears("acknowledged")
    phone.hears("INFO")
    phone.tell("accept")
    ended(phone, sipp)


def offers_in_a_183(bench):
    """SIPp leaves the offer to us: it comes in the reliable 183, and SIPp's answer in the PRACK."""
    script = Script("answers_in_a_prack")
    leg = script.calls()
    invite = leg.asks("INVITE", "Require: 100rel")
    leg.gets(183, invite, {"Require": "100rel", "body": "m=audio"}, keep={"first": ("RSeq", "[0-9]+")})
    leg.gets(200, leg.asks("PRACK", "RAck: [$a_first] 1 INVITE", sdp="sendonly"))
    leg.gets(200, invite)
    leg.acks(invite)
    update = leg.asks("UPDATE", sdp="sendrecv")  # the answer was taken: there is room for an offer
    leg.gets(200, update, {"body": "a=sendrecv"})
    hangs_up(leg)
    phone, sipp = called(bench, script)
    phone.tell("progress")
    phone.hears("acknowledged")
    phone.tell("accept")
    phone.hears("UPDATE: sendrecv")
    ended(phone, sipp)


def is_never_pracked(bench):
    """RFC 3262 §3: after 64*T1 without a PRACK the INVITE is refused by a 5xx."""
    script = Script("never_pracks")
    leg = script.calls()
    invite = leg.asks("INVITE", "Require: 100rel", sdp="sendrecv")
    for _ in range(7):  # at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s
        leg.gets(183, invite)
    leg.gets(504, invite)
    leg.acks_refusal(invite)
    phone, sipp = called(bench, script, repeats=True, patience=40)
    phone.tell("progress")
    sipp.ok(60)
    phone.hears("over")


def refuses(status, require, expected, phone_options):
    """Who asks for 100rel of one that has it not, or has it not where it is a must."""

    def body(bench):
        script = Script(f"is_refused_by_{status}")
        leg = script.calls()
        invite = leg.asks("INVITE", *require, sdp="sendrecv")
        leg.gets(status, invite, expected)
        leg.acks_refusal(invite)
        phone = bench.phone(*phone_options)
        bench.sipp(script, phone.address).ok()

    return body


def pracks(bench):
    """SIPp answers by a reliable 183, then 180: a PRACK for each. Of the 200 the session is no news."""
    script = Script("is_pracked")
    leg, invite = script.is_called({"Supported": "100rel", "body": "m=audio"})
    leg.answers(invite, 183, "Require: 100rel", "RSeq: 17", sdp="sendrecv")
    leg.answers(leg.is_asked("PRACK", {"RAck": "^ *17 [0-9]+ INVITE"}), 200)
    leg.answers(invite, 180, "Require: 100rel", "RSeq: 18")
    leg.answers(leg.is_asked("PRACK", {"RAck": "^ *18 [0-9]+ INVITE"}), 200)
    leg.answers(invite, 200)
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = calling(bench, script)
    phone.hears("183")
    phone.hears("180")
    phone.hears("answered")
    phone.tell("hang-up")
    sipp.ok()


def pracks_once_and_in_order(bench):
    """A repeated 183 has been acknowledged, and one that came out of order is not before the one that was missing."""
    script = Script("repeats_and_reorders")
    leg, invite = script.is_called({"Supported": "100rel"})
    leg.answers(invite, 183, "Require: 100rel", "RSeq: 17", sdp="sendrecv")
    prack = leg.is_asked("PRACK", {"RAck": "^ *17 "})
    if bench.transport == "udp":
        prack = leg.is_asked("PRACK", {"RAck": "^ *17 "})  # it takes silence for a loss
    leg.answers(prack, 200)
    leg.version -= 1
    leg.answers(invite, 183, "Require: 100rel", "RSeq: 17", sdp="sendrecv")
    leg.answers(invite, 180, "Require: 100rel", "RSeq: 19")
    script.pauses(700)
    leg.answers(invite, 183, "Require: 100rel", "RSeq: 18")
    leg.answers(leg.is_asked("PRACK", {"RAck": "^ *18 "}), 200)
    leg.answers(invite, 180, "Require: 100rel", "RSeq: 19")
    leg.answers(leg.is_asked("PRACK", {"RAck": "^ *19 "}), 200)
    leg.answers(invite, 200)
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = calling(bench, script, repeats=True)
    phone.hears("answered")
    phone.tell("hang-up")
    sipp.ok()


def answers_in_a_prack(bench):
    """We leave the offer to SIPp: it comes in its reliable 183, and our answer goes in the PRACK."""
    script = Script("offers_in_a_183")
    leg, invite = script.is_called({"Supported": "100rel"})
    leg.answers(invite, 183, "Require: 100rel", "RSeq: 1", sdp="sendonly")
    leg.answers(leg.is_asked("PRACK", {"RAck": "^ *1 ", "body": "a=recvonly"}), 200)
    leg.answers(invite, 200)
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = calling(bench, script, order="ask")
    phone.hears("answered")
    phone.tell("hang-up")
    sipp.ok()


def does_without(bench):
    """RFC 3261 §8.1.3.5: after a 420 the call is placed again without what was required."""
    script = Script("knows_no_100rel")
    leg, invite = script.is_called({"Require": "100rel"})
    leg.answers(invite, 420, "Unsupported: 100rel")
    leg.is_asked("ACK")
    again = leg.is_asked("INVITE", {"CSeq": " 2 INVITE"}, lacks=["Require"], initial=True)
    leg.answers(again, 486)
    leg.is_asked("ACK")
    phone, sipp = calling(bench, script, "--reliable", "required")
    sipp.ok()
    phone.hears("over: .*486")


# ---------------------------------------------------------------- offers in the 2xx (RFC 3261 §13.2.1, §14)


def offers_in_a_200(bench):
    """SIPp leaves the offer to us, in its INVITE and in a re-INVITE: its answers come in the ACK."""
    script = Script("answers_in_an_ack")
    leg = script.calls()
    for _ in range(2):
        invite = leg.asks("INVITE", UPDATES)
        leg.gets(200, invite, {"body": "m=audio"})
        leg.acks(invite, sdp="sendrecv")
    leg.gets(200, leg.asks("UPDATE", sdp="sendonly"), {"body": "a=recvonly"})  # both answers were taken
    hangs_up(leg)
    phone, sipp = called(bench, script)
    phone.tell("accept")
    phone.hears("UPDATE: recvonly")
    ended(phone, sipp)


def answers_in_an_ack(bench):
    """We leave the offer to SIPp: it comes in the 200, and our answer goes in the ACK."""
    script = Script("offers_in_a_200")
    leg, invite = script.is_called()
    leg.answers(invite, 200, sdp="sendonly")
    leg.is_asked("ACK", {"Content-Type": "application/sdp", "body": "a=recvonly"})
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = calling(bench, script, order="ask")
    phone.hears("answered")
    sipp.reaches("ACK sip:")
    phone.tell("hang-up")
    sipp.ok()


# ---------------------------------------------------------------- UPDATE (RFC 3311)

UPDATES = "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, MESSAGE, REFER, NOTIFY"


def updates_us(bench):
    """SIPp changes the session while it rings here, by an UPDATE, and again when the call is up."""
    script = Script("updates")
    leg = script.calls()
    invite = is_answered_early(leg)
    leg.gets(200, leg.asks("UPDATE", sdp="sendonly"), {"body": "a=recvonly", "Contact": "sip:"})
    leg.gets(200, invite)
    leg.acks(invite)
    leg.gets(200, leg.asks("UPDATE", sdp="sendrecv"), {"body": "a=sendrecv"})
    leg.gets(200, leg.asks("UPDATE"))  # without an offer it changes no session
    hangs_up(leg)
    phone, sipp = called(bench, script)
    phone.tell("progress")
    phone.hears("UPDATE: recvonly")
    phone.tell("accept")
    phone.hears("UPDATE: sendrecv")
    ended(phone, sipp)


def is_updated_by_the_callee(bench):
    """We do the same as the callee: hold by UPDATE before the answer, resume by UPDATE after it."""
    script = Script("is_updated")
    leg = script.calls()
    invite = is_answered_early(leg)
    leg.answers(leg.is_asked("UPDATE", {"body": "a=sendonly"}), 200, sdp="recvonly")
    leg.gets(200, invite)
    leg.acks(invite)
    leg.answers(leg.is_asked("UPDATE", {"body": "a=sendonly"}), 200, sdp="recvonly")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = called(bench, script)
    phone.tell("progress")
    phone.hears("acknowledged")
    phone.tell("hold")
    phone.hears("hold: sendonly")
    phone.tell("accept")
    phone.hears("confirmed")
    phone.tell("update")
    phone.hears("update: sendonly")
    phone.tell("hang-up")
    sipp.ok()


def is_answered_early(leg):
    """SIPp's INVITE, and the reliable 183 with our answer, acknowledged."""
    invite = leg.asks("INVITE", "Supported: 100rel", UPDATES, sdp="sendrecv")
    leg.gets(183, invite, {"Require": "100rel", "Allow": "UPDATE"}, keep={"first": ("RSeq", "[0-9]+")})
    leg.gets(200, leg.asks("PRACK", "RAck: [$a_first] 1 INVITE"))
    return invite


def updates_both_ways(bench):
    """We call: an UPDATE of SIPp and one of ours before the answer, and the same after it."""
    script = Script("both_update")
    leg, invite = script.is_called({"Allow": "UPDATE"})
    leg.answers(invite, 183, "Require: 100rel", "RSeq: 1", UPDATES, sdp="sendrecv")
    leg.answers(leg.is_asked("PRACK"), 200)
    leg.gets(200, leg.asks("UPDATE", sdp="sendonly"), {"body": "a=recvonly"})
    leg.answers(leg.is_asked("UPDATE", {"body": "a=sendonly"}), 200, sdp="inactive")
    leg.answers(invite, 200, UPDATES)
    leg.is_asked("ACK")
    leg.gets(200, leg.asks("UPDATE", sdp="sendrecv"), {"body": "a=sendonly"})
    leg.answers(leg.is_asked("UPDATE", {"body": "a=sendonly"}), 200, sdp="recvonly")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = calling(bench, script)
    phone.hears("UPDATE: recvonly")
    phone.tell("hold")
    phone.hears("hold: inactive")
    phone.hears("answered")
    phone.hears("UPDATE: sendonly")
    phone.tell("update")
    phone.hears("update: sendonly")
    phone.tell("hang-up")
    sipp.ok()


def updates_too_early(bench):
    """RFC 3311 §5.2: while SIPp's offer has no answer, another is refused by 500 with Retry-After."""
    script = Script("updates_too_early")
    leg = script.calls()
    invite = leg.asks("INVITE", "Require: 100rel", UPDATES, sdp="sendrecv")
    leg.gets(180, invite, {"Require": "100rel"}, keep={"first": ("RSeq", "[0-9]+")})
    leg.gets(200, leg.asks("PRACK", "RAck: [$a_first] 1 INVITE"))
    leg.gets(500, leg.asks("UPDATE", sdp="sendonly"), {"Retry-After": "^ *([0-9]|10) *$"})
    leg.gets(200, leg.asks("UPDATE"))  # one without an offer collides with nothing
    leg.gets(200, leg.asks("INFO"))
    leg.gets(200, invite, {"body": "a=sendrecv"})
    leg.acks(invite)
    hangs_up(leg)
    phone, sipp = called(bench, script)
    phone.tell("ring")
    phone.hears("acknowledged")
    phone.hears("INFO")
    phone.tell("accept")
    ended(phone, sipp)


def is_updated_too_early(bench):
    """RFC 3311 §5.2: while our own offer has no answer, another is refused by 491."""
    script = Script("updates_before_it_answers")
    leg, invite = script.is_called({"Supported": "100rel"})
    leg.answers(invite, 180, "Require: 100rel", "RSeq: 1", UPDATES)
    leg.answers(leg.is_asked("PRACK"), 200)
    leg.gets(491, leg.asks("UPDATE", sdp="sendonly"))
    leg.answers(invite, 200, UPDATES, sdp="sendrecv")
    leg.is_asked("ACK")
    leg.gets(200, leg.asks("UPDATE", sdp="sendonly"), {"body": "a=recvonly"})
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = calling(bench, script)
    phone.hears("UPDATE: recvonly")
    phone.tell("hang-up")
    sipp.ok()


# ---------------------------------------------------------------- glare (RFC 3261 §14)


def both_reinvite(we_called, bench):
    """Both send a re-INVITE at once: both get 491. Ours comes again after 2.1 to 4 s if the Call-ID is ours, within 2 s if not."""
    script = Script("both_reinvite")
    leg = established(script, we_called)
    ours = leg.is_asked("INVITE", {"body": "a=sendonly"})
    collides = leg.asks("INVITE", sdp="sendonly")
    leg.gets(491, collides)
    leg.acks_refusal(collides)
    leg.answers(ours, 491)
    leg.is_asked("ACK")
    if we_called:
        script.pauses(2000)
    again = leg.is_asked("INVITE", {"body": "a=sendonly"}, within=2600)
    leg.answers(again, 200, sdp="recvonly")
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = up(bench, script, we_called)
    phone.tell("hold")
    phone.hears("hold: sendonly")
    phone.tell("hang-up")
    sipp.ok()


def update_meets_reinvite(bench):
    """RFC 3311 §5.2: an UPDATE with an offer while our re-INVITE waits for its answer gets 491."""
    script = Script("update_meets_reinvite")
    leg = established(script, True)
    ours = leg.is_asked("INVITE", {"body": "a=sendonly"})
    leg.gets(491, leg.asks("UPDATE", sdp="inactive"))
    leg.gets(200, leg.asks("UPDATE"))
    leg.answers(ours, 200, sdp="recvonly")
    leg.is_asked("ACK")
    leg.gets(200, leg.asks("UPDATE", sdp="inactive"), {"body": "a=inactive"})
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = up(bench, script, True)
    phone.tell("hold")
    phone.hears("hold: sendonly")
    phone.hears("UPDATE: inactive")
    phone.tell("hang-up")
    sipp.ok()


# ---------------------------------------------------------------- session timers (RFC 4028)


def is_asked_for_longer(bench):
    """SIPp asks for a session of 60 s: 422 with our Min-SE; then it asks for that."""
    script = Script("asks_for_too_short_a_session")
    leg = script.calls()
    invite = leg.asks("INVITE", "Supported: timer", "Session-Expires: 100", sdp="sendrecv")
    leg.gets(422, invite, {"Min-SE": "^ *120 *$"})
    leg.acks_refusal(invite)
    invite = leg.asks("INVITE", "Supported: timer", "Session-Expires: 120", "Min-SE: 120", sdp="sendrecv")
    leg.gets(200, invite, {"Session-Expires": "120;refresher=ua[cs]", "Require": "timer"})
    leg.acks(invite)
    hangs_up(leg)
    phone = bench.phone("--min-se", "120")
    sipp = bench.sipp(script, phone.address)
    phone.hears("INVITE")
    phone.tell("accept")
    ended(phone, sipp)


def asks_for_longer(bench):
    """SIPp wants longer sessions than ours: after its 422 we ask for as much as it says."""
    script = Script("wants_longer_sessions")
    leg, invite = script.is_called({"Session-Expires": "^ *90", "Supported": "timer"})
    leg.answers(invite, 422, "Min-SE: 200")
    leg.is_asked("ACK")
    again = leg.is_asked("INVITE", {"Session-Expires": "^ *200", "Min-SE": "^ *200", "CSeq": " 2 INVITE"}, initial=True)
    leg.answers(again, 200, "Require: timer", "Session-Expires: 200;refresher=uac", sdp="sendrecv")
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = calling(bench, script, "--session-expires", "90")
    phone.hears("answered")
    phone.tell("hang-up")
    sipp.ok()


LONG = 80


def we_refresh(by, bench):
    """We called, and refresh at half of the interval: by UPDATE where SIPp allows it, else by re-INVITE with the same session."""
    script = Script("is_refreshed_by_the_caller")
    leg, invite = script.is_called({"Session-Expires": "^ *90"})
    lines = [UPDATES] if by == "UPDATE" else []
    leg.answers(invite, 200, "Require: timer", "Session-Expires: 90;refresher=uac", *lines, sdp="sendrecv")
    leg.is_asked("ACK")
    script.pauses(40_000)
    refreshed(leg, by, "uac", *lines)
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = calling(bench, script, "--session-expires", "90", patience=LONG)
    phone.hears("answered")
    sipp.reaches("CSeq: 2 ACK" if by == "INVITE" else "SIP/2.0 200 OK(?s:.*)SIP/2.0 200 OK", 60)
    phone.tell("hang-up")
    sipp.ok()


def we_refresh_as_the_callee(bench):
    script = Script("is_refreshed_by_the_callee")
    leg = script.calls()
    invite = leg.asks("INVITE", "Supported: timer", "Session-Expires: 90;refresher=uas", UPDATES, sdp="sendrecv")
    leg.gets(200, invite, {"Session-Expires": "90;refresher=uas"})
    leg.acks(invite)
    script.pauses(40_000)
    refreshed(leg, "UPDATE", "uac")
    hangs_up(leg)
    phone, sipp = called(bench, script, patience=LONG)
    phone.tell("accept")
    ended(phone, sipp, 60)


def refreshed(leg, by, refresher, *lines):
    """Our refresh comes, between 40 and 50 s after the last, and SIPp accepts it."""
    asked = leg.is_asked(by, {"Session-Expires": f"90;refresher={refresher}"}, within=10_000)
    leg.answers(asked, 200, "Require: timer", f"Session-Expires: 90;refresher={refresher}", *lines, sdp="sendrecv" if by == "INVITE" else None)
    if by == "INVITE":
        leg.is_asked("ACK")


def sipp_refreshes(bench):
    """SIPp refreshes by a re-INVITE that changes nothing: the session lives on past its first interval."""
    script = Script("refreshes")
    leg = script.calls()
    invite = leg.asks("INVITE", "Supported: timer", "Session-Expires: 90;refresher=uac", sdp="sendrecv")
    leg.gets(200, invite, {"Session-Expires": "90;refresher=uac", "Require": "timer"})
    leg.acks(invite)
    script.pauses(30_000)
    leg.version -= 1
    again = leg.asks("INVITE", "Supported: timer", "Session-Expires: 90;refresher=uac", sdp="sendrecv")
    leg.gets(200, again, {"Session-Expires": "90;refresher=uac"})
    leg.acks(again)
    script.pauses(35_000)  # no BYE at 60 s, slightly before the first interval's end
    hangs_up(leg)
    phone, sipp = called(bench, script, patience=LONG)
    phone.tell("accept")
    ended(phone, sipp, 90)


def sipp_does_not_refresh(bench):
    """RFC 4028 §10: no refresh comes, so that we send BYE, slightly before the session expires."""
    script = Script("does_not_refresh")
    leg = script.calls()
    invite = leg.asks("INVITE", "Supported: timer", "Session-Expires: 90;refresher=uac", sdp="sendrecv")
    leg.gets(200, invite, {"Session-Expires": "90;refresher=uac"})
    leg.acks(invite)
    script.pauses(50_000)
    leg.answers(leg.is_asked("BYE", within=20_000), 200)
    phone, sipp = called(bench, script, patience=LONG)
    phone.tell("accept")
    sipp.ok(90)
    phone.hears("over: the session was not refreshed")


def sipp_does_not_refresh_as_the_callee(bench):
    script = Script("does_not_refresh_as_the_callee")
    leg, invite = script.is_called({"Session-Expires": "^ *90;refresher=uas"})
    leg.answers(invite, 200, "Require: timer", "Session-Expires: 90;refresher=uas", sdp="sendrecv")
    leg.is_asked("ACK")
    script.pauses(50_000)
    leg.answers(leg.is_asked("BYE", within=20_000), 200)
    phone, sipp = calling(bench, script, "--session-expires", "90", "--refresher", "peer", patience=LONG)
    sipp.ok(90)
    phone.hears("over: the session was not refreshed")


# ---------------------------------------------------------------- forking (RFC 3261 §13.2.2.4)


def two_answer(bench):
    """Two phones ring and both answer: each 2xx is acknowledged, the later call is hung up, the first goes on."""
    script = Script("two_answer")
    first, invite = script.is_called()
    second = first.fork("b")
    first.answers(invite, 180)
    second.answers(invite, 180)
    first.answers(invite, 200, sdp="sendrecv")
    first.is_asked("ACK", {"To": "-a"})
    second.answers(invite, 200, sdp="sendrecv")
    second.is_asked("ACK", {"To": "-b"})
    second.answers(second.is_asked("BYE", {"To": "-b"}), 200)
    first.answers(first.is_asked("INVITE", {"To": "-a", "body": "a=sendonly"}), 200, sdp="recvonly")
    first.is_asked("ACK", {"To": "-a"})
    first.answers(first.is_asked("BYE", {"To": "-a"}), 200)
    phone, sipp = calling(bench, script)
    phone.hears("answered")
    sipp.reaches(r"BYE ")
    phone.tell("hold")
    phone.hears("hold: sendonly")
    phone.tell("hang-up")
    sipp.ok()


def two_ring_reliably(bench):
    """Each early dialog has answers and RSeqs of its own; an UPDATE of one is not for the other."""
    script = Script("two_ring_reliably")
    first, invite = script.is_called({"Supported": "100rel"})
    second = first.fork("b")
    for leg in (first, second):
        leg.answers(invite, 183, "Require: 100rel", "RSeq: 5", UPDATES, sdp="sendrecv")
        leg.answers(leg.is_asked("PRACK", {"RAck": "^ *5 ", "To": f"-{leg.name}"}), 200)
    second.answers(invite, 180, "Require: 100rel", "RSeq: 6")
    second.answers(second.is_asked("PRACK", {"RAck": "^ *6 ", "To": "-b"}), 200)
    second.answers(invite, 200)
    second.is_asked("ACK", {"To": "-b"})
    second.answers(second.is_asked("BYE", {"To": "-b"}), 200)
    phone, sipp = calling(bench, script)
    phone.hears("answered")
    phone.tell("hang-up")
    sipp.ok()


# ---------------------------------------------------------------- transfer (RFC 3515, RFC 5589)

SIPFRAG = "message/sipfrag;version=2.0"


def is_transferred(target, status, bench):
    """SIPp refers us to another SIPp, and is told by NOTIFY how that goes: at first 100, at last what came of it."""
    third = bench.sipp(target, **(dict(fill={"STATUS": "486 Busy Here"}) if status == 486 else {}))
    script = Script("refers")
    leg = established(script, False)
    refer = leg.asks("REFER", f"Refer-To: <{bench.sipp_uri(third)}>", "Referred-By: <sip:sipp@127.0.0.1>")
    leg.gets(200, refer)  # RFC 6665 §8.3.1: no more 202
    active = {"Event": "refer", "Subscription-State": "active", "Content-Type": "message/sipfrag"}
    leg.answers(leg.is_asked("NOTIFY", {**active, "body": "SIP/2.0 100"}), 200)
    leg.answers(leg.is_asked("NOTIFY", {**active, "body": "SIP/2.0 180"}), 200)
    leg.answers(leg.is_asked("NOTIFY", {"Subscription-State": "terminated;reason=noresource", "body": f"SIP/2.0 {status}"}), 200)
    hangs_up(leg)
    phone, sipp = up(bench, script, False)
    phone.hears("referred to sip:service")
    phone.tell("follow")
    if status == 200:
        phone.hears("call 2: answered")
        phone.hears("call 1: over")
        phone.tell("2 hang-up")
        third.ok()
    else:
        ended(phone, sipp)
    sipp.ok()


def is_connected(bench):
    """SIPp connects us with another SIPp: what Refer-To says of Replaces goes into our INVITE, and Referred-By with it (RFC 3892)."""
    script = Script("is_called_instead")
    third, invite = script.is_called({"Replaces": "^ *1@192.0.2.1;to-tag=2;from-tag=3", "Referred-By": "sip:sipp@127.0.0.1"})
    third.answers(invite, 200, sdp="sendrecv")
    third.is_asked("ACK")
    hangs_up(third)
    called_instead = bench.sipp(script)
    script = Script("connects")
    leg = established(script, False)
    target = f"{bench.sipp_uri(called_instead)}?Replaces=1%40192.0.2.1%3Bto-tag%3D2%3Bfrom-tag%3D3"
    leg.gets(200, leg.asks("REFER", f"Refer-To: <{target}>", "Referred-By: <sip:sipp@127.0.0.1>"))
    leg.answers(leg.is_asked("NOTIFY", {"body": "SIP/2.0 100"}), 200)
    leg.answers(leg.is_asked("NOTIFY", {"Subscription-State": "terminated;reason=noresource", "body": "SIP/2.0 200"}), 200)
    hangs_up(leg)
    phone, sipp = up(bench, script, False)
    phone.hears("referred to sip:service")
    phone.tell("follow")
    sipp.ok()
    called_instead.ok()


def declines_a_transfer(bench):
    script = Script("is_declined")
    leg = established(script, False)
    leg.gets(603, leg.asks("REFER", "Refer-To: <sip:nobody@127.0.0.1>"))
    leg.gets(400, leg.asks("REFER"))  # RFC 3515 §2.4.2: exactly one Refer-To
    hangs_up(leg)
    phone, sipp = up(bench, script, False)
    phone.hears("referred to sip:nobody")
    phone.tell("decline")
    ended(phone, sipp)


def is_transferred_quietly(bench):
    """RFC 4488: with Refer-Sub: false nothing is reported."""
    third = bench.sipp("uas")
    script = Script("refers_quietly")
    leg = established(script, False)
    refer = leg.asks("REFER", "Require: norefersub", "Refer-Sub: false", f"Refer-To: <{bench.sipp_uri(third)}>")
    leg.gets(200, refer, {"Refer-Sub": "false"})
    script.pauses(600)
    hangs_up(leg)
    phone, sipp = up(bench, script, False)
    phone.hears("referred to sip:service")
    phone.tell("follow")
    phone.hears("call 2: answered")
    phone.tell("2 hang-up")
    third.ok()
    sipp.ok()


def transfers(outcome, bench):
    """We refer SIPp, which reports 100, and then what came of it. If it got there we hang up, else the call goes on."""
    script = Script("is_referred")
    leg = established(script, True)
    refer = leg.is_asked("REFER", {"Refer-To": "sip:carol@192.0.2.7", "Referred-By": "sip:phone@", "Contact": "sip:"})
    leg.answers(refer, 202)  # as of old
    reports(leg, "active;expires=60", "100 Trying")
    reports(leg, "terminated;reason=noresource", outcome)
    if not outcome.startswith("2"):
        leg.answers(leg.is_asked("INVITE"), 200, sdp="sendrecv")
        leg.is_asked("ACK")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = up(bench, script, True)
    phone.tell("transfer sip:carol@192.0.2.7")
    phone.hears(f"transfer: Reported.*{outcome[:3]}")
    if not outcome.startswith("2"):
        phone.tell("reinvite")
        phone.hears("reinvite: sendrecv")
        phone.tell("hang-up")
    sipp.ok()


def reports(leg, state, status):
    notify = leg.asks("NOTIFY", "Event: refer", f"Subscription-State: {state}", body=(SIPFRAG, f"SIP/2.0 {status}"))
    leg.gets(200, notify)


def is_declined_a_transfer(bench):
    """After the 603 nothing is subscribed to: a NOTIFY gets 481."""
    script = Script("declines")
    leg = established(script, True)
    leg.answers(leg.is_asked("REFER"), 603)
    leg.gets(481, leg.asks("NOTIFY", "Event: refer", "Subscription-State: active", body=(SIPFRAG, "SIP/2.0 100 Trying")))
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = up(bench, script, True)
    phone.tell("transfer sip:carol@192.0.2.7")
    phone.hears("transfer: Refused.*603")
    sipp.reaches("SIP/2.0 481")
    phone.tell("hang-up")
    sipp.ok()


def transfers_attended(bench):
    """We have two calls, and refer the peer of the first to that of the second: Refer-To holds the Replaces of that dialog."""
    second = Script("takes_over")
    other, invite = second.is_called()
    other.answers(invite, 200, sdp="sendrecv")
    other.is_asked("ACK")
    other.gets(200, other.asks("BYE"))  # as if the first had called with that Replaces
    first = Script("is_referred_with_replaces")
    leg = established(first, True)
    leg.answers(leg.is_asked("REFER", {"Refer-To": r"sip:sipp@[^>]*\?(.*&)?Replaces=[^>]*%3[Bb]to-tag%3[Dd][^>]*%3[Bb]from-tag%3[Dd]"}), 202)
    reports(leg, "active;expires=60", "100 Trying")
    reports(leg, "terminated;reason=noresource", "200 OK")
    leg.answers(leg.is_asked("BYE"), 200)
    phone, sipp = up(bench, first, True)
    sipp_2 = bench.sipp(second)
    phone.tell(f"call {bench.sipp_uri(sipp_2)}")
    phone.hears("call 2: answered")
    phone.tell("1 transfer 2")
    phone.hears("transfer: Reported.*200")
    sipp.ok()
    sipp_2.ok()


# ---------------------------------------------------------------- Replaces (RFC 3891)


def replaces_a_call(bench):
    """An INVITE whose Replaces names a call with us takes its place: that one gets a BYE."""
    script = Script("replaces")
    leg = established(script, False)
    leg.gets(200, leg.asks("OPTIONS"), {"Supported": "replaces"})
    other = script.calls("b")
    invite = other.asks("INVITE", leg.replaces(), "Require: replaces", sdp="sendrecv")
    other.gets(200, invite)
    leg.answers(leg.is_asked("BYE"), 200)
    other.acks(invite)
    hangs_up(other)
    phone, sipp = up(bench, script, False)
    phone.hears("call 2: INVITE .* in place of another")
    phone.tell("2 accept")
    phone.hears("call 1: over")
    ended(phone, sipp)


def replaces_a_ringing_call(bench):
    """An INVITE whose Replaces names a call that we placed and that rings takes its place: that one gets a CANCEL."""
    script = Script("replaces_early")
    leg, invite = script.is_called()
    leg.answers(invite, 180)
    other = script.calls("b", leg)
    replacing = other.asks("INVITE", leg.replaces(), sdp="sendrecv")
    other.gets(200, replacing)
    leg.answers(leg.is_asked("CANCEL"), 200)
    leg.answers(invite, 487)
    leg.is_asked("ACK")
    other.acks(replacing)
    hangs_up(other)
    phone, sipp = calling(bench, script)
    phone.hears("call 2: INVITE .* in place of another")
    phone.tell("2 accept")
    phone.hears("call 1: over")
    ended(phone, sipp)


def replaces_what_it_may_not(bench):
    """RFC 3891 §3: a dialog that nobody knows (481), one that rings here (481), one that is answered if early-only (486), and two at once (400)."""
    script = Script("replaces_in_vain")
    leg = script.calls()
    invite = leg.asks("INVITE", sdp="sendrecv")
    leg.gets(180, invite)
    refused(script, "b", 481, "Replaces: nobody@192.0.2.1;to-tag=1;from-tag=2")
    refused(script, "c", 481, leg.replaces())
    leg.gets(200, invite)
    leg.acks(invite)
    refused(script, "d", 486, leg.replaces(";early-only"))
    refused(script, "e", 481, leg.replaces().replace("to-", "to-tag=1;x-"))
    refused(script, "f", 400, leg.replaces(), leg.replaces())
    hangs_up(leg)
    phone, sipp = called(bench, script)
    phone.tell("ring")
    sipp.reaches("SIP/2.0 481(?s:.*)SIP/2.0 481")
    phone.tell("accept")
    ended(phone, sipp)


def refused(script, name, status, *lines):
    leg = script.calls(name)
    invite = leg.asks("INVITE", *lines, sdp="sendrecv")
    leg.gets(status, invite)
    leg.acks_refusal(invite)


# ---------------------------------------------------------------- within a call


def sends_both_ways(bench):
    """MESSAGE and INFO within the call, both ways."""
    script = Script("sends_both_ways")
    leg = established(script, False)
    leg.gets(200, leg.asks("MESSAGE", body=("text/plain", "hello")))
    leg.gets(200, leg.asks("INFO", body=("application/dtmf-relay", "Signal=5\nDuration=160")))
    leg.answers(leg.is_asked("MESSAGE", {"Content-Type": "text/plain", "body": "good day"}), 200)
    leg.answers(leg.is_asked("INFO", {"Content-Type": "application/dtmf-relay", "body": "Signal=7"}), 200)
    hangs_up(leg)
    phone, sipp = up(bench, script, False)
    phone.hears("MESSAGE: hello")
    phone.hears("INFO: Signal=5")
    phone.tell("text good day")
    phone.hears("text: 200")
    phone.tell("dtmf 7")
    phone.hears("dtmf: 200")
    ended(phone, sipp)


def requires_the_unknown(bench):
    """RFC 3261 §8.2.2.3: 420 with Unsupported, be it to an INVITE, an UPDATE, a PRACK or an INFO; the call is none the worse for it."""
    script = Script("requires_the_unknown")
    unsupported = {"Unsupported": "teleport"}
    leg = script.calls()
    invite = leg.asks("INVITE", "Require: teleport", sdp="sendrecv")
    leg.gets(420, invite, unsupported)
    leg.acks_refusal(invite)
    invite = leg.asks("INVITE", "Require: 100rel", sdp="sendrecv")
    leg.gets(183, invite, keep={"first": ("RSeq", "[0-9]+")})
    leg.gets(420, leg.asks("PRACK", "RAck: [$a_first] 2 INVITE", "Require: teleport"), unsupported)
    leg.gets(200, leg.asks("PRACK", "RAck: [$a_first] 2 INVITE"))
    leg.gets(420, leg.asks("UPDATE", "Require: teleport", sdp="sendonly"), unsupported)
    leg.gets(200, invite)
    leg.acks(invite)
    leg.gets(420, leg.asks("INFO", "Require: teleport"), unsupported)
    again = leg.asks("INVITE", "Require: teleport", sdp="sendonly")
    leg.gets(420, again, unsupported)
    leg.acks_refusal(again)
    hangs_up(leg)
    phone, sipp = called(bench, script)
    phone.tell("progress")
    phone.hears("acknowledged")
    phone.tell("accept")
    ended(phone, sipp)


# ---------------------------------------------------------------- what they have in common


def established(script, we_called):
    """A call that is up."""
    if we_called:
        leg, invite = script.is_called()
        leg.answers(invite, 200, UPDATES, sdp="sendrecv")
        leg.is_asked("ACK")
    else:
        leg = script.calls()
        invite = leg.asks("INVITE", UPDATES, sdp="sendrecv")
        leg.gets(200, invite)
        leg.acks(invite)
    return leg


def hangs_up(leg):
    leg.gets(200, leg.asks("BYE"))


def called(bench, script, **options):
    """Our phone is called by SIPp."""
    phone = bench.phone()
    sipp = bench.sipp(script, phone.address, **options)
    phone.hears("call 1: INVITE")
    return phone, sipp


def calling(bench, script, *arguments, order="call", **options):
    """Our phone calls SIPp."""
    sipp = bench.sipp(script, **options)
    phone = bench.phone(*arguments)
    phone.tell(f"{order} {bench.sipp_uri(sipp)}")
    return phone, sipp


def up(bench, script, we_called):
    """The same, and the call is answered."""
    if we_called:
        phone, sipp = calling(bench, script)
        phone.hears("answered")
    else:
        phone, sipp = called(bench, script)
        phone.tell("accept")
        phone.hears("confirmed")
    return phone, sipp


def ended(phone, sipp, seconds=30):
    """SIPp hangs up, and all went as it should."""
    sipp.ok(seconds)
    phone.hears("over: the peer hung up")


def cells():
    part = functools.partial
    calls_us = [
        ("reliable 183 and 180, PRACK", is_pracked),
        ("lost PRACK, wrong RAck: 481", loses_a_prack),
        ("offer in a reliable 183, answer in PRACK", offers_in_a_183),
        ("offers in the 200, answers in the ACK", offers_in_a_200),
        ("no PRACK at all: 504", is_never_pracked),
        ("100rel required, not known: 420", refuses(420, ["Require: 100rel"], {"Unsupported": "100rel"}, ["--reliable", "never"])),
        ("100rel not known, required: 421", refuses(421, [], {"Require": "100rel"}, ["--reliable", "required"])),
        ("UPDATE early and later", updates_us),
        ("our UPDATE early and later", is_updated_by_the_callee),
        ("UPDATE before the answer: 500", updates_too_early),
        ("both re-INVITE: 491", part(both_reinvite, False)),
        ("session too short: 422", is_asked_for_longer),
        ("session refreshed by us", we_refresh_as_the_callee),
        ("session refreshed by SIPp", sipp_refreshes),
        ("session not refreshed: BYE", sipp_does_not_refresh),
        ("REFER, reports to 200", part(is_transferred, "uas", 200)),
        ("REFER, reports to 486", part(is_transferred, "uas_refuses", 486)),
        ("REFER with Replaces", is_connected),
        ("REFER declined, and wrong", declines_a_transfer),
        ("REFER without reports", is_transferred_quietly),
        ("Replaces a call", replaces_a_call),
        ("Replaces what it may not: 481, 486, 400", replaces_what_it_may_not),
        ("MESSAGE and INFO both ways", sends_both_ways),
        ("unknown Require in INVITE, PRACK, UPDATE, INFO: 420", requires_the_unknown),
    ]
    is_called = [
        ("reliable 183 and 180, PRACK", pracks),
        ("183 repeated and out of order", pracks_once_and_in_order),
        ("offer in a reliable 183, answer in PRACK", answers_in_a_prack),
        ("offer in the 200, answer in the ACK", answers_in_an_ack),
        ("420 for 100rel, again without", does_without),
        ("UPDATE both ways, early and later", updates_both_ways),
        ("UPDATE before its answer: 491", is_updated_too_early),
        ("both re-INVITE: 491", part(both_reinvite, True)),
        ("UPDATE during our re-INVITE: 491", update_meets_reinvite),
        ("422, again with its Min-SE", asks_for_longer),
        ("session refreshed by our UPDATE", part(we_refresh, "UPDATE")),
        ("session refreshed by our re-INVITE", part(we_refresh, "INVITE")),
        ("session not refreshed: BYE", sipp_does_not_refresh_as_the_callee),
        ("two answer", two_answer),
        ("two ring reliably, one answers", two_ring_reliably),
        ("our REFER, reports to 200", part(transfers, "200 OK")),
        ("our REFER, reports to 486", part(transfers, "486 Busy Here")),
        ("our REFER declined", is_declined_a_transfer),
        ("our REFER with Replaces", transfers_attended),
        ("Replaces a ringing call", replaces_a_ringing_call),
    ]
    slow = ("session refreshed", "session not refreshed", "no PRACK at all")
    for direction, table in (("calls us", calls_us), ("is called by us", is_called)):
        for scenario, body in table:
            for transport in BOTH:
                yield Cell("SIPp", direction, transport, scenario, body, waits=scenario.startswith(slow))
