"""Rows of a report: what was measured, what it should be, and whether it is."""

import datetime
import json
import math
import operator
from dataclasses import dataclass, field
from pathlib import Path

REPORT = Path("target/report/shell.json")


@dataclass
class Row:
    """One fault: it passes if every figure is what its goal says, or is waived for a reason."""

    name: str
    figures: list[tuple[str, float, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    waived: str = ""
    broken: str = ""

    def figure(self, name: str, value: float, unit: str = "1", goal: str = "") -> None:
        self.figures.append((name, float(value), unit, goal))

    def holds(self, name: str, true: bool) -> None:
        """What must be so, each time that it is asked."""
        before = [value for other, value, *_ in self.figures if other == name]
        self.figures = [figure for figure in self.figures if figure[0] != name]
        self.figure(name, true and all(before), "1", "1")

    def note(self, text: str) -> None:
        """What helps to read the figures."""
        self.notes.append(text)

    @property
    def passes(self) -> bool:
        return not self.waived and not self.broken and bool(self.figures) and all(meets(value, goal) for _, value, _, goal in self.figures)

    def text(self) -> str:
        """One line for people; what missed its goal first."""
        if self.waived:
            return f"waived  {self.name:<34} {self.waived}"
        told = sorted(self.figures, key=lambda figure: meets(figure[1], figure[3]))
        parts = [self.broken] if self.broken else []
        parts += [show(*figure) for figure in told] + self.notes
        return f"{'pass' if self.passes else 'FAIL':<7} {self.name:<34} {'; '.join(parts)}"

    def reported(self) -> list[tuple[str, float, str, str]]:
        """The rows of the report: the fault itself, then its figures."""
        goal = f"waived: {self.waived}" if self.waived else "1"
        figures = [(f"fault_{self.name}_{name.replace(' ', '_')}", value, unit, goal) for name, value, unit, goal in self.figures]
        return [(f"fault_{self.name}", float(self.passes), "1", goal)] + figures


def show(name: str, value: float, unit: str, goal: str) -> str:
    if goal == "1" and unit == "1" and value in (0, 1):
        return name if value else f"NOT {name}"
    text = f"{name} {value:.4g}{'' if unit == '1' else ' ' + unit}"
    return text if meets(value, goal) else f"{text}, goal {goal}"


def meets(value: float, goal: str) -> bool:
    """Whether a figure is what its goal says: `0`, `<= 1.5`, `< 20`, `>= 10`; words set no goal, what stands after one explains it."""
    parts = goal.replace(",", " ").split()
    if not parts:
        return True
    sign, rest = (parts[0], parts[1:]) if parts[0] in ("<", "<=", ">", ">=") else ("==", parts)
    try:
        wanted = float(rest[0].rstrip(":")) if rest else None
    except ValueError:
        return True
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}[sign]
    return wanted is None or compare(value, wanted)


def keep(report: Path, command: str, figures: list[tuple[str, float, str, str]]) -> None:
    """Merges rows into a report: those of the same name are replaced, the others stay; one that is no number was not measured."""
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    rows = [
        {"row": name, "value": value, "unit": unit, "goal": goal, "command": command, "date": date}
        for name, value, unit, goal in figures
        if math.isfinite(value)
    ]
    names = {row["row"] for row in rows}
    old = json.loads(report.read_text()) if report.exists() else []
    report.parent.mkdir(parents=True, exist_ok=True)
    partial = report.with_suffix(".partial")
    partial.write_text(json.dumps([row for row in old if row["row"] not in names] + rows, indent=2) + "\n")
    partial.rename(report)
