"""`cosmos-engine --port 8081 --data DIR`, or `python -m cosmos_engine`: run the engine until SIGTERM or Ctrl-C."""

import _thread
import argparse
import gc
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cosmos_engine.admission import EMULATOR_KEY, admitting, decoded
from cosmos_engine.app import build
from cosmos_engine.store import Store

log = logging.getLogger("cosmos")
KEEP_ALIVE = 3600
"""Seconds that an idle connection is kept: longer than clients keep theirs, so that no request meets a closed one."""
GRACE = 3
"""Seconds that requests have to end when the engine stops."""

GARBAGE = 200_000
"""New objects between two searches for garbage: a query makes many, and hardly any are garbage that needs a search."""


LARGEST_HEAD = 64 * 1024
"""Bytes before the body: many times what a client sends with the largest partition key."""


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection whose request does not come to its body."""

    _head: int | None = None

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Count no more."""
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless the head is too large."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self.send_400_response(f"The head of a request has at most {LARGEST_HEAD} bytes.")


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
        _serve(store, listener, options)
        store.close()
    return 0


def _serve(store: Store, listener: socket.socket, options: argparse.Namespace) -> None:
    config = uvicorn.Config(
        admitting(build(store), options.key, options.name),
        http=BoundedHead,
        ws="none",
        proxy_headers=False,
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
    if options.with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    gc.freeze()  # loaded modules stay, so the collector need not look at them
    gc.set_threshold(GARBAGE)
    host, port = listener.getsockname()[:2]
    log.info("listening on %s:%d", host, port)
    server.run(sockets=[listener])


def _end_with_stdin() -> None:
    """End when the parent process closes the pipe, or has ended in any way: the system then closes the pipe."""
    while os.read(0, 1):
        pass
    if sys.platform == "win32":
        _thread.interrupt_main(signal.SIGINT)  # os.kill would end the process there and then
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cosmos-engine", description="Cosmos DB for a laptop.")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="what it listens on (default: %(default)s)")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="a name, beside localhost, by which it may be called; may be given again (default: none)",
    )
    parser.add_argument(
        "--key", type=_key, default=EMULATOR_KEY, help="of the account, as base64 (default: the official emulator's)"
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="a folder, made if missing, or :memory:")
    parser.add_argument("--with-stdin", action="store_true", help="end when standard input does: with the parent")
    return parser.parse_args()


def _key(text: str) -> str:
    try:
        decoded(text)
    except ValueError:
        raise argparse.ArgumentTypeError("is not base64") from None
    return text


def _file(data: str) -> str:
    if data == ":memory:":
        return data
    Path(data).mkdir(parents=True, exist_ok=True)
    return str(Path(data) / "cosmos.db")


if __name__ == "__main__":
    sys.exit(main())
