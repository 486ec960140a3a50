"""Print a token for the running system, to be sent as `Authorization: Bearer TOKEN`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from infra.local import issuer, stack
from infra.local.screen import command, complain
from shared.roles import CUSTOMER, Role


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the token; 1 if no stack runs on the folder."""
    options = _parser().parse_args(arguments)
    if stack.find(options.data) is None:
        complain(f"No stack runs on {options.data}: start one with `python3 dev.py up`.")
        return 1
    try:
        key = issuer.key_of(options.data)
    except issuer.KeyFileError as error:
        complain(error)
        return 1
    if options.customer:
        token = issuer.issue(key, {CUSTOMER, *(options.roles or ())}, options.customer)
    else:
        token = issuer.issue(key, Role if options.roles is None else options.roles)
    print(issuer.principal(key, token) if options.principal else token)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py token", description=__doc__)
    parser.add_argument(
        "--roles", type=_roles, metavar="A,B", help=f"app roles, of {', '.join(Role)} (default: all of them)"
    )
    parser.add_argument(
        "--customer", type=UUID, metavar="ID", help="a customer's own token, which reaches nobody else's data"
    )
    parser.add_argument(
        "--data", type=stack.given_path, default=Path(".local"), help="folder of the running stack (%(default)s)"
    )
    parser.add_argument(
        "--principal",
        action="store_true",
        help="print the X-MS-CLIENT-PRINCIPAL header instead, which `func start` adds for nobody",
    )
    return parser


def _roles(text: str) -> list[Role]:
    try:
        return [Role(name) for name in text.split(",") if name]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; there are {', '.join(Role)}") from error


if __name__ == "__main__":
    sys.exit(command(main))
