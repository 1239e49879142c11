"""Writes `docs/user-tower.md` out of `docs/user-tower.json`, where the benches keep their rows."""

import json
from pathlib import Path

HERE = Path(__file__).parent
DOCS = Path("docs")


def main() -> None:
    rows = json.loads((DOCS / "user-tower.json").read_text())
    text = (HERE / "page.md").read_text()
    for command in sorted({row["command"] for row in rows}):
        text += f"\n## `{command}`\n\n| figure | value | goal | made |\n|---|---|---|---|\n"
        for row in rows:
            if row["command"] == command:
                unit = "" if row["unit"] == "1" else f" {row['unit']}"
                value = f"{row['value']:,.0f}" if row["value"] >= 1000 else f"{row['value']:.4g}"
                text += f"| `{row['row']}` | {value}{unit} | {row['goal']} | {row['date']} |\n"
    (DOCS / "user-tower.md").write_text(text)


if __name__ == "__main__":
    main()
