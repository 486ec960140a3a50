"""The results of a day, as JSON and for people."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infra.local.demo.audit import STATUSES

PLURAL = {
    "product": "products",
    "order": "orders",
    "summary": "summaries",
    "list": "lists",
    "rush": "facts of the rush",
    "payments": "facts of payments",
}
MOST_SHOWN = 20
"""Differences listed on the screen; the JSON has all of them."""


@dataclass(frozen=True, slots=True)
class Result:
    """The results of a day.

    Attributes:
        seconds: how long the orders took, without the opening and the audit.
        statuses: how many orders ended in each status.
        commands: accepted while the orders were under way.
        refused: commands refused as they had to be, by the problem's code.
        replayed: commands sent twice and answered the same.
        retries: requests sent again because the shop did not answer.
        lags: seconds from a command's answer until a query showed the change, of a sample.
        compared: comparisons by read model.
        wrong: the differences from the expected state; empty if all is right.
    """

    orders: int
    seconds: float
    statuses: dict[str, int]
    commands: int
    refused: dict[str, int]
    replayed: int
    retries: int
    lags: Sequence[float]
    compared: dict[str, int]
    wrong: Sequence[str]

    def figures(self) -> dict[str, Any]:
        """As JSON has it; lags in milliseconds."""
        return {
            "orders": self.orders,
            "seconds": round(self.seconds, 3),
            "ordersPerSecond": round(self.orders / self.seconds, 1),
            "commands": self.commands,
            "commandsPerSecond": round(self.commands / self.seconds, 1),
            "lagSamples": len(self.lags),
            "lagP50Milliseconds": _milliseconds(self.lags, 0.5),
            "lagP99Milliseconds": _milliseconds(self.lags, 0.99),
            "statuses": self.statuses,
            "refused": self.refused,
            "replayed": self.replayed,
            "retries": self.retries,
            "compared": self.compared,
            "wrong": list(self.wrong),
        }

    def show(self, console: Console) -> None:
        """As people read it."""
        figures = self.figures()
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="bold")
        table.add_column()
        table.add_row(f"{self.orders:,}", f"orders in {self.seconds:.1f} s: {figures['ordersPerSecond']} per second")
        table.add_row("", ", ".join(f"{self.statuses.get(status, 0):,} {status}" for status in STATUSES))
        table.add_row(f"{self.commands:,}", f"commands: {figures['commandsPerSecond']} per second")
        table.add_row(
            f"{sum(self.refused.values()):,}",
            "refused, as they had to be: " + ", ".join(f"{n:,} {code}" for code, n in sorted(self.refused.items())),
        )
        table.add_row(f"{self.replayed:,}", "sent twice under one Idempotency-Key, and answered the same")
        if self.retries:
            table.add_row(f"{self.retries:,}", "requests sent again because the shop did not answer")
        if self.lags:
            table.add_row(
                f"{figures['lagP50Milliseconds']:.0f} ms",
                f"from a command's answer to its change being seen (median of {len(self.lags):,}; "
                f"99 of 100 within {figures['lagP99Milliseconds']:.0f} ms)",
            )
        compared = ", ".join(f"{n:,} {PLURAL[what]}" for what, n in self.compared.items())
        table.add_row(f"{sum(self.compared.values()):,}", f"comparisons with the book: {compared}")
        console.print(Panel(Group(table, Text(), *self._verdict()), title="The day", expand=False, padding=(1, 2)))

    def _verdict(self) -> list[Text]:
        if not self.wrong:
            return [Text("Everything is as the book says.", style="bold green")]
        left_out = len(self.wrong) - MOST_SHOWN
        return [
            Text(f"{len(self.wrong):,} things are not as they must be:", style="bold red"),
            *(Text(f"• {line}") for line in self.wrong[:MOST_SHOWN]),
            *([Text(f"… and {left_out:,} more (--json FILE has all)")] if left_out > 0 else []),
        ]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed (nearest rank)."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _milliseconds(lags: Sequence[float], share: float) -> float | None:
    return round(percentile(lags, share) * 1000, 1) if lags else None
