"""The fault matrix: whether everything that is said to show a fault is there, and its figures are what they should be."""

import json
import re
import tomllib
from pathlib import Path

from rows import Row, meets

MATRIX = tomllib.loads(Path(__file__).with_name("covered.toml").read_text())
WAIVED = MATRIX["waived"]


def check(known: set[str]) -> list[str]:
    """What is wrong with the matrix: rows that this program has not, or that stand nowhere in it."""
    named = {row for fault in MATRIX["fault"] for row in fault.get("rows", [])}
    wrong = [f"covered.toml names {row}, which is no fault of this program" for row in sorted((named | set(WAIVED)) - known)]
    return wrong + [f"covered.toml does not name {row}" for row in sorted(known - named)]


def names() -> list[str]:
    """The names of the rows for faults of which tests or figures show something."""
    return [name_of(fault) for fault in MATRIX["fault"] if is_shown(fault)]


def rows_of_faults() -> list[list[str]]:
    """For each fault of the matrix the names of all its rows."""
    return [fault.get("rows", []) + ([name_of(fault)] if is_shown(fault) else []) for fault in MATRIX["fault"]]


def name_of(fault: dict) -> str:
    return f"covered_{fault['name']}"


def is_shown(fault: dict) -> bool:
    """Whether tests or figures show something of it."""
    return bool(fault.get("tests") or fault.get("figures"))


def rows() -> list[Row]:
    """A row for each fault of which tests or figures show something."""
    tests, figures, covered = functions(), kept(), []
    for fault in MATRIX["fault"]:
        row = Row(name_of(fault))
        for name in fault.get("tests", []):
            if name.rsplit("::", 1)[-1] not in tests:
                row.broken = f"there is no test {name}"
        for name in fault.get("figures", []):
            if name not in figures:
                row.broken = f"{name} was not measured: {fault['command']}"
            elif not meets(figures[name]["value"], figures[name]["goal"]):
                row.broken = f"{name} is {figures[name]['value']:.4g}, goal {figures[name]['goal']}"
        if fault.get("tests"):
            row.figure("tests", len(fault["tests"]), "1", ">= 1")
        if fault.get("figures"):
            row.figure("figures", len(fault["figures"]), "1", ">= 1")
        if row.figures or row.broken:
            covered.append(row)
    return covered


def functions() -> set[str]:
    """The names of all test functions of the workspace."""
    found = set()
    for path in Path(".").glob("*/**/*.rs"):
        if path.parts[0] not in ("target", "var"):
            found |= set(re.findall(r"#\[(?:\w+::)?test\b[^]]*\][^{;]*?fn (\w+)", path.read_text()))
    return found


def kept() -> dict[str, dict]:
    """All figures by name; those that were measured here before those that are kept."""
    files = [*Path("docs").glob("*.json"), *Path("target/report").glob("*.json")]
    return {row["row"]: row for file in files for row in json.loads(file.read_text()) if isinstance(row, dict) and "row" in row}


def table() -> str:
    """The matrix as a table in Markdown."""
    lines = ["| fault | must | shown by |", "|---|---|---|"]
    for fault in MATRIX["fault"]:
        shown = [", ".join(f"`{name}`" for name in fault[key]) for key in ("rows", "tests") if fault.get(key)]
        if fault.get("figures"):
            shown.append(f"`{fault['command']}`: " + ", ".join(f"`{name}`" for name in fault["figures"]))
        lines.append(f"| {fault['what']} | {fault['must']} | {'; '.join(shown)} |")
    return "\n".join(lines)
