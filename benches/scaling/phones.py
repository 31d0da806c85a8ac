"""Phones and callers of `benches/scaling/run`, in one asyncio loop, that say of each request what became of it.

SIPp cannot do this: its callees do not register again when their connection breaks, and its callers do not say which
call failed when, and by which status.
"""

import asyncio
import collections
import hashlib
import itertools
import random
import re
import time

from servers import DOMAIN, SECRET

REFRESH = 4  # seconds between two REGISTERs of a flow
PATIENCE = 10  # seconds after which a caller, or who hangs up, gives up
REGISTER_PATIENCE = 2  # seconds after which a phone tries the next server
HOLD = 0.5  # seconds of a conversation
UNANSWERED = "no answer"
_numbers = itertools.count(1)


def fresh(prefix):
    return f"{prefix}{next(_numbers):x}{random.getrandbits(64):016x}"


class Message:
    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        self.first, *lines = head.decode().split("\r\n")
        self.fields = [tuple(map(str.strip, line.split(":", 1))) for line in lines]

    @property
    def status(self):
        return int(self.first.split()[1]) if self.first.startswith("SIP/") else None

    @property
    def method(self):
        return self.one("CSeq").split()[1]

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def one(self, name):
        return next(iter(self.all(name)), "")

    def answer(self, status, tag, *more):
        lines = [f"SIP/2.0 {status}"]
        for name, value in self.fields:
            if name.lower() == "to" and ";tag=" not in value:
                value += f";tag={tag}"
            if name.lower() in ("via", "from", "to", "call-id", "cseq", "record-route"):
                lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, *more, "Content-Length: 0", "", ""]).encode()


def uri_of(value):
    return re.search(r"<([^>]*)>", value)[1]


class Datagrams(asyncio.DatagramProtocol):
    """A socket; `hear(message, send)` is told of each message."""

    def __init__(self, hear):
        self.hear = hear

    @classmethod
    async def open(cls, hear):
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(lambda: cls(hear), local_addr=("127.0.0.1", 0))
        protocol.transport, protocol.port = transport, transport.get_extra_info("sockname")[1]
        return protocol

    def datagram_received(self, data, sender):
        self.hear(Message(data), lambda answer: self.transport.sendto(answer, sender))

    def error_received(self, error):
        pass  # a server is not there: the timers say so


def serve(message, send, contact):
    """What a phone answers."""
    user = contact.split("@")[0]
    if message.method in ("INVITE", "BYE"):
        send(message.answer("200 OK", user, f"Contact: <{contact}>"))
    elif message.method != "ACK":
        send(message.answer("501 Not Implemented", user))


# ---------------------------------------------------------------- phones


