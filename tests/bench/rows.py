"""What the bench says: one row for each figure, with its goal and whether it is met."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.table import Table

from tests.bench.rounds import Spread


class Goal(NamedTuple):
    """A bound that a figure should keep."""

    bound: float
    at_least: bool = False

    def met(self, figure: float) -> bool:
        """Whether a figure keeps it."""
        return figure >= self.bound if self.at_least else figure <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:.4g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        section: what it belongs to; the rows of a section stand together.
        what: what was measured, and against what.
        figure: the median over the rounds, or a count.
        unit: of the figure; `x` is a ratio.
        goal: None where there is none to keep.
        context: absolute figures, which are this machine's.
    """

    section: str
    what: str
    figure: Spread
    unit: str = "x"
    goal: Goal | None = None
    context: str = ""

    def as_json(self) -> dict[str, Any]:
        """The row for programs."""
        return {
            "section": self.section,
            "what": self.what,
            "figure": self.figure.median,
            "low": self.figure.low,
            "high": self.figure.high,
            "unit": self.unit,
            "goal": None if self.goal is None else str(self.goal),
            "met": None if self.goal is None else self.goal.met(self.figure.median),
            "context": self.context,
        }


def markdown(rows: Sequence[Row]) -> str:
    """All rows as docs/performance.md has them, a table for each section."""
    lines: list[str] = []
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", f"**{section}**", "", "| what | figure | goal | on that machine |", "|---|---|---|---|"]
        goal = "" if row.goal is None else f"{row.goal}: {'met' if row.goal.met(row.figure.median) else '**not met**'}"
        figure = f"{row.figure.median:.3g} {row.unit} {row.figure}".strip()
        lines.append(f"| {row.what} | {figure} | {goal} | {row.context} |")
    return "\n".join([*lines[1:], ""])


def table(rows: Sequence[Row]) -> Table:
    """All rows for people; goals that are not kept say so."""
    shown = Table(title="Medians over the rounds; in brackets the middle half of them", title_justify="left")
    for name in ("what", "figure", "", "goal", "met", "on this machine"):
        shown.add_column(name, justify="right" if name in {"figure", "goal"} else "left", overflow="fold")
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            shown.add_section()
            shown.add_row(f"[bold]{section}[/bold]")
        met = "" if row.goal is None else "yes" if row.goal.met(row.figure.median) else "[red]no[/red]"
        shown.add_row(
            row.what, f"{row.figure.median:.3g} {row.unit}", str(row.figure), str(row.goal or ""), met, row.context
        )
    return shown
