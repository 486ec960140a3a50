"""A webhook of a test's own, in a thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe


class Hook:
    """A webhook that keeps what it gets, and fails, or answers what is no HTTP, as often as it is told to."""

    def __init__(self, url: str, got: list[tuple[bytes, str]], failures: list[int], garbled: list[int]) -> None:
        self.url, self.got, self.failures, self.garbled = url, got, failures, garbled

    def events(self, secret: str) -> list[Any]:
        """What it got, each verified by Stripe's own library."""
        return [stripe.Webhook.construct_event(body, signature, secret) for body, signature in self.got]


@contextmanager
def hook() -> Iterator[Hook]:
    """A webhook that listens until the block ends."""
    got: list[tuple[bytes, str]] = []
    failures, garbled = [0], [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Keep it."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if garbled[0]:
                garbled[0] -= 1
                self.wfile.write(b"no HTTP\r\n\r\n")
                return
            if failures[0]:
                failures[0] -= 1
                self.send_response(503)
            else:
                got.append((body, self.headers["Stripe-Signature"]))
                self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Hook(f"http://127.0.0.1:{server.server_port}/hook", got, failures, garbled)
        finally:
            server.shutdown()
