"""Where houses are started: over a copy of a store that is made once, of a small catalog, a model of one epoch, two generations."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from house import SHARDS, Broken, House, Server


@dataclass
class Site:
    """The binaries, the prepared store, a folder for what is made meanwhile, and one for the logs of the fault at hand."""

    bin: Path
    prepared: Path
    scratch: Path
    logs: Path

    @contextlib.contextmanager
    def folder(self):
        """A folder to work in, of which only the logs are left."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            try:
                yield Path(folder)
            finally:
                shutil.rmtree(self.logs, ignore_errors=True)
                self.logs.mkdir(parents=True)
                for log in Path(folder).glob("*.log"):
                    shutil.copy(log, self.logs)

    @contextlib.contextmanager
    def house(self, **options):
        """A house that is whole; its options are those of `House`."""
        with self.folder() as folder, House(self.bin, folder, self.prepared, **options) as house:
            house.is_whole()
            yield house


def prepare(bin: Path, folder: Path) -> Path:
    """Makes it below `folder`, unless it is there and as new as the program that publishes."""
    ready = folder / "ready"
    if ready.exists() and ready.stat().st_mtime > (bin / "index-builder").stat().st_mtime:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data, run, store = folder / "data", folder / "run", folder / "store"
    say = lambda *command: subprocess.run([bin / "onnx", *command], check=True, stdout=subprocess.DEVNULL)
    say("data", "generate", "--users", "400", "--events", "40000", "--items", "2000", "--out", data)
    say("train", "--recipe", "onnx/towers/capsules.toml", "--data", data, "--epochs", "1", "--out", run)
    say("export", run, "--store", store, "--data", data)
    embeds = Server(bin / "item-tower", "embeds", folder / "embeds.log", {"STORE": store})
    try:
        embeds.wait_for(None)
        other = folder / "other.jsonl"
        changed(data / "items.jsonl", other, "Another")
        for catalog in (other, data / "items.jsonl"):
            index(bin, store, catalog, folder / "work", embeds.address)
    finally:
        embeds.kill()
    shutil.rmtree(folder / "work")
    ready.touch()
    return folder


def index(bin: Path, store: Path, catalog: Path, work: Path, item_tower: str) -> None:
    settings = {"STORE": store, "CATALOG": catalog, "WORK": work, "ITEM_TOWERS": f"http://{item_tower}", "SHARDS": SHARDS}
    environment = os.environ | {f"INDEX_BUILDER__{key}": str(value) for key, value in settings.items()}
    made = subprocess.run([bin / "index-builder", "run"], env=environment, capture_output=True, text=True)
    if made.returncode != 0:
        raise Broken(f"no generation was made: {made.stderr or made.stdout}")


def changed(catalog: Path, to: Path, word: str, every: int = 50) -> None:
    """Writes a catalog with other titles for some of the items, so that it makes another generation."""
    lines = catalog.read_text().splitlines()
    for number in range(0, len(lines), every):
        item = json.loads(lines[number])
        lines[number] = json.dumps(item | {"title": f"{word} {item['title']}"})
    to.write_text("\n".join(lines) + "\n")


def another_catalog(house: House, word: str) -> Path:
    """A catalog that makes another generation."""
    path = house.folder / f"{word.replace(' ', '-')}.jsonl"
    changed(house.prepared / "data" / "items.jsonl", path, word)
    return path
