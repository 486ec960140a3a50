"""HTTP clients for tests, which hold every answer of the API against its description."""

import httpx

from tests.support.contract import Contract
from tests.support.stack import Stack

TIMEOUT = 60
"""Seconds; longer than any query waits, on a machine that runs other things."""


def client(stack: Stack, token: str | None = None) -> httpx.Client:
    """A client of a stack's API; each request raises BrokenContract if need be.

    Args:
        stack: whose API.
        token: who calls; None: the shop, with every role.
    """
    contract = Contract.of(stack.base_url)

    def check(response: httpx.Response) -> None:
        response.read()
        contract.check(response)

    headers = _authorized(token or stack.token())
    return httpx.Client(base_url=stack.base_url, headers=headers, timeout=TIMEOUT, event_hooks={"response": [check]})


def async_client(stack: Stack, token: str | None = None) -> httpx.AsyncClient:
    """The same for asynchronous tests."""
    contract = Contract.of(stack.base_url)

    async def check(response: httpx.Response) -> None:
        await response.aread()
        contract.check(response)

    headers = _authorized(token or stack.token())
    return httpx.AsyncClient(
        base_url=stack.base_url, headers=headers, timeout=TIMEOUT, event_hooks={"response": [check]}
    )


def _authorized(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
