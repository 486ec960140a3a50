"""The client of operators' commands: it reaches the stack on this computer, or a system at --url."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from infra.local import stack
from infra.local.issuer import KeyFileError, issue, key_of
from infra.local.screen import one_line
from shared.frame.platform.loopback import is_loopback
from shared.roles import Role

TIMEOUT = 60.0
"""Seconds for which the system may not answer: it may be restarting."""


class RefusedError(Exception):
    """The system refuses, or no system runs; the message says why."""


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the system."""
    parser.add_argument(
        "--data", type=stack.given_path, default=Path(".local"), help="folder of the running stack (%(default)s)"
    )
    parser.add_argument("--url", help="address of a running system, without /api; needs --token")
    parser.add_argument("--token", help="what the system at --url takes, with the role Ops")


@contextmanager
def ops_client(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Iterator[httpx.Client]:
    """Open a client of the routes below /api/ops, as an operator.

    Raises:
        RefusedError: no stack runs on the folder.
    """
    if (options.url is None) != (options.token is None):
        parser.error("--url and --token go together")
    base_url, token = options.url, options.token
    if base_url is None:
        running = stack.find(options.data)
        if running is None:
            raise RefusedError(f"No stack runs on {options.data}: start one with `python3 dev.py up`.")
        try:
            base_url, token = running.base_url, issue(key_of(options.data), [Role.OPS])
        except KeyFileError as error:
            raise RefusedError(str(error)) from None
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(
        base_url=f"{base_url}/api/ops", headers=headers, timeout=TIMEOUT, trust_env=not is_loopback(base_url)
    ) as http:
        yield http


def answered(answer: httpx.Response) -> dict[str, Any]:
    """Read what the system answers.

    Raises:
        RefusedError: the answer is a problem; the message has all its errors.
    """
    if not answer.headers.get("Content-Type", "").endswith("json"):  # the platform's own answer, or of another system
        raise RefusedError(
            f"{answer.request.url} answers {answer.status_code}, and nothing of ours: is the token right?"
        )
    body: dict[str, Any] = answer.json()
    if answer.status_code != httpx.codes.OK:
        wrong = [f"{error['pointer'].removeprefix('/')}: {error['detail']}" for error in body.get("errors", [])]
        raise RefusedError("\n  ".join(map(one_line, [body["detail"], *wrong])))
    return body
