"""Generates `twotower.wire` from the proto files of the repository: generate.py [--check].

With `--check` nothing is written: it exits 1 if what is committed differs from what the proto files give.
"""

import argparse
import re
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto" / "proto"
WIRE = HERE / "src" / "twotower" / "wire"
# Another version gives other files.
TOOLS = "1.81.1"
SERVICES = ["catalog", "event", "generation", "recall", "traffic"]
MESSAGES = ["features", "filter", *SERVICES]


def main() -> int:
    parser = argparse.ArgumentParser(description="Generates twotower.wire from the proto files.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the files differ")
    check: bool = parser.parse_args().check
    if (found := version("grpcio-tools")) != TOOLS:
        sys.exit(f"grpcio-tools is {found}, must be {TOOLS}")
    made = generated()
    if check:
        return report(made, committed())
    for name in committed().keys() - made.keys():
        (WIRE / name).unlink()
    for name, text in made.items():
        (WIRE / name).write_text(text, encoding="utf-8")
    return 0


def generated() -> dict[str, str]:
    """Returns what the proto files give, by file name."""
    with tempfile.TemporaryDirectory() as folder:
        run(MESSAGES, f"--python_out={folder}", f"--pyi_out={folder}")
        run(SERVICES, f"--grpc_python_out={folder}")
        made = sorted((Path(folder) / "twotower" / "v1").iterdir())
        return {path.name: relative(path.read_text(encoding="utf-8")) for path in made}


def run(names: list[str], *outputs: str) -> None:
    """Runs the compiler on proto files of the package."""
    protos = [f"twotower/v1/{name}.proto" for name in names]
    well_known = files("grpc_tools") / "_proto"
    if protoc.main(["protoc", f"-I{PROTO}", f"-I{well_known}", *outputs, *protos]) != 0:
        sys.exit("the proto files cannot be compiled")


def relative(text: str) -> str:
    """Lets generated modules import each other from the folder that they are in."""
    return re.sub(r"^from twotower\.v1 import ", "from . import ", text, flags=re.MULTILINE)


def committed() -> dict[str, str]:
    """Returns the generated files that are there, by name."""
    paths = [path for pattern in ("*_pb2*.py", "*_pb2.pyi") for path in WIRE.glob(pattern)]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def report(made: dict[str, str], there: dict[str, str]) -> int:
    """Names the files that differ, and returns the exit code."""
    differing = [name for name in sorted(made.keys() | there.keys()) if made.get(name) != there.get(name)]
    for name in differing:
        print(f"{name} differs from what the proto files give: run generate.py", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
