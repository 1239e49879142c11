"""A disk that is full, or that fails to sync: nothing is acknowledged that is not on it, recall lives, and all is well again after."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

from house import SHARDS, Broken, House, wait
from load import Load, failures
from prepared import Site, another_catalog
from rows import Row
from watch import QUIET, is_well
from wire import Recorder

RATE = 40
# Room for the history beside what it takes when it is new, and for the store beside the generations there are.
HISTORY_MB, STORE_MB = 12, 2
# Calls of events that are tried while the disk is at fault, and how long it may take to get over it.
TRIES, AFTER = 40, 10.0
# What comes before a generation is published.
STEPS = [["plan"], ["embed", "--part", "1/1"], *(["build", "--shard", str(shard)] for shard in range(SHARDS)), ["verify"]]
# Lets every sync of what it traces fail.
EIO = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO:when=1+"]


def waive(row: Row) -> bool:
    """Whether this machine cannot do it."""
    if os.geteuid() != 0:
        row.waived = "needs root, to mount a file system or to trace a server"
    elif shutil.which("strace") is None:
        row.waived = "needs strace"
    return bool(row.waived)


@contextlib.contextmanager
def mounted(folder: Path, megabytes: float):
    """A small file system of its own at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(megabytes * 1024)}k", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, left: int = 0) -> Path:
    """Takes all room of a file system but some bytes."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - left
        with contextlib.suppress(OSError):
            while free > 0:
                free -= file.write(bytes(min(free, 1 << 20)))
    return filler


@contextlib.contextmanager
def failing(pid: int):
    """Every sync of a process fails."""
    tracer = subprocess.Popen([*EIO, "-p", str(pid)], stderr=subprocess.DEVNULL)
    try:
        wait("strace traces", lambda: traced(pid) or tracer.poll() is not None, 10)
        if tracer.poll() is not None:
            raise Broken("strace cannot trace here")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)


def traced(pid: int) -> bool:
    tasks = [task for task in Path(f"/proc/{pid}/task").iterdir()]
    return all("TracerPid:\t0\n" not in (task / "status").read_text() for task in tasks)


def recording(site: Site, row: Row, fault) -> None:
    """Events are recorded under load before a fault, meanwhile, and after it; `fault` is a context over the house and its history."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(site.folder())
        history = folder / "history" / "user-tower-0"
        stack.enter_context(mounted(history, HISTORY_MB))
        house = stack.enter_context(House(site.bin, folder, site.prepared, user_towers=1, gateways=1))
        house.is_whole()
        recorder = Recorder(house.gateways[0].address, "disk")
        load = stack.enter_context(Load(house.addresses(), RATE))
        time.sleep(QUIET)
        row.holds("acknowledged before", all(recorder.record() for _ in range(TRIES)))
        with fault(house, history):
            meanwhile = [recorder.record() for _ in range(TRIES)]
            row.holds("refused", not meanwhile[-1])
            row.note(f"{sum(meanwhile)} of {TRIES} still acknowledged, others {recorder.refused}")
            time.sleep(QUIET)
        row.figure("seconds until acknowledged", wait("events are taken again", lambda: recorder.record(), AFTER), "s", f"<= {AFTER:.0f}")
        row.holds("acknowledged after", all(recorder.record() for _ in range(TRIES)))
        time.sleep(QUIET)
        calls = load.stop()
        row.figure("failed", sum(call.failed for call in calls), "1", "0")
        if failed := failures(calls):
            row.note(failed)
        row.figure("acknowledged and lost", recorder.lost(), "1", "0")
        house.user_towers[0].stop()
        house.user_towers[0].start()
        house.serves()
        row.figure("lost after a restart", recorder.lost(), "1", "0")
        recorder.close()
        is_well(house, row)


@contextlib.contextmanager
def full(_house: House, history: Path):
    filler = fill(history)
    try:
        yield
    finally:
        filler.unlink()


def unsynced(house: House, _history: Path):
    return failing(house.user_towers[0].pid)


def publishing(site: Site, row: Row, fault) -> None:
    """A generation is published under load while its store is at fault, then once more; `fault` is a context that tells how."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(site.folder())
        size = sum(path.stat().st_size for path in (site.prepared / "store").rglob("*") if path.is_file()) / (1 << 20)
        stack.enter_context(mounted(folder / "mount", 2 * size + STORE_MB))
        (folder / "store").symlink_to(folder / "mount")
        house = stack.enter_context(House(site.bin, folder, site.prepared, user_towers=1, gateways=1))
        house.is_whole()
        load, before = stack.enter_context(Load(house.addresses(), RATE)), house.current()
        time.sleep(QUIET)
        settings = {"CATALOG": another_catalog(house, "Full")}
        for step in STEPS:
            status, said = house.indexed(*step, settings=settings)
            if status != 0:
                raise Broken(f"index-builder {step[0]}: {said}")
        with fault(house) as options:
            status, said = house.indexed("publish", settings=settings, **options)
            row.holds("it fails", status != 0)
            row.note(next((line[:200] for line in said.splitlines() if line.startswith("Error")), "it said nothing"))
            row.holds("the old one serves", house.current() == before)
            row.holds("and is whole", house.indexed("check")[0] == 0)
        status, said = house.indexed("publish", settings=settings)
        row.holds("published after", status == 0 and house.current()["serving"] != before["serving"])
        house.serves()
        time.sleep(QUIET)
        calls = load.stop()
        row.figure("failed", sum(call.failed for call in calls), "1", "0")
        if failed := failures(calls):
            row.note(failed)
        is_well(house, row)


@contextlib.contextmanager
def full_store(house: House):
    filler = fill(house.store, left=16 << 10)
    try:
        yield {}
    finally:
        filler.unlink()


def unsynced_store(*names: str):
    """Every sync of the index builder fails; with names, those of these files of the store."""

    def fault(house: House):
        files = [option for name in names for option in ("-P", str(house.store.resolve() / name))]
        return contextlib.nullcontext({"before": [*EIO, *files]})

    return fault


def on_disk(what, fault, site: Site, row: Row) -> None:
    if not waive(row):
        what(site, row, fault)


CASES = {
    "disk_full_recording": partial(on_disk, recording, full),
    "sync_fails_recording": partial(on_disk, recording, unsynced),
    "disk_full_publishing": partial(on_disk, publishing, full_store),
    "sync_fails_publishing": partial(on_disk, publishing, unsynced_store()),
    "sync_fails_naming_current": partial(on_disk, publishing, unsynced_store("CURRENT.new")),
}
