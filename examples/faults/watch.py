"""Watches a house under load while something is done to it."""

import time

from house import House
from load import Load, failures, p99
from rows import Row

# How long all is well before and after.
QUIET = 2.0


def watch(house: House, row: Row, act, rate: float = 60) -> None:
    """Nobody fails, every process lives afterwards, and recalls are whole again."""
    with Load(house.addresses(), rate) as load:
        time.sleep(QUIET)
        act()
        time.sleep(QUIET)
        calls = load.stop()
    row.figure("failed", sum(call.failed for call in calls), "1", "0")
    row.figure("recalls", len(calls))
    row.figure("partial", sum(call.outcome == "partial" for call in calls))
    row.figure("p99 ms", p99(calls), "ms")
    if failed := failures(calls):
        row.note(failed)
    is_well(house, row)


def is_well(house: House, row: Row) -> None:
    """Every process lives, and good recalls are answered."""
    for server in house.servers():
        row.holds("all live", server.lives())
        if not server.lives():
            row.note(f"{server.name} ended with {server.process.returncode}")
    house.is_whole(10)
