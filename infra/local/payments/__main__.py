"""`python -m infra.local.payments --port 12111 --data DIR`: run the provider until SIGTERM or Ctrl-C."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from infra.local.host.admission import admitting
from infra.local.payments import KEY, SECRET
from infra.local.payments.app import Api
from infra.local.payments.ledger import Ledger
from infra.local.payments.webhooks import Webhooks

log = logging.getLogger("payments")

GRACE = 3
"""Seconds that requests have to end when the engine stops."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        listener = socket.create_server(("127.0.0.1", options.port))
    except OSError as error:
        log.error("cannot listen on port %d: %s", options.port, error.strerror)  # noqa: TRY400 -- one line says it
        return 1
    options.data.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(options.data / "payments.db")
    webhooks = Webhooks(ledger, options.webhook, options.webhook_secret)
    if options.webhook:
        webhooks.start()
    config = uvicorn.Config(
        admitting(Api(ledger, options.key, webhooks.wake).app()),
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=GRACE,
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if options.with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    log.info("listening on 127.0.0.1:%d", listener.getsockname()[1])
    with listener:
        server.run(sockets=[listener])
    webhooks.stop()
    ledger.close()
    return 0


def _end_with_stdin() -> None:
    """End when the parent process closes the pipe, or has ended."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="payments", description="The part of Stripe's API that card payments take, for a laptop."
    )
    parser.add_argument("--port", type=int, default=12111, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a folder, made if missing")
    parser.add_argument("--key", default=KEY, help="the secret API key (default: %(default)s)")
    parser.add_argument("--webhook", default="", metavar="URL", help="where events are delivered (default: nowhere)")
    parser.add_argument("--webhook-secret", default=SECRET, help="what they are signed with (default: %(default)s)")
    parser.add_argument("--with-stdin", action="store_true", help="end when standard input does: with the parent")
    return parser


if __name__ == "__main__":
    sys.exit(main())
