"""Sends events to a webhook, signed as Stripe signs them, until it answers 2xx.

https://docs.stripe.com/webhooks
"""

import hmac
import json
import logging
import threading
import time
import urllib.request
from hashlib import sha256
from http.client import HTTPException

from infra.local.payments.ledger import Json, Ledger

log = logging.getLogger("payments")

LOOK = 0.2
"""Seconds between two looks for due deliveries."""
TIMEOUT = 10.0
"""Seconds that a webhook has to answer."""
AFTER_ERROR = 2.0
"""Seconds after an error of the ledger until the next look, unless something happens."""
LONGEST_WAIT = 30.0
"""Seconds between two tries, at most; Stripe tries for days."""


class Webhooks:
    """Delivers on a thread of its own."""

    def __init__(self, ledger: Ledger, url: str, secret: str) -> None:
        self._ledger = ledger
        self._url = url
        self._secret = secret
        self._woken = threading.Event()
        self._over = False
        # a proxy of the environment has no business with loopback
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, daemon=True, name="webhooks").start()

    def wake(self) -> None:
        """Look for due deliveries now."""
        self._woken.set()

    def stop(self) -> None:
        """End after the delivery that is under way."""
        self._over = True
        self._woken.set()

    def _run(self) -> None:
        while not self._over:
            self._woken.wait(LOOK)
            self._woken.clear()
            try:
                self._deliver_due()
            except Exception:  # nobody would be told of anything until a restart
                if not self._over:  # else the ledger was closed, or may be
                    log.exception("webhooks wait")
                    self._woken.wait(AFTER_ERROR)

    def _deliver_due(self) -> None:
        for number, event, tries in self._ledger.deliveries(time.time()):
            if self._deliver(event):
                self._ledger.delivered(number)
            else:
                self._ledger.put_off(number, time.time() + min(LONGEST_WAIT, 0.25 * 2 ** min(tries, 10)))

    def _deliver(self, event: Json) -> bool:
        body = json.dumps(event, indent=2).encode()
        request = urllib.request.Request(  # noqa: S310 -- the URL is the operator's
            self._url,
            body,
            {
                "Content-Type": "application/json; charset=utf-8",
                "Stripe-Signature": signature(body, self._secret, int(time.time())),
            },
        )
        try:
            with self._open(request, timeout=TIMEOUT) as answer:
                return bool(200 <= answer.status < 300)  # noqa: PLR2004 -- the successes
        except (OSError, HTTPException) as error:
            log.info("%s is not delivered yet: %s", event["type"], error)
            return False


def signature(body: bytes, secret: str, at: int) -> str:
    """Sign a body.

    https://docs.stripe.com/webhooks#verify-manually
    """
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, sha256)
    return f"t={at},v1={mac.hexdigest()}"
