"""A bare HTTP/2 client that may send what no client should: a socket, hand-made frames, and header blocks without compression."""

import socket
import struct
import time
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 1, 3, 4, 5, 6
CANCEL = 8
# As large as frames may be when nothing was said.
FRAME = 16_384


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    def number(self, at: int = 0) -> int:
        return struct.unpack_from(">I", self.payload, at)[0]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def length(value: int) -> bytes:
    """An HPACK integer with a prefix of 7 bits that are otherwise 0."""
    if value < 127:
        return bytes((value,))
    value, out = value - 127, bytearray((127,))
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes(out) + bytes((value,))


def block(fields: list[tuple[str, str]]) -> bytes:
    """A header block of literals that are not to be indexed."""
    out = bytearray()
    for name, value in fields:
        out += b"\0" + length(len(name.encode())) + name.encode() + length(len(value.encode())) + value.encode()
    return bytes(out)


def call(path: str, *more: tuple[str, str]) -> bytes:
    """The header block of a gRPC call."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"), ("te", "trailers")]
    return block(fields + [("content-type", "application/grpc"), *more])


class Connection:
    """A connection after the preface and an empty SETTINGS frame; it knows whether and how the server ended it."""

    def __init__(self, port: int, greet: bool = True, window: int | None = None, source: str = "127.0.0.1"):
        """`source` is the address of loopback that it comes from: each is another caller."""
        self.socket = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received, self.frames, self.closed, self.next_stream = bytearray(), [], False, 1
        self.settings, self.goaway = {}, None
        if greet:
            own = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
            self.send(PREFACE + frame(SETTINGS, 0, 0, own))

    def send(self, data: bytes, patience: float = 10.0) -> bool:
        """Sends what the server takes within the time; false if it took no more, or closed."""
        self.socket.settimeout(patience)
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def receive(self, time_left: float, is_enough=lambda _: False) -> list[Frame]:
        """Reads frames until there is one that is enough, the server closes, or time is up (without any, what is there already).

        Answers SETTINGS and PING.
        """
        until, seen, left = time.monotonic() + time_left, [], time_left
        while True:
            while (found := self.parse()) is not None:
                self.notice(found)
                seen.append(found)
                if is_enough(found):
                    return seen
            if self.closed or left < 0:
                return seen
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(262_144)
                self.closed = not data
                self.received += data
            except (TimeoutError, BlockingIOError):
                return seen
            except OSError:
                self.closed = True
            left = until - time.monotonic()

    def parse(self) -> Frame | None:
        if len(self.received) < 9:
            return None
        size = int.from_bytes(self.received[:3], "big")
        if len(self.received) < 9 + size:
            return None
        head, payload = bytes(self.received[:9]), bytes(self.received[9 : 9 + size])
        del self.received[: 9 + size]
        return Frame(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload)

    def notice(self, found: Frame) -> None:
        if found.kind == SETTINGS and not found.flags & ACK:
            self.settings |= {key: value for key, value in struct.iter_unpack(">HI", found.payload)}
            self.send(frame(SETTINGS, ACK, 0))
        elif found.kind == PING and not found.flags & ACK:
            self.send(frame(PING, ACK, 0, found.payload))
        elif found.kind == GOAWAY:
            self.goaway = found.number(4)

    def open_stream(self, path: str, *more: tuple[str, str], end: bool = False) -> int:
        """Begins a call and returns the number of its stream."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, call(path, *more)))
        return stream

    def send_message(self, stream: int, message: bytes, compressed: bool = False) -> None:
        """Sends a message whole, whatever the server's windows say of it, and ends the call's half."""
        data = bytes((compressed,)) + struct.pack(">I", len(message)) + message
        pieces = [data[at : at + FRAME] for at in range(0, len(data), FRAME)]
        for number, piece in enumerate(pieces):
            self.send(frame(DATA, END_STREAM if number == len(pieces) - 1 else 0, stream, piece))

    def close(self) -> None:
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