class Flow:
    """One registration of a user: over one TCP connection, or by UDP from the socket that all such phones share.

    It is refreshed all the time. If its connection breaks, or nobody answers, it goes to the next of its servers, within
    a second; what is refused with Retry-After it repeats after that, at most REFRESH later.
    """

    def __init__(self, user, servers, reg_id=None, socket=None):
        self.user, self.servers, self.reg_id, self.socket = user, list(servers), reg_id, socket
        self.call_id, self.number, self.nonce, self.count = fresh("r"), 0, None, 0
        self.waiting, self.acknowledged, self.registered = None, None, asyncio.Event()
        self.outcomes = collections.Counter()

    async def run(self):
        while True:
            try:
                if self.socket:
                    self.send = lambda data: self.socket.transport.sendto(data, ("127.0.0.1", self.servers[0]))
                    self.broken, self.contact = asyncio.Event(), f"sip:{self.user}@127.0.0.1:{self.socket.port}"
                    await self.refresh()
                else:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.servers[0])
                    port = writer.get_extra_info("sockname")[1]
                    self.send, self.contact = writer.write, f"sip:{self.user}@127.0.0.1:{port};transport=tcp;ob"
                    self.broken = asyncio.Event()
                    reading = asyncio.create_task(self.read(reader))
                    try:
                        await self.refresh()
                    finally:
                        reading.cancel()
                        writer.close()
            except OSError:
                pass
            self.acknowledged = None  # what leads to a connection that has ended is no loss
            self.servers.append(self.servers.pop(0))
            await asyncio.sleep(random.random())

    async def read(self, reader):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lstrip()
                if not head:
                    continue
                length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self.hear(Message(head + body), self.send)
        except (asyncio.IncompleteReadError, OSError):
            self.broken.set()

    def hear(self, message, send):
        if message.status is None:
            serve(message, send, self.contact)
        elif message.status >= 200 and self.waiting and not self.waiting.done():
            self.waiting.set_result(message)

    async def refresh(self):
        """Until the connection breaks, or nobody answers."""
        while not self.broken.is_set():
            response = await self.register()
            status = response.status if response else UNANSWERED
            self.outcomes[status] += 1
            if response is None:
                return
            pause = REFRESH * random.uniform(0.9, 1.1)
            if status == 200:
                self.acknowledged = self.contact
                self.registered.set()
            elif response.one("Retry-After"):
                pause = min(int(response.one("Retry-After").split()[0]), REFRESH)
            try:
                await asyncio.wait_for(self.broken.wait(), pause)
            except TimeoutError:
                pass

    async def register(self, binds=True):
        """The final answer; challenges are answered."""
        for _ in range(3):
            response = await self.ask(binds)
            challenge = response.one("WWW-Authenticate") if response else ""
            if not challenge:
                return response
            self.outcomes["challenged"] += 1
            self.nonce, self.count = re.search(r'nonce="([^"]*)"', challenge)[1], 0
        return response

    async def ask(self, binds):
        self.number += 1
        lines = [
            f"REGISTER sip:{DOMAIN} SIP/2.0", f"Via: SIP/2.0/{'UDP' if self.socket else 'TCP'} 127.0.0.1;rport;branch={fresh('z9hG4bK')}",
            "Max-Forwards: 70", f"From: <sip:{self.user}@{DOMAIN}>;tag=1", f"To: <sip:{self.user}@{DOMAIN}>",
            f"Call-ID: {self.call_id}", f"CSeq: {self.number} REGISTER", "Supported: path, outbound", *self.authorization(),
        ]
        if binds:
            flow = f';reg-id={self.reg_id};+sip.instance="<{instance_of(self.user)}>"' if self.reg_id else ""
            lines += [f"Contact: <{self.contact}>{flow}", "Expires: 3600"]
        request = "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()
        self.waiting = asyncio.get_running_loop().create_future()
        deadline, pause = time.monotonic() + REGISTER_PATIENCE, 0.5 if self.socket else REGISTER_PATIENCE
        while time.monotonic() < deadline:
            self.send(request)
            try:
                return await asyncio.wait_for(asyncio.shield(self.waiting), pause)
            except TimeoutError:
                pause *= 2
        return None

    def authorization(self):
        if not self.nonce:
            return []
        self.count += 1
        md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
        uri, count = f"sip:{DOMAIN}", f"{self.count:08x}"
        ours = md5(f"{self.user}:{DOMAIN}:{SECRET}")
        response = md5(f"{ours}:{self.nonce}:{count}:c:auth:{md5(f'REGISTER:{uri}')}")
        return [
            f'Authorization: Digest username="{self.user}", realm="{DOMAIN}", nonce="{self.nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5, qop=auth, nc={count}, cnonce="c"'
        ]


def instance_of(user):
    digits = hashlib.md5(user.encode()).hexdigest()
    return f"urn:uuid:{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Phones:
    """Phones of three kinds, registered first at the first of two servers."""

    KINDS = {
        "udp": "by UDP, at its own address",
        "tcp": "over its one connection",
        "both": "over connections to both nodes",
    }

    def __init__(self, each, first, second):
        self.each, self.ports = each, (first, second)

    @classmethod
    def users(cls, each):
        return [f"{kind}{number}" for kind in cls.KINDS for number in range(each)]

    async def start(self):
        first, second = self.ports
        by_user = {}

        def hear(message, send):
            user = re.search(r"sip:([^@>]*)@", message.one("To"))[1]
            by_user[user].hear(message, send)

        socket = await Datagrams.open(hear)
        self.flows = []
        for number in range(self.each):
            by_user[f"udp{number}"] = Flow(f"udp{number}", [first, second], socket=socket)
            tcp = Flow(f"tcp{number}", [first, second], reg_id=1)
            both = [Flow(f"both{number}", [port], reg_id=reg_id) for reg_id, port in enumerate((first, second), 1)]
            self.flows += [by_user[f"udp{number}"], tcp, *both]
        self.tasks = []
        for flow in self.flows:
            self.tasks.append(asyncio.create_task(flow.run()))
            await asyncio.sleep(0.002)
        await asyncio.wait_for(asyncio.gather(*(flow.registered.wait() for flow in self.flows)), 20)
        for flow in self.flows:
            flow.outcomes.clear()

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def outcomes(self):
        return sum((flow.outcomes for flow in self.flows), collections.Counter())

    async def missing(self, port):
        """How many bindings that were acknowledged the server at this port does not name, and of how many."""
        wanted, checked = {}, None
        for flow in self.flows:
            wanted.setdefault(flow.user, []).append(flow)
        socket = await Datagrams.open(lambda message, send: checked.hear(message, send))
        missing = of = 0
        for user, flows in wanted.items():
            acknowledged = [flow.acknowledged for flow in flows if flow.acknowledged]
            checked = Flow(user, [port], socket=socket)
            checked.send = lambda data: socket.transport.sendto(data, ("127.0.0.1", port))
            response = await checked.register(binds=False)
            named = ",".join(response.all("Contact")) if response and response.status == 200 else ""
            of += len(acknowledged)
            missing += sum(f"<{contact}>" not in named for contact in acknowledged)
        socket.transport.close()
        return missing, of


