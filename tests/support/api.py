"""HTTP clients for tests, which hold every answer of the API against its description."""

import httpx

from tests.support.contract import Contract

TIMEOUT = 60
"""Seconds; longer than any query waits, on a machine that runs other things."""


def client(base_url: str) -> httpx.Client:
    """A client of the API at `base_url` (a stack's, without /api); each request raises BrokenContract if need be."""
    contract = Contract.of(base_url)

    def check(response: httpx.Response) -> None:
        response.read()
        contract.check(response)

    return httpx.Client(base_url=base_url, timeout=TIMEOUT, event_hooks={"response": [check]})


def async_client(base_url: str) -> httpx.AsyncClient:
    """The same for asynchronous tests."""
    contract = Contract.of(base_url)

    async def check(response: httpx.Response) -> None:
        await response.aread()
        contract.check(response)

    return httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT, event_hooks={"response": [check]})
