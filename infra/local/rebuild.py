"""Rebuild a view of the running system from the event log while it serves; or undo that, or give it up.

Without a view, tells how all views are.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.local.ops import PATIENCE, RefusedError, add_where, answered, ops_client

LOOK = 0.5
"""Seconds between two looks at how far it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it, and wait until it is done; 0 then, 1 if it is refused or nothing runs, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.action != "rebuild" and options.view is None:
        parser.error("which view?")
    console = Console(highlight=False)
    try:
        with ops_client(parser, options) as http:
            if options.view is None:
                console.print(_table(answered(http.get("/projections"))["items"]))
            else:
                answered(http.post(f"/projections/{options.view}/{options.action}"))
                console.print(_table([_followed(http, options.view, console)]))
    except KeyboardInterrupt:
        print("It goes on by itself: the same command without a view tells how far it is.", file=sys.stderr)
        return 130
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _followed(http: httpx.Client, view: str, console: Console) -> dict[str, Any]:
    """Show how far it is until it is over; the view's status then."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    said = None
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(view, total=None)
        while True:
            status = _status(http, view)
            rebuild = status["rebuild"]
            step = rebuild["step"] if rebuild else "done"
            if rebuild:
                total = rebuild["total"] or None
                bar.update(task, description=f"{view}: {step}", completed=rebuild["documents"], total=total)
            if step != said and not console.is_terminal:
                console.print(f"{view}: {step}")
            said = step
            if step in {"done", "cancelled"} and status["switchAt"] is None:
                return status
            time.sleep(LOOK)


def _status(http: httpx.Client, view: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = http.get(f"/projections/{view}")
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                return answered(answer)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK)


def _table(views: Sequence[dict[str, Any]]) -> Table:
    table = Table("view", "serving", "kept beside", "unapplied", "oldest", "differences", "last rebuild", "events/s")
    for view in views:
        lag, drift, rebuild = view["lag"], view["drift"], view["rebuild"]
        table.add_row(
            view["view"],
            str(view["serving"]),
            _or_none(view["standby"]),
            str(lag["unapplied"]),
            "" if lag["oldestAge"] is None else f"{lag['oldestAge']:.1f} s",
            str(len(drift["differences"])) if drift else "not checked yet",
            f"{rebuild['step']}: {rebuild['written']} written" if rebuild else "never",
            _or_none(rebuild and rebuild["eventsPerSecond"]),
        )
    return table


def _or_none(value: object) -> str:
    return "-" if value is None else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py rebuild", description=__doc__)
    parser.add_argument("view", nargs="?", help="orders, or products")
    action = parser.add_mutually_exclusive_group()
    for name, what in (
        ("roll-back", "let the generation before serve again"),
        ("retire", "keep the generation before no longer: there is no way back then"),
        ("cancel", "give the rebuild up"),
    ):
        action.add_argument(f"--{name}", dest="action", action="store_const", const=name, help=what)
    parser.set_defaults(action="rebuild")
    add_where(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
