"""`python -m infra.local.cosmos --port 8081 --data DIR`: run the engine until SIGTERM or Ctrl-C."""

import argparse
import gc
import logging
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import uvicorn

from infra.local.cosmos.app import build
from infra.local.cosmos.store import Store

log = logging.getLogger("cosmos")
KEEP_ALIVE = 3600
"""Seconds that an idle connection is kept: longer than clients keep theirs, so that no request meets a closed one."""
GRACE = 3
"""Seconds that requests have to end when the engine is told to."""

GARBAGE = 200_000
"""New objects between two searches for garbage: a query makes many, and hardly any are garbage that needs a search."""


def main() -> int:
    """Serve; the exit code."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        listener = socket.create_server((options.host, options.port))
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", options.host, options.port, error.strerror)  # noqa: TRY400 -- one line says it
        return 1
    with listener:
        try:
            store = Store(_file(options.data))
        except (OSError, sqlite3.Error) as error:
            log.error("cannot open the data in %s: %s", options.data, error)  # noqa: TRY400 -- one line says it
            return 1
        _serve(store, listener)
        store.close()
    return 0


def _serve(store: Store, listener: socket.socket) -> None:
    config = uvicorn.Config(
        build(store),
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True  # comes too early for uvicorn's own handlers, or again from them: exit code 0

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    gc.freeze()  # what is loaded stays
    gc.set_threshold(GARBAGE)
    host, port = listener.getsockname()[:2]
    log.info("listening on %s:%d", host, port)
    server.run(sockets=[listener])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.cosmos", description="Cosmos DB for a laptop.")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="any key opens the data: keep to loopback (default: %(default)s)"
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="a folder, made if missing, or :memory:")
    return parser.parse_args()


def _file(data: str) -> str:
    if data == ":memory:":
        return data
    Path(data).mkdir(parents=True, exist_ok=True)
    return str(Path(data) / "cosmos.db")


if __name__ == "__main__":
    sys.exit(main())
