"""Writes `docs/gateway.md` out of `docs/gateway.json`, where the benches keep their rows."""

import json
from pathlib import Path

HERE = Path(__file__).parent
DOCS = Path("docs")
CATALOGS = ["3k7", "100k", "1m"]
MODELS = ["capsules", "fast", "default"]


def main() -> None:
    rows = json.loads((DOCS / "gateway.json").read_text())
    text = (HERE / "page.md").read_text()
    for command in sorted({row["command"] for row in rows}):
        left = {row["row"]: row for row in rows if row["command"] == command}
        text += f"\n## `{command}`\n"
        for columns in (CATALOGS, MODELS):
            text += table(left, columns)
        if left:
            text += "\n| figure | value | goal | made |\n|---|---|---|---|\n"
        for name, row in left.items():
            text += f"| `{name}` | {value(row)} | {row['goal']} | {row['date']} |\n"
    (DOCS / "gateway.md").write_text(text)


def table(left: dict[str, dict], columns: list[str]) -> str:
    """A line for the rows of one figure, a column an ending of their names; they are taken out of `left`."""
    lines = {}
    for name in list(left):
        figure, _, column = name.rpartition("_")
        if column in columns:
            lines.setdefault(figure, {})[column] = left.pop(name)
    columns = [column for column in columns if any(column in line for line in lines.values())]
    if not columns:
        return ""
    text = f"\n| figure | {' | '.join(f'`_{column}`' for column in columns)} | made |\n|{'---|' * (len(columns) + 2)}\n"
    for figure, line in lines.items():
        cells = [cell(line[column]) if column in line else "" for column in columns]
        text += f"| `{figure}` | {' | '.join(cells)} | {max(row['date'] for row in line.values())} |\n"
    return text


def cell(row: dict) -> str:
    return f"{value(row)} ({row['goal']})" if row["goal"] else value(row)


def value(row: dict) -> str:
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    return (f"{row['value']:,.0f}" if row["value"] >= 1000 else f"{row['value']:.4g}") + unit


if __name__ == "__main__":
    main()
