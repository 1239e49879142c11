"""kill -9, SIGSTOP and SIGTERM of each server under load: who asks does not notice."""

import random
import signal
import socket
import time
from functools import partial

from house import House
from http2 import Connection
from prepared import Site, another_catalog
from rows import Row
from watch import watch

KINDS = ["item_towers", "user_towers", "gateways"]
# How long a server is away.
AWAY = 3.0
# How long a process must have served before the next is stopped: until the gateways have seen it.
READY = 0.8
ROUNDS = 10


def killed(kind: str, site: Site, row: Row) -> None:
    """One of two is killed, and started again."""
    with site.house() as house:
        server = getattr(house, kind)[0]

        def act() -> None:
            server.kill()
            time.sleep(AWAY)
            server.start()
            row.figure("restart s", server.wait_for(house.current()["serving"]), "s", "<= 10")

        watch(house, row, act)


def stopped(kind: str, site: Site, row: Row) -> None:
    """One of two is stalled, and goes on later."""
    with site.house() as house:
        server = getattr(house, kind)[0]

        def act() -> None:
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(AWAY)
            server.process.send_signal(signal.SIGCONT)

        watch(house, row, act)


def terminated(site: Site, row: Row) -> None:
    """Each process in turn is asked to end, with a socket open that says nothing, and one that leaves a call unfinished."""
    with site.house() as house:
        longest, statuses = 0.0, set()

        def act() -> None:
            nonlocal longest
            for server in house.servers():
                with socket.create_connection(("127.0.0.1", server.port)), Connection(server.port) as idle:
                    idle.open_stream("/twotower.v1.RecallService/StreamRecall")
                    seconds, status = server.stop()
                longest = max(longest, seconds)
                statuses.add(status)
                server.start()
                server.wait_for(house.current()["serving"])
                time.sleep(READY)

        watch(house, row, act)
        row.figure("exit s", longest, "s", "<= 10")
        row.holds("exit status 0", statuses == {0})


def killed_while_loading(site: Site, row: Row) -> None:
    """Towers are killed at any moment after CURRENT named another generation; started again, they serve it."""
    draw = random.Random(1)
    with site.house() as house:

        def act() -> None:
            for turn in range(ROUNDS):
                status, said = house.indexed("rollback")
                row.note(said) if status else None
                time.sleep(draw.uniform(0, 0.4))
                servers = [house.item_towers[turn % 2], house.user_towers[turn % 2]]
                for server in servers:
                    server.kill()
                for server in servers:
                    server.start()
                house.serves()
                time.sleep(READY)

        watch(house, row, act)
        row.figure("kills", ROUNDS * 2)


def killed_index_builder(site: Site, row: Row) -> None:
    """The index builder is killed at any moment: CURRENT names a whole generation, and the next run publishes."""
    draw = random.Random(2)
    with site.house() as house:
        before, kills = house.current()["serving"], 0

        def act() -> None:
            nonlocal kills
            for turn in range(ROUNDS):
                process = house.index(settings={"CATALOG": another_catalog(house, f"Kill {turn}")})
                time.sleep(draw.uniform(0.02, 0.6))
                kills += process.poll() is None
                process.kill()
                process.communicate()
                row.holds("whole", is_sound(house))
                if not is_sound(house):
                    return

        watch(house, row, act)
        row.figure("kills", kills, "1", ">= 1")
        status, said = house.indexed(settings={"CATALOG": another_catalog(house, "Last")})
        row.holds("next run publishes", status == 0 and house.current()["serving"] != before)


def killed_while_collecting(site: Site, row: Row) -> None:
    """The collector is killed at any moment: what CURRENT names stays whole."""
    draw = random.Random(3)
    with site.house(gateways=1) as house:
        kills = 0
        for turn in range(ROUNDS):
            house.indexed(settings={"CATALOG": another_catalog(house, f"Collect {turn}"), "KEEP_GENERATIONS": 100})
            process = house.index("gc", "--keep", "2")
            time.sleep(draw.uniform(0, 0.04))
            kills += process.poll() is None
            process.kill()
            process.communicate()
            row.holds("whole", is_sound(house) and is_sound(house, house.current()["previous"]))
        row.figure("kills", kills, "1", ">= 1")
        status, _ = house.indexed("gc", "--keep", "2")
        left = [path.name for path in (house.store / "generations").iterdir()]
        row.holds("leftovers collected", status == 0 and sorted(left) == sorted([house.current()["serving"], house.current()["previous"]]))
        house.is_whole(10)


def is_sound(house: House, *generation: str) -> bool:
    """Whether the generation, or the one that serves, has all its files with their hashes."""
    return house.indexed("check", *generation)[0] == 0


CASES = {
    **{f"kill_{kind[:-1]}": partial(killed, kind) for kind in KINDS},
    **{f"stop_{kind[:-1]}": partial(stopped, kind) for kind in KINDS},
    "terminate_each_process": terminated,
    "kill_while_loading": killed_while_loading,
    "kill_index_builder": killed_index_builder,
    "kill_while_collecting": killed_while_collecting,
}
