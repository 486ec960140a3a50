"""A shop's day: customers order through the HTTP API, and in the end every read model is compared with a book.

It plays on the stack that runs on --data, on any at --url, or else on one of its own that leaves nothing behind.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from rich.console import Console

from infra.local import stack
from infra.local.demo.audit import Audit
from infra.local.demo.book import DIGITS, Book
from infra.local.demo.day import Day
from infra.local.demo.erasure import erase_customer
from infra.local.demo.figures import Result
from infra.local.demo.opening import ClosedShopError, open_shop
from infra.local.demo.paying import STEPS as PAYING_STEPS
from infra.local.demo.paying import Paying
from infra.local.demo.place import NoStackError, own_stack
from infra.local.demo.progress import progress
from infra.local.demo.rush import STEPS, Rush
from infra.local.demo.shop import Shop
from infra.local.files import write_whole
from infra.local.issuer import issue, key_of
from infra.local.screen import command, complain, console
from shared.roles import Role


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the day; 0 if everything is as it must be, 1 if not or if there is no shop, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.url is None) != (options.token is None):
        parser.error("--url and --token go together")
    screen = console()
    try:
        with _shop(options, screen) as (base_url, token):
            result = asyncio.run(play(base_url, token, options, screen))
    except KeyboardInterrupt:
        return 130
    except (NoStackError, ClosedShopError) as error:
        complain(error)
        return 1
    except ExceptionGroup as group:
        if group.split(httpx.TransportError)[1]:
            raise
        complain("The shop does not answer any more.")
        return 1
    result.show(screen)
    if options.json:
        write_whole(options.json, json.dumps(result.figures(), indent=2, ensure_ascii=False) + "\n")
    return 1 if result.wrong else 0


async def play(base_url: str, token: str, options: argparse.Namespace, screen: Console) -> Result:
    """Play the day at the shop at this address and compare what it shows with what must be true.

    Raises:
        ClosedShopError: it does not take the customers and products.
        ExceptionGroup: of httpx.TransportError, the shop did not answer for longer than a restart takes.
    """
    shop, book, at_once = Shop(base_url, token, options.concurrency), Book(), options.concurrency
    try:
        with progress(screen, "Opening the shop", options.customers + options.products) as advance:
            await open_shop(shop, book, options.seed, options.customers, options.products, at_once, advance)
        before, begin = shop.figures.commands, time.perf_counter()
        with progress(screen, "Orders", options.orders) as advance:
            surprises = await Day(shop, book, options.seed).trade(range(options.orders), at_once, advance)
        seconds, commands = time.perf_counter() - begin, shop.figures.commands - before
        with progress(screen, "A rush on the last piece", STEPS) as advance:
            rush = Rush(shop, options.seed, advance)
            surprises += await rush.run()
        compared = {"rush": rush.compared}
        if options.url is None:  # elsewhere money is real, and an erasure can be withdrawn for days
            with progress(screen, "Paying by card", PAYING_STEPS) as advance:
                paying = Paying(shop, options.seed, advance)
                surprises += await paying.run()
            compared["payments"] = paying.compared
            with screen.status("Erasing a customer"):
                surprises += await erase_customer(shop, book)
        with progress(screen, "Comparing with the book", Audit.size(book)) as advance:
            audit = Audit(shop, book, at_once, advance)
            await audit.run()
    finally:
        await shop.close()
    figures = shop.figures
    return Result(
        orders=options.orders,
        seconds=seconds,
        statuses=dict(book.statuses()),
        commands=commands,
        refused=dict(figures.refused),
        replayed=figures.replayed,
        retries=figures.retries,
        lags=figures.lags,
        compared={**audit.compared, **compared},
        wrong=[*surprises, *audit.differences],
    )


@contextmanager
def _shop(options: argparse.Namespace, screen: Console) -> Iterator[tuple[str, str]]:
    """Give its address, and a token that it takes."""
    if options.url:
        screen.print(f"At {options.url}")
        yield options.url, options.token
        return
    if running := stack.find(options.data):
        screen.print(f"At {running.base_url}")
        yield running.base_url, issue(key_of(running.data), Role)
        return
    screen.print(
        f"Nothing runs on {options.data}: starting a stack for the demo, which leaves nothing behind", soft_wrap=True
    )
    with ExitStack() as until_done:
        with screen.status("Starting"):
            own = until_done.enter_context(own_stack())
        yield own.base_url, issue(key_of(own.data), Role)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py demo", description=__doc__)
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--data", type=stack.given_path, default=Path(".local"), help="folder of the stack to use (%(default)s)"
    )
    place.add_argument("--url", help="address of a running system, without /api; needs --token")
    parser.add_argument("--token", help="what the system at --url takes; with every role but Ops")
    for name, default, least, what in (
        ("orders", 300, 1, "orders"),
        ("customers", 40, 1, "customers"),
        ("products", 32, len(DIGITS), "products"),
        ("concurrency", 16, 1, "orders under way at once"),
    ):
        parser.add_argument(f"--{name}", type=_at_least(least), default=default, help=f"{what} (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another one plays another day (%(default)s)")
    parser.add_argument("--json", type=stack.given_path, metavar="FILE", help="write the figures there too")
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"should be at least {least}")
        return number

    parse.__name__ = "number"
    return parse


if __name__ == "__main__":
    sys.exit(command(main))
