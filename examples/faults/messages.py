"""Messages that no client should send the gateway: too long, too deep, too many headers, a gzip bomb, what is no UTF-8."""

import struct
import time
import zlib
from collections import Counter
from functools import cache, partial

import grpc

import http2
import wire
from abuse import Attack
from floods import RECALL
from http2 import CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Connection, frame

# What the caller may be told; anything else is the server's fault, or none.
BLAME = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED")
LIMIT = 1 << 20
# Bytes of zeros, of which gzip makes a thousandth.
BOMB = 256 << 20
DEPTH = 100_000


def sends(message: bytes, port: int, until: float, tally: Counter) -> None:
    """Sends a message as it is, again and again; counts the codes that came back."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", wire.OPTIONS) as channel:
        ask = channel.unary_unary(RECALL)
        while time.monotonic() < until:
            try:
                ask(message, timeout=5)
                code = "OK"
            except grpc.RpcError as error:
                code = wire.code(error)
                tally[f"× {error.details()[:80]}"] += 1
            tally["sent"] += 1
            tally["blamed on others"] += code not in BLAME
            tally[code] += 1


def ends(opening, port: int, until: float, tally: Counter) -> None:
    """Opens a stream as a function of the connection says, again and again; the server must end it, or the connection."""
    while time.monotonic() < until:
        with Connection(port) as connection:
            opening(connection)
            is_end = lambda found: found.kind in (RST_STREAM, GOAWAY) or found.kind == HEADERS
            found = connection.receive(12, is_end)
            tally["sent"] += 1
            tally["not ended"] += not connection.closed and not any(is_end(one) for one in found)


def many_headers(connection: Connection) -> None:
    """A header list of four times what is taken, in one block of several frames."""
    block = http2.call(RECALL, *[(f"x-{number}", "y" * 1_000) for number in range(64)])
    pieces = [block[at : at + http2.FRAME] for at in range(0, len(block), http2.FRAME)]
    for number, piece in enumerate(pieces):
        kind, flags = (HEADERS if number == 0 else CONTINUATION), (END_HEADERS if number == len(pieces) - 1 else 0)
        connection.send(frame(kind, flags | (END_STREAM if number == 0 else 0), 1, piece))


def claims(connection: Connection) -> None:
    """A message that is said to be of 4 GiB."""
    stream = connection.open_stream(RECALL)
    connection.send(frame(DATA, 0, stream, b"\0" + struct.pack(">I", 2**32 - 1) + bytes(1_000)))


def unpacks(connection: Connection) -> None:
    """A message that gzip makes small."""
    stream = connection.open_stream(RECALL, ("grpc-encoding", "gzip"))
    connection.send_message(stream, bomb(), compressed=True)


@cache
def bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(BOMB >> 20)), packer.flush()])


def nested(depth: int) -> bytes:
    """Groups in groups, of a field that nobody knows."""
    return b"\xfb\x07" * depth + b"\xfc\x07" * depth


def of_length(length: int) -> bytes:
    """A recall of so many bytes, most of them in a field that nobody knows."""
    rest = wire.request(7).SerializeToString()
    padding = length - len(rest) - 6
    return rest + b"\xfa\x07" + varint(padding) + bytes(padding)


def varint(value: int) -> bytes:
    out = bytearray()
    for _ in range(3):
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes((value,))


def refused(message: bytes) -> Attack:
    return Attack(partial(sends, message), {"sent": ">= 1", "blamed on others": "0"})


def ended(opening) -> Attack:
    return Attack(partial(ends, opening), {"sent": ">= 1", "not ended": "0"})


CASES = {
    "message_too_long": refused(of_length(LIMIT + 1)),
    "message_said_to_be_4_gib": ended(claims),
    "gzip_bomb": ended(unpacks),
    "message_nested_deep": refused(nested(DEPTH)),
    "message_no_utf8": refused(b"\x0a\x02\xff\xfe"),
    "header_list_too_long": ended(many_headers),
}
