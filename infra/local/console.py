"""Open the operators' console of the running system in a browser, signed in; or print its address."""

import argparse
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from infra.local import issuer, stack
from infra.local.screen import command, complain, console
from shared.frame.http.console import PAGES
from shared.roles import Role

ROLES = (Role.OPS, Role.ORDERS_READ, Role.CATALOG_READ, Role.CUSTOMERS_READ)
"""What an operator does and looks at."""


def address(base_url: str, token: str, view: str = "/overview") -> str:
    """Give the page's address with a token in the fragment, which browsers send to nobody."""
    return f"{base_url}/api/{PAGES[0]}#{urlencode({'token': token, 'view': view})}"


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
    if options.print or not webbrowser.open(url):
        console().print(url, soft_wrap=True)
    else:
        console().print(f"{running.base_url}/api/{PAGES[0]} is open in the browser.", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(command(main))
