"""Servers without file descriptors to spare, and a clock that jumps."""

import contextlib
import os
import resource
import socket
import time
from functools import partial
from pathlib import Path

from house import wait
from load import Load, failures
from prepared import Site
from rows import Row
from watch import QUIET, is_well, watch
from wire import Recorder, channel, generations, recall_services, request

RATE = 60
# Descriptors that a server has beside those that it uses when it is whole, and sockets that are opened at it.
SPARE, SOCKETS = 8, 100
FAKETIME = [Path(f"/usr/lib/{machine}/faketime/libfaketimeMT.so.1") for machine in (f"{os.uname().machine}-linux-gnu", "x86_64-linux-gnu")]
HOUR = 3_600


def exhausted(kind: str, site: Site, row: Row) -> None:
    """A server may open no more; it goes on for those who have a connection, and takes others a second after there is room."""
    with site.house(gateways=1, user_towers=1, item_towers=1) as house:
        server = getattr(house, kind)[0]
        with Load(house.addresses(), RATE) as load:
            time.sleep(QUIET)
            limit = server.descriptors() + SPARE
            _, most = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, most))
            sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(SOCKETS)]
            time.sleep(QUIET)
            row.holds("all taken", server.descriptors() >= limit)
            for one in sockets:
                one.close()
            seconds = wait("a new connection is answered", lambda: generations(server.address) is not None, 20)
            row.figure("seconds until it recovers", seconds, "s", "<= 1")
            time.sleep(QUIET)
            calls = load.stop()
        row.figure("failed", sum(call.failed for call in calls), "1", "0")
        row.figure("partial", sum(call.outcome == "partial" for call in calls))
        if failed := failures(calls):
            row.note(failed)
        row.figure("descriptors after", server.descriptors() - limit + SPARE, "1", "<= 8, over those before")
        is_well(house, row)


def jumps(kind: str, site: Site, row: Row) -> None:
    """The clock of a server is put forward by an hour, back by two, and right again, under load and while events are recorded."""
    library = next((path for path in FAKETIME if path.exists()), None)
    if library is None:
        row.waived = "needs libfaketime, Debian's package faketime"
        return
    with contextlib.ExitStack() as stack:
        clock = stack.enter_context(site.folder()) / "clock"
        clock.write_text("+0")
        environment = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock)}
        environment |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        house = stack.enter_context(site.house(user_towers=1, gateways=1, launch={kind: ((), environment)}))
        recorder = Recorder(house.gateways[0].address, "clock")
        stack.callback(recorder.close)
        answered = []

        def act() -> None:
            page = first_page(house.gateways[0].address)
            for offset in (HOUR, -HOUR, 0):
                answered.append(all(recorder.record() for _ in range(50)))
                clock.write_text(f"{offset:+d}")
                time.sleep(QUIET)
                answered.append(all(recorder.record() for _ in range(50)))
                answered.append(bool(next_page(house.gateways[0].address, page)))
            house.is_whole(10)

        watch(house, row, act, RATE)
        row.holds("events taken and pages answered", all(answered))
        row.figure("events lost", recorder.lost(), "1", "0")
        server = house.user_towers[0]
        server.stop()
        clock.write_text(f"{-HOUR:+d}")
        server.start()
        house.serves()
        row.holds("taken after a restart with a clock behind", recorder.record())
        row.figure("events lost after it", recorder.lost(), "1", "0")


def first_page(address: str) -> str:
    with channel(address) as open_channel:
        first = request(8)
        first.options.with_tokens = True
        return recall_services.RecallServiceStub(open_channel).Recall(first, timeout=5, wait_for_ready=True).next_page_token


def next_page(address: str, token: str) -> list:
    with channel(address) as open_channel:
        following = request(8)
        following.options.with_tokens, following.page_token = True, token
        return recall_services.RecallServiceStub(open_channel).Recall(following, timeout=5, wait_for_ready=True).candidates


CASES = {
    "descriptors_of_gateway": partial(exhausted, "gateways"),
    "descriptors_of_user_tower": partial(exhausted, "user_towers"),
    "descriptors_of_item_tower": partial(exhausted, "item_towers"),
    "clock_of_user_tower": partial(jumps, "user-tower"),
    "clock_of_gateway": partial(jumps, "gateway"),
    "clock_of_item_tower": partial(jumps, "item-tower"),
}
