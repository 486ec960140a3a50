"""The Cosmos engine with each request delayed: `python -m tests.bench.slow_cosmos`, with the arguments of its own.

It waits by itself, for a proxy in front of it would take a share of the processors, and only from Tandem.
"""

import asyncio
import sys

from starlette.types import ASGIApp, Receive, Scope, Send

from cosmos_engine import __main__ as engine
from cosmos_engine.app import build
from cosmos_engine.store import Store
from tests.bench.latency import Delay


def slow(store: Store) -> ASGIApp:
    """Make the application on an open store; it waits before it looks at a request."""
    app, delay = build(store), Delay.of_environment()

    async def later(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(delay.seconds)
        await app(scope, receive, send)

    return later


if __name__ == "__main__":
    engine.build = slow  # type: ignore[attr-defined]  # it imports the name that it calls
    sys.exit(engine.main())
