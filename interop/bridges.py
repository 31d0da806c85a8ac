"""The cells of calls that pass through our back-to-back user agent: SIPp calls it, and it calls SIPp."""

import functools

from bench import BOTH, Cell
from peers import Ours, Sipp, free_port
from script import Script


def bridged(caller, callee, bench, caller_options=None, callee_options=None, callee_transport=None):
    """SIPp's caller, our `b2bua`, SIPp's callee: each scenario ends as it would without what is between them."""
    transport = callee_transport or bench.transport
    answering = bench.started(Sipp(bench.folder, callee, transport, bench.host, **(callee_options or {})))
    address = f"{bench.host}:{free_port()}"
    listen = ["--listen", f"udp:{address}", "--listen", f"tcp:{address}"]
    suffix = "" if transport == "udp" else f";transport={transport}"
    b2bua = bench.started(Ours(bench.folder, "b2bua", [*listen, "--to", f"sip:service@{bench.host}:{answering.port}{suffix}"]))
    b2bua.expect(r"^ready$")
    calling = bench.sipp(caller, address, **(caller_options or {}))
    calling.ok()
    answering.ok()


def updates(bench):
    """An UPDATE of each side crosses with its answer."""
    allows = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE"
    caller, callee = Script("updates"), Script("is_updated")
    leg = caller.calls()
    invite = leg.asks("INVITE", allows, sdp="sendrecv")
    leg.gets(200, invite, {"body": "a=sendrecv"})
    leg.acks(invite)
    caller.pauses(300)
    leg.gets(200, leg.asks("UPDATE", allows, sdp="sendonly"), {"body": "a=recvonly"})
    leg.answers(leg.is_asked("UPDATE", {"body": "a=inactive"}), 200, allows, sdp="inactive")
    leg.gets(200, leg.asks("BYE"))
    leg, invite = callee.is_called({"Allow": "UPDATE"})
    leg.answers(invite, 200, allows, sdp="sendrecv")
    leg.is_asked("ACK")
    leg.answers(leg.is_asked("UPDATE", {"body": "a=sendonly"}), 200, allows, sdp="recvonly")
    callee.pauses(300)
    leg.gets(200, leg.asks("UPDATE", allows, sdp="inactive"), {"body": "a=inactive"})
    leg.answers(leg.is_asked("BYE"), 200)
    bridged(caller, callee, bench)


def cells():
    many, repeats = {"calls": 10}, {"repeats": True}
    table = [
        ("plain call", functools.partial(bridged, "uac", "uas", caller_options=many, callee_options=many)),
        ("CANCEL", functools.partial(bridged, "uac_cancel", "uas_cancel", caller_options=repeats, callee_options=repeats)),
        ("486", functools.partial(bridged, "uac_refused", "uas_refuses", caller_options=repeats | {"fill": {"STATUS": "486"}},
                                  callee_options=repeats | {"fill": {"STATUS": "486 Busy Here"}})),
        ("hold and resume", functools.partial(bridged, "uac_hold", "uas_hold")),
        ("UPDATE both ways", updates),
    ]
    for scenario, body in table:
        for transport in BOTH:
            yield Cell("SIPp", "calls SIPp by our b2bua", transport, scenario, body)
    for here, there in (BOTH, reversed(BOTH)):
        body = functools.partial(bridged, "uac", "uas", callee_transport=there)
        yield Cell("SIPp", "calls SIPp by our b2bua", here, f"from {here} to {there}", body)
