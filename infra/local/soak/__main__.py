"""Orders at a moderate rate for minutes, on a stack of its own; exit code 1 if memory or the lag grows."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.local.demo.audit import Audit
from infra.local.demo.book import Book
from infra.local.demo.day import Day
from infra.local.demo.opening import ClosedShopError, open_shop
from infra.local.demo.place import NoStackError, own_stack
from infra.local.demo.progress import progress
from infra.local.demo.shop import Shop, Surprise
from infra.local.issuer import issue, key_of
from infra.local.screen import command, complain, console
from infra.local.soak.samples import ProcessEndedError, Samples
from infra.local.soak.trends import Trend
from infra.local.stack import Stack
from shared.roles import Role

INTERVAL = 10.0
"""Seconds between two measurements."""
SHORTEST = 2.0
"""Minutes; less says nothing of growth."""
CONNECTIONS = 16
CUSTOMERS, PRODUCTS = 40, 32
MOST_SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak; 0 if nothing grows and everything is as the book says, 1 if not, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    screen = console()
    try:
        screen.print("Starting a stack for the soak, which leaves nothing behind")
        with own_stack() as stack:
            return asyncio.run(soak(stack, options, screen))
    except KeyboardInterrupt:
        return 130
    except (NoStackError, ClosedShopError, ProcessEndedError, ValueError) as error:
        complain(error)
        return 1


async def soak(stack: Stack, options: argparse.Namespace, screen: Console) -> int:
    """Order and measure, compare with the book, tell the verdict; the exit code.

    Raises:
        ClosedShopError: the shop does not take customers or products.
        ProcessEndedError: a process of the stack ended.
        ValueError: there was too little to measure.
    """
    seconds = options.minutes * 60
    shop, book = Shop(stack.base_url, issue(key_of(stack.data), Role), CONNECTIONS), Book()
    try:
        await open_shop(shop, book, options.seed, CUSTOMERS, PRODUCTS, CONNECTIONS, lambda: None)
        samples = Samples(stack.pids, shop.figures)
        with progress(screen, "Soaking", int(seconds / INTERVAL)) as advance:
            trading = asyncio.create_task(_trade(Day(shop, book, options.seed), options.rate, seconds))
            await _measure(samples, trading, advance)
        wrong = await trading
        trends = samples.trends()
        with progress(screen, "Comparing with the book", Audit.size(book)) as advance:
            audit = Audit(shop, book, CONNECTIONS, advance)
            await audit.run()
    finally:
        await shop.close()
    wrong += audit.differences
    figures = shop.figures
    screen.print(
        f"{len(book.orders):,} orders, {figures.commands:,} commands, {figures.queries:,} queries in "
        f"{options.minutes:g} minutes; 99 of 100 changes seen within {samples.worst_lag():.0f} ms"
    )
    _show(screen, trends, wrong)
    return 1 if wrong or any(trend.grows for trend in trends) else 0


async def _trade(day: Day, rate: float, seconds: float) -> list[str]:
    """Begin so many orders a second, whether or not earlier ones are done; what was answered that must not be."""
    surprises: list[str] = []

    async def order(number: int) -> None:
        try:
            await day.order(number)
        except Surprise as surprise:
            surprises.append(str(surprise))

    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in count():
            if number / rate >= seconds:
                break
            await asyncio.sleep(begin + number / rate - time.monotonic())
            group.create_task(order(number))
    return surprises


async def _measure(samples: Samples, trading: asyncio.Task[list[str]], advance: Callable[[], None]) -> None:
    while not trading.done():
        samples.take()
        await asyncio.wait([trading], timeout=INTERVAL)
        advance()


def _show(screen: Console, trends: Sequence[Trend], wrong: Sequence[str]) -> None:
    table = Table("", "first third", "last third", "a minute", "limit", "")
    for column in table.columns[1:5]:
        column.justify = "right"
    for trend in trends:
        verdict = Text("grows", style="bold red") if trend.grows else Text("flat", style="green")
        first, last = f"{trend.first:.1f} {trend.unit}", f"{trend.last:.1f} {trend.unit}"
        table.add_row(trend.what, first, last, f"{trend.slope:+.2f}", f"{trend.limit:g}", verdict)
    screen.print(table)
    if wrong:
        screen.print(Text(f"{len(wrong):,} things are not as they must be:", style="bold red"))
        for line in wrong[:MOST_SHOWN]:
            screen.print(f"• {line}")
    else:
        screen.print(Text("Everything is as the book says.", style="bold green"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py soak", description=__doc__)
    parser.add_argument("--minutes", type=_at_least(SHORTEST), default=10.0, help="how long (%(default)g)")
    parser.add_argument("--rate", type=_at_least(0.1), default=2.0, help="orders begun a second (%(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="another one plays other orders (%(default)s)")
    return parser


def _at_least(least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not least <= number < float("inf"):
            raise argparse.ArgumentTypeError(f"should be at least {least:g}")
        return number

    parse.__name__ = "number"
    return parse


if __name__ == "__main__":
    sys.exit(command(main))