# ---------------------------------------------------------------- callers


class Call:
    def __init__(self, kind, user):
        self.kind, self.user, self.begun, self.outcome = kind, user, time.monotonic(), UNANSWERED
        self.id, self.answers = fresh("c"), asyncio.Queue()


class Callers:
    """Strangers who know one server, by UDP, and call users of each kind in turn."""

    def __init__(self, port, each):
        self.port, self.each, self.calls, self.open = port, each, [], {}

    async def run(self, rate, seconds):
        self.socket = await Datagrams.open(self.hear)
        begun, tasks = time.monotonic(), []
        kinds = itertools.cycle(Phones.KINDS)
        for number in range(rate * seconds):
            await asyncio.sleep(max(0, begun + number / rate - time.monotonic()))
            kind = next(kinds)
            call = Call(kind, f"{kind}{number // len(Phones.KINDS) % self.each}")
            self.calls.append(call)
            self.open[call.id] = call
            tasks.append(asyncio.create_task(self.call(call)))
        await asyncio.gather(*tasks)
        self.socket.transport.close()
        return self.calls

    def hear(self, message, _):
        call = self.open.get(message.one("Call-ID"))
        if call and message.status:
            call.answers.put_nowait(message)

    async def call(self, call):
        uri = f"sip:{call.user}@{DOMAIN}"
        invite = lambda method, branch, tag="": self.request(call, method, uri, 1, tag, [], branch)
        branch = fresh("z9hG4bK")
        answer = await self.transact(call, "INVITE", invite("INVITE", branch))
        if answer is None:
            return
        to = answer.one("To").partition(";")[2]
        if answer.status >= 300:
            call.outcome = answer.status
            self.send(invite("ACK", branch, f";{to}"))
            return
        uri, routes = uri_of(answer.one("Contact")), answer.all("Record-Route")[::-1]
        within = lambda method, number: self.request(call, method, uri, number, f";{to}", routes, fresh("z9hG4bK"))
        self.send(within("ACK", 1))
        await asyncio.sleep(HOLD)
        answer = await self.transact(call, "BYE", within("BYE", 2))
        call.outcome = "ok" if answer and answer.status == 200 else "cut off"

    async def transact(self, call, method, request):
        """The final answer; the request is repeated until there is one of any kind (RFC 3261 §17.1)."""
        deadline, pause, is_heard = time.monotonic() + PATIENCE, 0.5, False
        self.send(request)
        while (left := deadline - time.monotonic()) > 0:
            try:
                answer = await asyncio.wait_for(call.answers.get(), left if is_heard else min(pause, left))
            except TimeoutError:
                pause = min(2 * pause, 4)
                if not is_heard:
                    self.send(request)
                continue
            if answer.method == method:
                is_heard = is_heard or method == "INVITE"
                if answer.status >= 200:
                    return answer
        return None

    def request(self, call, method, uri, number, tag, routes, branch):
        lines = [
            f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{self.socket.port};branch={branch}", "Max-Forwards: 70",
            *(f"Route: {route}" for route in routes), f"From: <sip:caller@elsewhere.example.com>;tag={call.id}",
            f"To: <sip:{call.user}@{DOMAIN}>{tag}", f"Call-ID: {call.id}", f"CSeq: {number} {method}",
            f"Contact: <sip:caller@127.0.0.1:{self.socket.port}>", "Content-Length: 0", "", "",
        ]
        return "\r\n".join(lines).encode()

    def send(self, data):
        self.socket.transport.sendto(data, ("127.0.0.1", self.port))
