"""Floods of HTTP/2 frames against the gateway: more than any client would send, or what no client should."""

import struct
import time
from collections import Counter
from functools import partial
from typing import Callable, Iterator

import http2
from abuse import FLOOD, Attack
from http2 import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, Connection, frame
from wire import request

RECALL = "/twotower.v1.RecallService/Recall"
STREAMS = 40_000
# Whence one floods who is not he who asks, and what a gateway is told that anybody reaches.
ANOTHER, BOUNDED = "127.0.0.2", {"SERVER__CALLS_PER_SECOND": 500}
# How long who left calls unfinished looks at what becomes of them, between two looks.
LOOK = 0.1


def flood(chunks: Callable[[], Iterator[tuple[int, bytes]]], port: int, until: float, tally: Counter) -> None:
    """Sends chunks, each with its number of attacks, on one connection after the other."""
    while time.monotonic() < until:
        with Connection(port, source=ANOTHER) as connection:
            for count, chunk in chunks():
                if time.monotonic() > until or not connection.send(chunk, FLOOD) or connection.closed:
                    break
                tally["sent"] += count
                refuse(connection, 0, tally)
            refuse(connection, 0.2, tally)
            tally[ending(connection)] += 1
            tally["allowed at once"] = max(tally["allowed at once"], connection.settings.get(http2.MAX_CONCURRENT_STREAMS, 2**32))


def refuse(connection: Connection, seconds: float, tally: Counter) -> None:
    found = connection.receive(seconds, lambda _: connection.goaway is not None)
    tally["streams reset"] += sum(one.kind == RST_STREAM for one in found)


def ending(connection: Connection) -> str:
    if connection.goaway is not None:
        return f"GOAWAY {connection.goaway}"
    return "connections closed" if connection.closed else "connections left open"


def flooding(chunks, at_least: int, **goals: str) -> Attack:
    """An attack of at least so many frames or streams by one caller, of those who may make so many calls a second."""
    goals = {"sent": f">= {at_least}", "allowed at once": "<= 200"} | goals
    return Attack(partial(flood, chunks), goals, gateway=BOUNDED)


def streams(frames: Callable[[int], bytes], batch: int) -> Iterator[tuple[int, bytes]]:
    """Chunks of calls on ever new streams, made by a function of the stream's number."""
    for stream in range(1, 2**31 - 2 * batch, 2 * batch):
        yield batch, b"".join(frames(stream + 2 * turn) for turn in range(batch))


def message() -> bytes:
    """The DATA payload of a good recall."""
    recall = request(7).SerializeToString()
    return b"\0" + struct.pack(">I", len(recall)) + recall


head, recall = http2.call(RECALL), message()


def begun(stream: int) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, head)


def asked(stream: int) -> bytes:
    return begun(stream) + frame(DATA, END_STREAM, stream, recall)


def cancelled(stream: int) -> bytes:
    return asked(stream) + frame(RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL))


def no_window(stream: int) -> bytes:
    """A call, and a WINDOW_UPDATE of 0, for which the server must reset the stream."""
    return asked(stream) + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0))


def overflow(stream: int) -> bytes:
    """A call, and a WINDOW_UPDATE to more than a window may be."""
    return asked(stream) + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 2**31 - 1))


def after_end(stream: int) -> bytes:
    """A call, and data after its end."""
    return asked(stream) + frame(DATA, 0, stream, bytes(8))


def continued(size: int) -> Iterator[tuple[int, bytes]]:
    """A header block that never ends, in pieces of a size."""
    field = http2.block([("x-flood", "y" * size)]) if size else b""
    yield 1, frame(HEADERS, END_STREAM, 1, head)
    while True:
        yield 10, 10 * frame(CONTINUATION, 0, 1, field)


def repeated(what: bytes) -> Iterator[tuple[int, bytes]]:
    while True:
        yield 100, 100 * what


def held_by_many(port: int, until: float, tally: Counter) -> None:
    """Begins as many calls as it may on each of many connections, as one caller, and goes on with none of them."""
    connections, allowed = [], 200
    try:
        while len(connections) * allowed < STREAMS:
            connections.append(Connection(port, source=ANOTHER))
            _, chunk = next(streams(begun, allowed))
            connections[-1].send(chunk)
            tally["sent"] += allowed
        while time.monotonic() < until:
            for connection in connections:
                found = connection.receive(0)
                tally["streams ended"] += len({one.stream for one in found if one.kind in (RST_STREAM, HEADERS)})
            time.sleep(LOOK)
        tally["connections closed"] += sum(connection.closed for connection in connections)
    finally:
        for connection in connections:
            connection.close()


SETTING = frame(SETTINGS, 0, 0, struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, 65_535))
# Left open are at most the connections on which the time ends, one a round.
CLOSED = {"connections left open": "<= 5"}
CASES = {
    "rapid_reset": flooding(partial(streams, cancelled, 100), 10_000, **CLOSED),
    "rapid_reset_one_by_one": flooding(partial(streams, cancelled, 1), 10_000),
    "made_you_reset_no_window": flooding(partial(streams, no_window, 50), 10_000, **CLOSED),
    "made_you_reset_overflow": flooding(partial(streams, overflow, 50), 10_000, **CLOSED),
    "made_you_reset_data_after_end": flooding(partial(streams, after_end, 50), 10_000, **CLOSED),
    "continuation_flood": flooding(partial(continued, 1_000), 10_000, **CLOSED),
    "continuation_flood_empty": flooding(partial(continued, 0), 10_000, **CLOSED),
    "ping_flood": flooding(partial(repeated, frame(PING, 0, 0, b"flooding")), 100_000),
    "settings_flood": flooding(partial(repeated, SETTING), 100_000),
    "streams_40000": flooding(partial(streams, begun, 100), STREAMS, **CLOSED),
    "streams_40000_by_many": Attack(
        held_by_many, {"sent": f">= {STREAMS}"}, rounds=1, quiet=10.0, gateway=BOUNDED
    ),
}
