"""A store whose files are damaged, or that two write at once: the last good generation serves."""

import json
import time
from functools import partial
from pathlib import Path

from house import House, wait
from prepared import Site, another_catalog
from rows import Row
from watch import watch
from wire import generations

# The exit status of `index-builder check` where a file is damaged.
BROKEN = 3
# Servers look at the store several times meanwhile.
SEEN = 2.0


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def zeroed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    begin = len(data) // 2 // 4096 * 4096
    # Where there are zeros already it would be no damage.
    data[begin : begin + 4096] = bytes(len(data[begin : begin + 4096]))
    path.write_bytes(data)


def shard(damage, file: str, site: Site, row: Row) -> None:
    """CURRENT comes to name a generation of which one file is damaged: nobody takes it, and the index builder refuses to name it."""
    with site.house(gateways=1) as house:
        # A third one, so that the first is not held any more: towers keep what serves and the previous one.
        broken = house.current()["previous"]
        status, said = house.indexed(settings={"CATALOG": another_catalog(house, "Third")})
        before = house.current()
        for server in house.item_towers + house.user_towers:
            wait(f"{server.name} lets the first one go ({said})", lambda: broken not in (generations(server.address) or {broken}))
        damage(house.store / "generations" / broken / file)

        def act() -> None:
            row.holds("a check tells", house.indexed("check", broken)[0] == BROKEN)
            status, said = house.indexed("rollback", "--to", broken)
            row.holds("a rollback is refused", status != 0 and house.current() == before)
            row.note(next((line[:200] for line in said.splitlines() if line.startswith("Error")), ""))
            swap(house, json.dumps({"serving": broken, "previous": before["serving"]}).encode())
            time.sleep(SEEN)
            for server in house.item_towers + house.user_towers:
                held = generations(server.address) or {}
                if server in house.item_towers:
                    row.holds("no tower holds it", broken not in held)
                row.holds("the old one is held", before["serving"] in held)
            house.is_whole(10)
            swap(house, json.dumps(before).encode())

        watch(house, row, act)


def pointer(text: bytes, site: Site, row: Row) -> None:
    """CURRENT is damaged: who runs goes on, who starts waits, and all is well when it is mended."""
    with site.house(gateways=1) as house:
        before = (house.store / "CURRENT").read_bytes()
        again = [house.item_towers[0], house.user_towers[0]]

        def act() -> None:
            swap(house, text)
            time.sleep(SEEN)
            house.is_whole(10)
            for server in again:
                server.stop()
                server.start()
            time.sleep(SEEN)
            row.holds("who starts waits", all(server.lives() for server in again))
            swap(house, before)
            house.serves()

        watch(house, row, act)


def swap(house: House, text: bytes) -> None:
    """Replaces CURRENT by a rename, as a builder does."""
    new = house.store / "CURRENT.damaged"
    new.write_bytes(text)
    new.rename(house.store / "CURRENT")


def two_builders(work: tuple[str, str], site: Site, row: Row) -> None:
    """Two index builders run at once: one publishes, the other is refused."""
    with site.house(gateways=1) as house:
        before = house.current()["serving"]
        ended = []

        def act() -> None:
            catalogs = [another_catalog(house, f"Builder {number}") for number in (1, 2)]
            runs = [house.index(work=folder, settings={"CATALOG": catalog}) for folder, catalog in zip(work, catalogs)]
            for run in runs:
                said, _ = run.communicate(timeout=120)
                ended.append(run.returncode)
                if run.returncode != 0:
                    row.note(next((line[:200] for line in said.splitlines() if line.startswith("Error")), "it said nothing"))

        watch(house, row, act)
        row.figure("published", ended.count(0), "1", "1")
        row.holds("previous is the one before", house.current()["previous"] == before)
        row.holds("whole", house.indexed("check")[0] == 0)


CASES = {
    **{
        f"shard_{damage.__name__}_{file}": partial(shard, damage, f"shard-0000.{file}")
        for file, damage in (("rows", truncated), ("rows", flipped), ("graph", flipped), ("items", flipped), ("graph", zeroed))
    },
    "current_truncated": partial(pointer, b'{"serving": "2026'),
    "current_empty": partial(pointer, b""),
    "current_garbage": partial(pointer, bytes(range(256)) * 16),
    "current_names_nothing": partial(pointer, b'{"serving": "20200101T000000Z-00000000", "previous": null}'),
    "current_names_a_path": partial(pointer, b'{"serving": "../../etc", "previous": null}'),
    "two_index_builders": partial(two_builders, ("one", "other")),
    "two_index_builders_in_one_folder": partial(two_builders, ("one", "one")),
}
