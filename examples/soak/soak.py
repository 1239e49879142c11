"""Runs a house under a mixed load for half an hour, and tells whether a server grows: `make soak`.

Users recall, turn pages and do things, items come and go, and the catalog is indexed anew again and again, all while each server's
memory, descriptors and threads are looked at every second. What counts is the second half.
"""

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from house import House, Server
from prepared import prepare
from rows import REPORT, keep, meets
from told import told

COMMAND = "make soak"
# Histories and caches that are full soon, and generations that are let go as they usually are.
SETTINGS = {
    "user-tower": {
        "HISTORY__KEEP": 20, "HISTORY__CACHE_BYTES": 4 << 20, "HISTORY__PAGE_CACHE_BYTES": 4 << 20, "MODELS__LINGER": "10s",
    },
    "item-tower": {"SHARDS__LINGER": "10s"},
    "gateway": {},
}
# What is freed goes back to the system at once, so that what is seen is in use.
ALLOCATOR = {binary: ((), {"MIMALLOC_PURGE_DELAY": "0", "MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536"}) for binary in SETTINGS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--reindex", type=float, default=120, metavar="SECONDS", help="from one re-index to the next")
    parser.add_argument("--bin", type=Path, default=Path("target/release"), help="the folder of the binaries")
    parser.add_argument("--work", type=Path, default=Path("var/bench/faults"), help="where the store is kept")
    parser.add_argument("--samples", type=Path, default=Path("target/report/soak.csv"), help="where what was seen each second goes")
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    library = Path(".ort/libonnxruntime.so").resolve()
    if library.exists():
        os.environ.setdefault("ORT_DYLIB_PATH", str(library))
    bin, work = arguments.bin.resolve(), arguments.work.resolve()
    prepared = prepare(bin, work / "prepared")
    with tempfile.TemporaryDirectory(dir=work) as folder, start(bin, folder, prepared) as house:
        house.is_whole()
        counted, samples, indexed, failed = soak(house, arguments.minutes * 60, arguments.reindex)
        live = all(server.lives() for server in house.servers())
    write(arguments.samples, samples)
    for failure, count in counted["failures"].items():
        print(f"  {count} x {failure}")
    figures = told(samples, arguments.reindex) + [
        ("soak_calls", sum(counted["calls"].values()), "1", ""),
        ("soak_failed", sum(counted["failures"].values()), "1", "0"),
        ("soak_partial", counted["partial"], "1", ""),
        ("soak_minutes", arguments.minutes, "min", ">= 30"),
        ("soak_reindexes", indexed, "1", ""),
        ("soak_reindexes_failed", failed, "1", "0"),
        ("soak_all_live", float(live), "1", "1"),
    ]
    for name, value, unit, goal in filter(lambda figure: math.isfinite(figure[1]), figures):
        print(f"{name:<28} {value:>12.4g} {unit:<5} {goal}{'' if meets(value, goal) else '  MISSED'}")
    keep(arguments.report, COMMAND, figures)
    return 0 if live and not failed and not counted["failures"] else 1


def start(bin: Path, folder: str, prepared: Path) -> House:
    return House(bin, Path(folder), prepared, gateways=1, settings=SETTINGS, launch=ALLOCATOR)


def soak(house: House, seconds: float, reindex: float) -> tuple[dict, list[dict], int, int]:
    """What the callers counted, what was seen each second, and how many re-indexes were made and failed."""
    command = [sys.executable, Path(__file__).with_name("traffic.py"), house.addresses()[0]]
    callers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    begun, turn, samples, indexed, failed, builder = time.monotonic(), 0, [], 0, 0, None
    try:
        while (now := time.monotonic() - begun) < seconds:
            if builder is not None and builder.poll() is not None:
                said, _ = builder.communicate()
                indexed, failed, builder = indexed + 1, failed + (builder.returncode != 0), None
                if failed:
                    print(said)
            if builder is None and now >= (indexed + 1) * reindex:
                builder = house.index()
            seen = [look(server, now) | {"reindexing": int(builder is not None)} for server in house.servers()]
            if turn % 60 == 0:
                print(f"  {now / 60:.0f} min: " + ", ".join(f"{row['server']} {row['anon']:.1f} MB" for row in seen), flush=True)
            samples += seen
            turn += 1
            time.sleep(max(begun + turn - time.monotonic(), 0))
        said, _ = callers.communicate(timeout=30)
    finally:
        callers.kill()
        if builder is not None:
            builder.kill()
    return json.loads(said), samples, indexed, failed


def look(server: Server, second: float) -> dict:
    return {
        "second": second,
        "server": server.name,
        "anon": server.anon(),
        "descriptors": server.descriptors(),
        "threads": server.threads(),
    }


def write(path: Path, samples: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, samples[0].keys())
        writer.writeheader()
        writer.writerows(samples)


if __name__ == "__main__":
    sys.exit(main())
