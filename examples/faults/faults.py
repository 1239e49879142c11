"""Breaks real servers as the fault matrix says, and counts who notices: `make faults`.

Each fault meets a house of its own, of processes on loopback or in network namespaces. Prints a row per fault, and writes them into the
report; what other tests and commands show stands in covered.toml, and counts as a row if it is there.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import grpc

import covered
import damage
import descriptors
import disk
import floods
import history
import kills
import loris
import messages
import networks
import roles
import starts
from house import Broken
from prepared import Site, prepare
from rows import REPORT, Row, keep

MODULES = (starts, kills, networks, damage, disk, history, descriptors, messages, loris, floods)
FAMILIES = {module.__name__: module.CASES for module in MODULES}
COMMAND = "make faults"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, default=Path("target/release"), help="the folder of the binaries")
    parser.add_argument("--work", type=Path, default=Path("var/bench/faults"), help="where the store is kept, and houses and logs are")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this fault, or this family; may be given again")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--table", action="store_true", help="print the matrix in Markdown, and do nothing")
    arguments = parser.parse_args()
    cases = {name: case for family in FAMILIES.values() for name, case in family.items()}
    if wrong := covered.check(set(cases)):
        sys.exit("\n".join(wrong))
    if arguments.table:
        print(covered.table())
        return 0
    wanted = set(arguments.only) or {"covered", *cases}
    wanted |= {name for family in wanted & set(FAMILIES) for name in FAMILIES[family]}
    if unknown := wanted - {"covered", *cases, *FAMILIES}:
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join([*FAMILIES, *cases])}")
    library = Path(".ort/libonnxruntime.so").resolve()
    if library.exists():
        os.environ.setdefault("ORT_DYLIB_PATH", str(library))
    bin, work = arguments.bin.resolve(), arguments.work.resolve()
    prepared = prepare(bin, work / "prepared")
    rows = [run(name, case, Site(bin, prepared, work / "houses", work / "logs" / name)) for name, case in cases.items() if name in wanted]
    figures = []
    if "covered" in wanted:
        table = Row("roles")
        figures += roles.count(table)
        for row in [*covered.rows(), table]:
            rows.append(row)
            print(row.text(), flush=True)
    figures += [figure for row in rows for figure in row.reported()]
    keep(arguments.report, COMMAND, figures)
    keep(arguments.report, COMMAND, totals(arguments.report, [*cases, *covered.names(), "roles"]))
    passed, waived = sum(row.passes for row in rows), sum(bool(row.waived) for row in rows)
    print(f"{len(rows)} rows, {passed} pass, {waived} waived, {len(rows) - passed - waived} fail; also in {arguments.report}")
    return 0 if passed + waived == len(rows) else 1


def totals(report: Path, names: list[str]) -> list[tuple[str, float, str, str]]:
    """How many rows are in the report, whenever each was made, and of how many faults of the matrix all rows pass or are waived."""
    kept = {row["row"].removeprefix("fault_"): row for row in json.loads(report.read_text()) if row["row"].startswith("fault_")}
    rows = [kept[name] for name in names if name in kept]
    waived = lambda row: row["goal"].startswith("waived")
    survived = lambda name: name in kept and (kept[name]["value"] == 1 or waived(kept[name]))
    matrix = covered.rows_of_faults()
    return [
        ("fault_rows", len(rows), "1", str(len(names))),
        ("fault_rows_pass", sum(row["value"] for row in rows), "1", "all but those that are waived"),
        ("fault_rows_waived", sum(map(waived, rows)), "1", "<= 2"),
        ("fault_matrix", len(matrix), "1", ""),
        ("fault_matrix_pass", sum(all(map(survived, rows)) for rows in matrix), "1", f">= {len(matrix) - 2}"),
    ]


def run(name: str, case, site: Site) -> Row:
    """Lets one fault happen; what prevents it counts as a failure of it."""
    row, begun = Row(name), time.monotonic()
    try:
        case(site, row)
    except (Broken, OSError, grpc.RpcError, subprocess.SubprocessError) as error:
        row.broken = f"{type(error).__name__}: {error}"
    if not row.passes and not row.waived:
        row.waived = covered.WAIVED.get(name, "")
    row.note(f"{time.monotonic() - begun:.0f} s")
    print(row.text(), flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
