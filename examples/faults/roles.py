"""The calls of the wire contract, and those of them that the table of roles knows."""

import re
from pathlib import Path

from rows import Row

PROTO = Path("proto")


def count(row: Row) -> list[tuple[str, float, str, str]]:
    """A row that passes if every call has its roles, and its figures for the report."""
    calls, package, service = set(), "", ""
    for path in sorted(PROTO.glob("proto/**/*.proto")):
        for kind, name in re.findall(r"^\s*(package|service|rpc) ([\w.]+)", path.read_text(), re.MULTILINE):
            match kind:
                case "package":
                    package = name
                case "service":
                    service = name
                case _:
                    calls.add(f"/{package}.{service}/{name}")
    listed = set(re.findall(r'"(/[\w.]+/\w+)"', (PROTO / "src" / "roles.rs").read_text()))
    figures = [("rpcs", len(calls), "1", ""), ("rpcs_in_role_table", len(calls & listed), "1", str(len(calls)))]
    for figure in figures:
        row.figure(*figure)
    return figures
