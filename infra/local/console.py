"""Open the operators' console of the running system in a browser, signed in; or print its address."""

import argparse
import html
import os
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from infra.local import issuer, stack
from infra.local.screen import command, complain, console
from shared.frame.http.console import PAGES
from shared.roles import Role

ROLES = (Role.OPS, Role.ORDERS_READ, Role.CATALOG_READ, Role.CUSTOMERS_READ)
"""What an operator does and looks at."""

READ_WITHIN = 10.0
"""Seconds that a browser has to start, and read where to go."""


def address(base_url: str, token: str, view: str = "/overview") -> str:
    """Give the page's address with a token in the fragment, which browsers send to nobody."""
    return f"{base_url}/api/{PAGES[0]}#{urlencode({'token': token, 'view': view})}"


@contextmanager
def redirect(folder: Path, url: str) -> Iterator[str]:
    """Give the address of a page that leads to another, until the block ends; only its owner can read the page.

    The address of a page that a browser is started with is for every user of the computer to see, in its command line.
    """
    number, name = tempfile.mkstemp(prefix="console-", suffix=".html", dir=folder)  # for its owner alone
    try:
        with os.fdopen(number, "w", encoding="utf-8") as page:
            page.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(url)}">')
        yield Path(name).absolute().as_uri()
    finally:
        Path(name).unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the page; 1 if no stack runs on the folder."""
    parser = argparse.ArgumentParser(prog="dev.py console", description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the address, with a token in it, and open nothing")
    parser.add_argument(
        "--data", type=stack.given_path, default=Path(".local"), help="folder of the running stack (%(default)s)"
    )
    options = parser.parse_args(arguments)
    running = stack.find(options.data)
    if running is None:
        complain(f"No stack runs on {options.data}: start one with `python3 dev.py up`.")
        return 1
    try:
        key = issuer.key_of(options.data)
    except issuer.KeyFileError as error:
        complain(error)
        return 1
    url = address(running.base_url, issuer.issue(key, ROLES))
    if not options.print:
        with redirect(options.data, url) as page:
            if webbrowser.open(page):
                console().print(f"{running.base_url}/api/{PAGES[0]} is open in the browser.", soft_wrap=True)
                time.sleep(READ_WITHIN)
                return 0
    console().print(url, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(command(main))
