"""Callers of the gateway who are slow on purpose: they begin to speak, and never end."""

import selectors
import time
from collections import Counter
from functools import partial

import http2
from abuse import Attack
from floods import RECALL
from house import wait
from http2 import DATA, END_HEADERS, HEADERS, RST_STREAM, SETTINGS, Connection, frame
from load import Load, failures
from prepared import Site
from rows import Row
from watch import QUIET, is_well
from wire import whole_recalls

SOCKETS = 500
# For so long it is looked whether the server closes.
PATIENCE = 35.0
# How often a byte of the preface is sent.
DRIP = 2.0
# One more than the gateway takes, and some.
TOO_MANY = 1_100


def preface(connection: Connection, turn: int) -> None:
    """Half of the preface, then a byte now and then."""
    connection.send(http2.PREFACE[:10] if turn == 0 else http2.PREFACE[9 + turn :][:1])


def header_block(connection: Connection, turn: int) -> None:
    """The preface, then half of a header block."""
    if turn == 0:
        head = http2.call(RECALL)
        connection.send(http2.PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, head[: len(head) // 2]))


def body(connection: Connection, turn: int) -> None:
    """A call whose message comes by a byte now and then."""
    if turn == 0:
        connection.send(http2.PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, http2.call(RECALL)))
    connection.send(frame(DATA, 0, 1, bytes((0, 0, 0, 1, 0)) if turn == 0 else b"\0"))


def http1(connection: Connection, turn: int) -> None:
    """The head of an HTTP/1.1 request, by one more field now and then."""
    connection.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n" if turn == 0 else b"X-Slow: 1\r\n")


def silent(connection: Connection) -> bool:
    """Reads without an answer; whether the server closed."""
    try:
        return not connection.socket.recv(65_536)
    except OSError:
        return True


def lively(connection: Connection) -> bool:
    """Reads and answers PINGs; whether the server closed or ended the call."""
    found = connection.receive(0, lambda one: one.kind in (HEADERS, RST_STREAM))
    return connection.closed or any(one.kind in (HEADERS, RST_STREAM) for one in found)


def slow(drip, is_ended, port: int, _until: float, tally: Counter) -> None:
    """Opens many connections, and waits until the server ended them."""
    begun, sockets = time.monotonic(), selectors.DefaultSelector()
    for _ in range(SOCKETS):
        connection = Connection(port, greet=False)
        drip(connection, 0)
        sockets.register(connection.socket, selectors.EVENT_READ, connection)
    opened, turn, ended = time.monotonic(), 1, 0.0
    while sockets.get_map() and time.monotonic() < opened + PATIENCE:
        for key, _ in sockets.select(timeout=0.1):
            if is_ended(key.data):
                ended = time.monotonic() - opened
                sockets.unregister(key.fileobj)
                key.data.close()
        if time.monotonic() > begun + turn * DRIP:
            for key in list(sockets.get_map().values()):
                drip(key.data, turn)
            turn += 1
    left = list(sockets.get_map().values())
    tally["seconds until ended"] = PATIENCE if left else ended
    tally["left open"] = len(left)
    for key in left:
        key.data.close()


def too_many(site: Site, row: Row) -> None:
    """More connections than the gateway takes: who has one keeps it, and there is room again as soon as they go."""
    with site.house(item_towers=1, user_towers=1, gateways=1) as house:
        gateway = house.gateways[0]
        with Load(house.addresses(), 60) as load:
            time.sleep(QUIET)
            before, connections = gateway.anon(), []
            for _ in range(TOO_MANY):
                connections.append(Connection(gateway.port))
            time.sleep(QUIET)
            for connection in connections:
                connection.receive(0)
            memory, refused = gateway.anon() - before, sum(connection.closed for connection in connections)
            for connection in connections:
                connection.close()
            seconds = wait("a new connection is served", lambda: whole_recalls(gateway.address, 1) == 1, 10)
            row.figure("seconds until room", seconds, "s", "<= 1")
            time.sleep(QUIET)
            calls = load.stop()
        row.figure("refused", refused, "1", ">= 1")
        row.figure("memory MB", memory, "MB", "< 40, of 1024 connections")
        row.figure("failed", sum(call.failed for call in calls), "1", "0")
        if failed := failures(calls):
            row.note(failed)
        is_well(house, row)


def slowly(drip, is_ended) -> Attack:
    return Attack(partial(slow, drip, is_ended), {"seconds until ended": "<= 10.5", "left open": "0"}, rounds=1, quiet=10.0)


CASES = {
    "slow_preface": slowly(preface, silent),
    "slow_header_block": slowly(header_block, silent),
    "slow_body": slowly(body, lively),
    "slow_http1": slowly(http1, silent),
    "connections_too_many": too_many,
}
