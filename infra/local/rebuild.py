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
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.local.ops import TIMEOUT, RefusedError, add_where, answered, ops_client
from infra.local.screen import command, complain, console, one_line

LOOK = 0.5
"""Seconds between two looks at how far it is."""

OVER = frozenset({"done", "cancelled"})

WHAT = {
    "retiring": "waits until no process writes the generation before (13 s)",
    "clearing": "empties the container",
    "joining": "waits until every process writes the new generation (13 s)",
    "filling": "writes what live events have not",
    "switching": "waits for the agreed moment (13 s)",
}
"""Steps, and why they take their time; how they work: shared/frame/operations/rebuilding.py."""

GOES_ON = """
It goes on by itself. `python3 dev.py rebuild` shows how far it is,
`python3 dev.py rebuild {view} --cancel` gives it up."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it, and wait until it is done; 0 then, 1 if it is refused or nothing runs, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.action != "rebuild" and options.view is None:
        parser.error("which view?")
    if options.even_if_incomplete and options.action != "roll-back":
        parser.error("--even-if-incomplete is for --roll-back")
    screen = console()
    try:
        with ops_client(parser, options) as http:
            if options.view is None:
                views = answered(http.get("/projections"))["items"]
                screen.print(_table(views))
                _complain_of(views)
            else:
                how = {"evenIfIncomplete": True} if options.even_if_incomplete else {}
                answered(http.post(f"/projections/{options.view}/{options.action}", json=how))
                status = _followed(http, options.view, screen)
                screen.print(_table([status]))
                _complain_of([status])
                screen.print(_next(status), soft_wrap=True)
    except KeyboardInterrupt:
        complain(GOES_ON.format(view=options.view))
        return 130
    except httpx.TransportError as error:
        complain(f"The system does not answer: {error}")
        return 1
    except RefusedError as error:
        complain(error)
        return 1
    return 0


def _followed(http: httpx.Client, view: str, screen: Console) -> dict[str, Any]:
    """Show step by step how far it is until it is over; the view's status then."""
    columns = (
        TextColumn("{task.description:<10}", markup=False),
        BarColumn(20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}", markup=False),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        said, task = None, None
        while True:
            status = _status(http, view)
            step = _step(status)
            if step != said:
                if task is not None:
                    bar.update(task, total=1, completed=1)
                if step in OVER:
                    return status
                said, task = step, bar.add_task(step, total=None, what=WHAT[step])
                if not screen.is_terminal:
                    screen.print(f"{step}: {WHAT[step]}", soft_wrap=True)
            if step == "filling" and task is not None:
                rebuild = status["rebuild"]
                all_of_them = f" of {rebuild['total']}" if rebuild["total"] else ""
                done = one_line(f"{rebuild['documents']}{all_of_them} documents")
                bar.update(task, total=rebuild["total"] or None, completed=rebuild["documents"], what=done)
            time.sleep(LOOK)


def _step(status: dict[str, Any]) -> str:
    if status["switchAt"] is not None:
        return "switching"  # a roll-back, too, which is no step of a rebuild
    step: str = status["rebuild"]["step"] if status["rebuild"] else "done"
    return step


def _status(http: httpx.Client, view: str) -> dict[str, Any]:
    deadline = time.monotonic() + TIMEOUT
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
    """Tell how views are, in 80 columns."""
    table = Table("view", "serves", "kept", "events behind", "documents wrong", "last rebuild")
    for view in views:
        lag, drift, rebuild = view["lag"], view["drift"], view["rebuild"]
        speed = f", {rebuild['eventsPerSecond']:,.0f} events/s" if rebuild and rebuild["eventsPerSecond"] else ""
        table.add_row(
            view["view"],
            str(view["serving"]),
            _or_none(view["standby"]),
            _behind(lag) if lag else "no container",
            f"{drift['found']} in {drift['partitions']} checked" if drift else "not checked yet",
            f"{rebuild['step']}{speed}" if rebuild else "never",
        )
    return table


def _behind(lag: dict[str, Any]) -> str:
    oldest = f", oldest {lag['oldestAge']:.1f} s" if lag["oldestAge"] is not None else ""
    unknown = f", {lag['unexamined']} not looked for yet" if lag["unexamined"] else ""
    return f"{lag['unapplied']}{oldest}{unknown}"


def _complain_of(views: Sequence[dict[str, Any]]) -> None:
    for wrong in (wrong for view in views for wrong in view["wrong"]):
        complain(wrong)


def _next(status: dict[str, Any]) -> str:
    """What can be done now."""
    if status["standby"] is None:
        return f"{status['view']} has generation {status['serving']} alone."
    return (
        f"Generation {status['serving']} serves. {status['standby']} is kept up to date beside it: "
        "--roll-back lets it serve again, --retire stops keeping it."
    )


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
    parser.add_argument(
        "--even-if-incomplete", action="store_true", help="with --roll-back: whether or not it shows as much as now"
    )
    add_where(parser)
    return parser


if __name__ == "__main__":
    sys.exit(command(main))
