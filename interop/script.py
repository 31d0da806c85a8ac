"""SIPp's scenarios written as what SIPp does, step by step: a `Script` makes the XML.

    script = Script("pracks")
    leg = script.calls()                                      # SIPp is the caller
    invite = leg.asks("INVITE", "Require: 100rel", sdp="sendrecv")
    leg.gets(183, invite, {"RSeq": "[0-9]+", "body": "m=audio"})

`asks` and `answers` send, `gets` and `is_asked` wait for what must come next; anything else that comes ends
SIPp with an error, also while it pauses. Header fields that a step names must match their regular expressions.
"""

from xml.sax.saxutils import quoteattr

HERE = "[local_ip]:[local_port];transport=[transport]"
REASONS = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted", 420: "Bad Extension", 422: "Session Interval Too Small",
           481: "Call/Transaction Does Not Exist", 486: "Busy Here", 487: "Request Terminated", 480: "Temporarily Unavailable", 491: "Request Pending", 500: "Server Internal Error", 603: "Decline"}


class Script:
    """One run of SIPp, of one call or of several that know of each other."""

    def __init__(self, name):
        self.name, self.steps, self.variables, self.requests = name, [], [], 0

    def calls(self, name="a", beside=None, through=None):
        """A leg that SIPp's INVITE makes. Another than the first has a Call-ID of its own; one beside a call of ours goes where that came from.

        One `through` a proxy has whose it is and whom it is for, as they stand in From and To; within the call its requests
        go by the route that the proxies recorded.
        """
        if through:
            caller, called = through
            return Leg(self, name, f"<{caller}>;tag=[pid]-[call_number]-{name}", f"<{called}>", called,
                       "[call_id]" if name == "a" else f"{name}///[call_id]", routed=True)
        target = beside.target if beside else "sip:[service]@[remote_ip]:[remote_port];transport=[transport]"
        return Leg(self, name, f"<sip:sipp@127.0.0.1>;tag=[pid]-[call_number]-{name}", "<sip:[service]@127.0.0.1>",
                   target, "[call_id]" if name == "a" else f"{name}///[call_id]")

    def is_called(self, headers=None, name="a", routed=False):
        """A leg that an INVITE to SIPp makes, and that INVITE; one that is `routed` must have come through a proxy that stays in the path."""
        leg = Leg(self, name, None, None, None, "[call_id]", routed=routed)
        # What the caller showed to a proxy is the proxy's alone.
        invite = leg.is_asked("INVITE", {"Contact": "sip:", "Max-Forwards": "[0-9]", **(headers or {})}, lacks=["Proxy-Authorization"] if routed else (),
                              keep={"from": ("From", ".*"), "to": ("To", ".*"), "tag": ("From", "tag=[^;>]*"),
                                    "target": ("Contact", "sip:[^>]*")}, initial=True)
        leg.local, leg.remote = f"[${name}_to];tag=[pid]-[call_number]-{name}", f"[${name}_from]"
        leg.target, leg.learned = f"[${name}_target]", True
        return leg, invite

    def pauses(self, milliseconds):
        """Nothing may come meanwhile."""
        self.steps.append(f'<pause milliseconds="{milliseconds}"/>')

    def variable(self, name):
        if name not in self.variables:
            self.variables.append(name)
        return name

    def text(self):
        steps = "\n".join(self.steps)
        reference = f'<Reference variables="{",".join(self.variables)}"/>' if self.variables else ""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{self.name}">\n{steps}\n{reference}\n</scenario>\n'


class Request:
    """One that was sent or received."""

    def __init__(self, method, number=None, target=None, branch=None, copied=None, initial=False, to=None):
        """`copied` are the variables that hold what a response copies."""
        self.method, self.number, self.target, self.branch, self.copied, self.initial = method, number, target, branch, copied, initial
        self.to = to


