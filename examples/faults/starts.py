"""What servers refuse to start with: they end at once, with a status that is not 0, and say which."""

import os
import socket
import subprocess
import time
from functools import partial

from house import free_port
from prepared import Site
from rows import Row

SOON = 5.0
SERVERS = ["gateway", "user-tower", "item-tower"]


def refuses(
    says: str, binaries: list[str], site: Site, row: Row, settings: dict = {}, environment: dict = {}, file: str | None = None
) -> None:
    """Starts each; `settings` are by the name of the key, `file` is the text of a config file, and `says` what they must name."""
    with site.folder() as folder:
        for binary in binaries:
            prefix = binary.upper().replace("-", "_")
            given = {"STORE": site.prepared / "store"}
            if binary != "index-builder":
                given["SERVER__LISTEN"] = f"127.0.0.1:{free_port()}"
            given |= settings
            variables = {f"{prefix}__{key}": str(value) for key, value in given.items()} | environment
            if binary == "user-tower":
                variables["USER_TOWER__HISTORY__PATH"] = str(folder / "history.redb")
            command = [site.bin / binary, *(["run"] if binary == "index-builder" else [])]
            if file is not None:
                (folder / "config.toml").write_text(file)
                command += ["--config", folder / "config.toml"]
            begun = time.monotonic()
            process = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            try:
                said, _ = process.communicate(timeout=SOON)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
            took = time.monotonic() - begun
            row.holds(f"{binary} ends", took < SOON and process.returncode not in (0, None))
            row.holds(f"{binary} says which", says.lower() in said.lower())
            line = next((line for line in said.splitlines() if "rror" in line), said[:100])
            row.note(line[-160:] if binary == binaries[0] else "")
        row.notes = [note for note in row.notes if note]


def garbage_library(site: Site, row: Row) -> None:
    with site.folder() as folder:
        library = folder / "libonnxruntime.so"
        library.write_bytes(os.urandom(100_000))
        refuses("libonnxruntime.so", ["user-tower", "item-tower"], site, row, environment={"ORT_DYLIB_PATH": str(library)})


def open_secret(site: Site, row: Row) -> None:
    with site.folder() as folder:
        secret = folder / "secret"
        secret.write_bytes(os.urandom(64))
        secret.chmod(0o644)
        refuses(str(secret), ["gateway"], site, row, settings={"TOKENS__KEY_FILES": secret})


def busy_port(site: Site, row: Row) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refuses(address, SERVERS, site, row, settings={"SERVER__LISTEN": address})


NOWHERE = {"ORT_DYLIB_PATH": "/nowhere/libonnxruntime.so"}
CASES = {
    "library_missing": partial(refuses, "/nowhere/libonnxruntime.so", ["user-tower", "item-tower"], environment=NOWHERE),
    "library_garbage": garbage_library,
    "config_unknown_key": partial(refuses, "nonsense", [*SERVERS, "index-builder"], file="nonsense = 1\n"),
    "config_wrong_type": partial(refuses, "server.max_streams", SERVERS, file='[server]\nmax_streams = "many"\n'),
    "config_out_of_bounds": partial(refuses, "server.max_streams", SERVERS, file="[server]\nmax_streams = 0\n"),
    "config_no_toml": partial(refuses, "config.toml", [*SERVERS, "index-builder"], file="store = \n"),
    "config_of_environment": partial(refuses, "nonsense", [*SERVERS, "index-builder"], settings={"NONSENSE": "1"}),
    "secret_that_others_may_read": open_secret,
    "port_taken": busy_port,
}
