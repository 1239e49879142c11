"""The four kinds of servers as processes of their own, over a copy of a prepared store."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from wire import generations, whole_recalls

USER_TOWERS = ["user-tower-0", "user-tower-1"]
ITEM_TOWERS = ["item-tower-0", "item-tower-1"]
SHARDS = 2
LOOPBACK = "127.0.0.1"
# How often towers and gateways look at the store, and gateways at the towers.
REFRESH = "200ms"
PATIENCE = 60.0
next_port = 20_000 + os.getpid() % 100 * 100


class Broken(Exception):
    """What was to be measured could not be, and why."""


def free_port() -> int:
    """A port that nobody listens on, below those that outgoing connections get, so that a server finds it free again."""
    global next_port
    while True:
        next_port += 1
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, next_port))
                return next_port
            except OSError:
                continue


def wait(what: str, is_so, patience: float = PATIENCE) -> float:
    """Waits until something is so, and returns how long that took."""
    begun = time.monotonic()
    while not is_so():
        if time.monotonic() - begun > patience:
            raise Broken(f"not within {patience:.0f} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - begun


class Server:
    """A server at an address that it keeps when it is started again, unless `host` is another by then."""

    def __init__(
        self, binary: Path, name: str, log: Path, settings: dict, before: list[str] = (), environment: dict = {}, host: str = LOOPBACK
    ):
        self.name, self.host, self.port, self.log = name, host, free_port(), log
        self.prefix = binary.name.upper().replace("-", "_")
        beyond = {"IDENTITY__INSECURE": "true"} if host != LOOPBACK else {}
        settings = {"TELEMETRY__FORMAT": "json"} | beyond | settings
        self.environment = os.environ | {f"{self.prefix}__{key}": str(value) for key, value in settings.items()} | environment
        self.command = [*before, str(binary)]
        self.start()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        environment = self.environment | {f"{self.prefix}__SERVER__LISTEN": self.address}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, env=environment, stdout=log, stderr=log)

    def lives(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """Ends it at once, also one that is stopped."""
        self.process.kill()
        self.process.wait()

    def stop(self, patience: float = PATIENCE) -> tuple[float, int]:
        """Asks it to end; returns how long that took, and its exit status."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise Broken(f"{self.name} does not end within {patience:.0f} s of SIGTERM") from None
        return time.monotonic() - begun, self.process.returncode

    def wait_for(self, generation: str | None) -> float:
        """Waits until it answers from the generation, or at all."""
        held = lambda: generations(self.address)
        serves = lambda: (found := held()) is not None and (generation is None or found.get(generation, False))
        return wait(f"{self.name} serves {generation}", serves)

    def anon(self) -> float:
        """Its memory that is no file's, in MB."""
        return status(self.pid, "RssAnon") / 1000 * 1.024

    def threads(self) -> int:
        return status(self.pid, "Threads")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise Broken(f"process {pid} has no {key}")


def urls(servers: list[Server]) -> list[str]:
    return ["http://" + server.address for server in servers]


class House:
    """Item towers that hold every shard each, user towers, gateways; all killed at the end."""

    def __init__(
        self,
        bin: Path,
        folder: Path,
        prepared: Path,
        item_towers=2,
        user_towers=2,
        gateways=2,
        settings: dict = {},
        launch: dict = {},
        hosts: dict = {},
        listed: bool = False,
    ):
        """`settings` are by binary, `launch` (what stands before a command, and its environment) by binary or name, and `hosts`, for
        servers beyond loopback, by name; `listed` lets gateways find item towers by a file that they watch."""
        self.bin, self.folder, self.prepared = bin, folder, prepared
        self.settings, self.launch, self.hosts = settings, launch, hosts
        self.store = folder / "store"
        shutil.copytree(prepared / "store", self.store, dirs_exist_ok=True)
        users = USER_TOWERS[:user_towers]
        (self.store / "MEMBERS").write_text(json.dumps({"epoch": 1, "members": users}))
        self.item_towers, self.user_towers, self.gateways = [], [], []
        try:
            members = ITEM_TOWERS[:item_towers]
            for name in members:
                of_shards = {"MEMBERS": ",".join(members), "MEMBER": name, "REPLICAS": item_towers}
                of_shards |= {"SHARDS__REFRESH": REFRESH, "SHARDS__LINGER": REFRESH}
                self.item_towers.append(self.server("item-tower", name, of_shards))
            for name in users:
                of_users = {"MEMBER": name, "HISTORY__PATH": self.history(name), "MODELS__REFRESH": REFRESH, "MODELS__LINGER": REFRESH}
                self.user_towers.append(self.server("user-tower", name, of_users))
            towers = {
                "USER_TOWERS": ",".join(urls(self.user_towers)),
                "ITEM_TOWERS": f"file:{self.list_item_towers()}" if listed else ",".join(urls(self.item_towers)),
            }
            for number in range(gateways):
                self.gateways.append(self.server("gateway", f"gateway-{number}", towers | {"TOPOLOGY__REFRESH": REFRESH}))
            self.serves()
        except BaseException:
            self.close()
            raise

    def list_item_towers(self) -> Path:
        """Writes where the item towers are into the file that gateways watch if they are told of it."""
        path, new = self.folder / "item-towers", self.folder / "item-towers.new"
        new.write_text("".join(f"{url}\n" for url in urls(self.item_towers)))
        return new.rename(path)

    def history(self, name: str) -> Path:
        folder = self.folder / "history" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "history.redb"

    def server(self, binary: str, name: str, settings: dict) -> Server:
        before, environment = self.launch.get(name) or self.launch.get(binary, ((), {}))
        settings = {"STORE": self.store} | settings | self.settings.get(binary, {})
        host = self.hosts.get(name, LOOPBACK)
        return Server(self.bin / binary, name, self.folder / f"{name}.log", settings, before, environment, host)

    def servers(self) -> list[Server]:
        return self.item_towers + self.user_towers + self.gateways

    def addresses(self) -> list[str]:
        return [gateway.address for gateway in self.gateways]

    def current(self) -> dict:
        return json.loads((self.store / "CURRENT").read_text())

    def serves(self) -> float:
        """Waits until every process serves what CURRENT names."""
        serving = self.current()["serving"]
        return max(server.wait_for(serving) for server in self.servers())

    def is_whole(self, patience: float = PATIENCE) -> float:
        """Waits until recalls at every gateway are whole."""
        return wait("recalls are whole", lambda: all(whole_recalls(address) == 20 for address in self.addresses()), patience)

    def index(self, *command: str, work: str = "index-builder", before: list[str] = (), settings: dict = {}) -> subprocess.Popen:
        """Starts the index builder, which stands for another machine; without a command it makes a generation of the prepared catalog."""
        settings = {
            "STORE": self.store,
            "CATALOG": self.prepared / "data" / "items.jsonl",
            "WORK": self.folder / work,
            "ITEM_TOWERS": "http://" + self.item_towers[0].address,
            "SHARDS": SHARDS,
            "TELEMETRY__FORMAT": "json",
        } | settings
        environment = os.environ | {f"INDEX_BUILDER__{key}": str(value) for key, value in settings.items()}
        command = ["nice", "-n", "19", *before, str(self.bin / "index-builder"), *(command or ["run"])]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def indexed(self, *command: str, **options) -> tuple[int, str]:
        """Runs the index builder to its end; returns its exit status and what it said."""
        process = self.index(*command, **options)
        said, _ = process.communicate(timeout=PATIENCE * 2)
        return process.returncode, said

    def close(self) -> None:
        for server in self.servers():
            server.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