class Leg:
    """A dialog, or what is to become one, as SIPp sees it."""

    def __init__(self, script, name, local, remote, target, call_id, routed=False):
        self.script, self.name, self.local, self.remote, self.target, self.call_id = script, name, local, remote, target, call_id
        self.routed = routed
        self.cseq, self.version, self.learned = 0, 0, False

    def replaces(self, flag=""):
        """The header field that names this dialog to us."""
        return f"Replaces: {self.call_id};to-[${self.name}_tag];from-{self.local.rsplit(';', 1)[1]}{flag}"

    def fork(self, name):
        """The same call answered by another phone."""
        return Leg(self.script, name, self.local.rsplit("-", 1)[0] + f"-{name}", self.remote, self.target, self.call_id)

    # ------------------------------------------------------------ SIPp sends

    def asks(self, method, *lines, sdp=None, body=None, again=None):
        """A request, with these header fields; `again` is one of before, of which this is a repetition."""
        if again:
            request = again
        else:
            self.cseq += 1
            request = Request(method, self.cseq, self.target, self._branch(), to=self.remote)
        self._send(f"{method} {request.target} SIP/2.0", self._via(request), *self._route(), "Max-Forwards: 70", f"From: {self.local}",
                   f"To: {self.remote}", f"Call-ID: {self.call_id}", f"CSeq: {request.number} {method}", f"Contact: <sip:sipp@{HERE}>", *lines,
                   sdp=sdp, body=body)
        return request

    def proves(self, invite, status, sdp=None):
        """Sends the INVITE again with what `-au` and `-ap` make of the challenge that comes for it."""
        self.gets(status, invite, challenge=True)
        self.acks_refusal(invite)
        return self.asks("INVITE", "[authentication]", sdp=sdp)

    def cancels(self, invite):
        """A CANCEL of one that has a provisional response (RFC 3261 §9.1)."""
        self._send(f"CANCEL {invite.target} SIP/2.0", self._via(invite), "Max-Forwards: 70", f"From: {self.local}", f"To: {invite.to}",
                   f"Call-ID: {self.call_id}", f"CSeq: {invite.number} CANCEL")
        return Request("CANCEL", invite.number)

    def acks(self, invite, sdp=None):
        """The 2xx."""
        self._ack(Request("ACK", invite.number, self.target, self._branch()), self.remote, sdp, self._route())

    def acks_refusal(self, invite):
        """Another final response: hop by hop, with the branch of the INVITE, and the To of the response."""
        self._ack(invite, None)

    def _ack(self, request, to, sdp=None, route=()):
        self._send(f"ACK {request.target} SIP/2.0", self._via(request), *route, "Max-Forwards: 70", f"From: {self.local}", f"To: {to}" if to else "[last_To:]",
                   f"Call-ID: {self.call_id}", f"CSeq: {request.number} ACK", sdp=sdp)

    def answers(self, request, status, *lines, sdp=None, body=None):
        """A response to a request that came."""
        copied = {header: f"[${variable}]" for header, variable in request.copied.items()}
        if request.initial:
            copied["To"] = self.local
        whole = [copied.pop(header) for header in MANIFOLD if header in copied]
        lines = [*whole, *(f"{header}: {value}" for header, value in copied.items()), f"Call-ID: {self.call_id}", f"Contact: <sip:sipp@{HERE}>", *lines]
        self._send(f"SIP/2.0 {status} {REASONS[status]}", *lines, sdp=sdp, body=body)

    def _branch(self):
        self.script.requests += 1
        return f"z9hG4bK-[pid]-[call_number]-{self.script.requests}"

    def _route(self):
        """SIPp makes it of the Record-Route of the message that made the dialog."""
        return ["[routes]"] if self.routed else []

    def _via(self, request):
        return f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={request.branch};rport"

    def _send(self, *lines, sdp=None, body=None):
        kind = None
        if sdp:
            self.version += 1
            kind, body = "application/sdp", description(sdp, self.version)
        elif body:
            kind, body = body
        lines = [*lines, f"Content-Type: {kind}", "Content-Length: [len]", "", body] if kind else [*lines, "Content-Length: 0", ""]
        self.script.steps.append("<send>\n<![CDATA[\n\n" + "\n".join(lines) + "\n\n]]>\n</send>")

    # ------------------------------------------------------------ SIPp receives

    def gets(self, status, request, headers=None, keep=None, lacks=(), within=None, challenge=False, optional=False):
        """A response to `request` with this status. One that is `optional` need not come before the next, and is not learned from."""
        checks = {"CSeq": f" {request.number} {request.method}", "To": ";tag=", **(headers or {})}
        keep, attributes = dict(keep or {}), ' auth="true"' * challenge + ' optional="true"' * optional
        if not optional and not self.learned and request.method == "INVITE" and 101 <= status < 300:
            attributes += ' rrs="true"' * self.routed
            keep |= {"tag": ("To", "tag=[^;>]*"), "target": ("Contact", "sip:[^>]*")}
            self.learned = True
            self.remote, self.target = f"{self.remote};[${self.name}_tag]", f"[${self.name}_target]"
        # A 100 goes from hop to hop.
        if request.method == "INVITE" and status > 100:
            self.script.steps.append('<recv response="100" optional="true"/>')
        self._recv(f'response="{status}"{attributes}', checks, keep, lacks, within)

    def is_asked(self, method, headers=None, keep=None, lacks=(), within=None, initial=False):
        """A request of us; one that is `initial` has no tag in To."""
        self.script.requests += 1
        copied = {header: f"{header.lower()}{self.script.requests}" for header in ("Via", "From", "To", "CSeq")}
        recorded = self.routed and initial
        if recorded:
            copied["Record-Route"] = f"routes{self.script.requests}"
        every = {variable: lines_of(header) if header in MANIFOLD else (header, ".*") for header, variable in copied.items()}
        attributes = ' rrs="true"' * recorded
        self._recv(f'request="{method}"{attributes}', headers or {}, keep or {}, lacks, within, every)
        return Request(method, copied=copied, initial=initial)

    def _recv(self, what, checks, keep, lacks, within, every=None):
        actions = [self._ereg(header, pattern, self.script.variable("checked")) for header, pattern in checks.items()]
        # By its name SIPp would find Route in Record-Route.
        actions += [self._ereg("msg", f"[[:cntrl:]]{header}:", self.script.variable("unwanted"), inverse=True) for header in lacks]
        keep = {f"{self.name}_{name}": found for name, found in keep.items()} | (every or {})
        actions += [self._ereg(header, pattern, self.script.variable(name)) for name, (header, pattern) in keep.items()]
        timeout = f' timeout="{within}"' if within else ""
        self.script.steps.append(f"<recv {what}{timeout}>\n<action>\n" + "\n".join(actions) + "\n</action>\n</recv>")

    @staticmethod
    def _ereg(header, pattern, variable, inverse=False):
        where = f'search_in="{header}"' if header in ("body", "msg") else f'search_in="hdr" header="{header}:"'
        check = "check_it_inverse" if inverse else "check_it"
        return f'<ereg regexp={quoteattr(pattern)} {where} {check}="true" assign_to="{variable}"/>'


# What a request may have several lines of, all of which a response has.
MANIFOLD = ("Via", "Record-Route")


def lines_of(header):
    """Where all lines of a header field are, and what they match; by its name SIPp finds the first alone."""
    line = f"{header}: [^[:cntrl:]]*"
    return "msg", f"{line}([[:cntrl:]]+{line})*"


def description(direction, version):
    return f"""v=0
o=sipp 1 {version} IN IP[media_ip_type] [media_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio 6000 RTP/AVP 0
a=rtpmap:0 PCMU/8000
a={direction}
"""
