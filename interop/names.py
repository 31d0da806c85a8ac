"""A name server for the cells: it knows the records that it is given, and nothing else."""

import socket
import struct
import threading

TYPES = {"A": 1, "SRV": 33, "NAPTR": 35}
NO_SUCH_NAME = 3


class NameServer(threading.Thread):
    """Serves `{(name, type): [rdata]}` on a port of 127.0.0.1 until `stop`."""

    def __init__(self, records):
        super().__init__(daemon=True)
        self.records = {(name, TYPES[kind]): data for (name, kind), data in records.items()}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.asked = set()
        self.start()

    def run(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            if not query:
                return
            self.socket.sendto(self.answer(query), client)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        question, name = query[12 : at + 5], ".".join(labels)
        kind = struct.unpack_from("!H", query, at + 1)[0]
        self.asked.add((name, kind))
        found = self.records.get((name, kind), [])
        is_known = any(name == known for known, _ in self.records)
        # A response, recursion desired and available.
        flags = 0x8180 | (0 if is_known else NO_SUCH_NAME)
        head = query[:2] + struct.pack("!5H", flags, 1, len(found), 0, 0)
        # The name is that of the question, at offset 12.
        records = [struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in found]
        return head + question + b"".join(records)

    def stop(self):
        """Ends the thread by a datagram of nothing."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self.socket.getsockname())
        self.join(5)
        self.socket.close()


def _name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def _text(text):
    return bytes([len(text)]) + text.encode()


def a(address):
    return socket.inet_aton(address)


def srv(priority, port, host):
    return struct.pack("!3H", priority, 0, port) + _name(host)


def naptr(order, service, replacement):
    return struct.pack("!2H", order, 0) + _text("s") + _text(service) + _text("") + _name(replacement)
