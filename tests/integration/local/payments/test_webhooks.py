"""The laptop's provider tells of what happens for as long as it runs, whatever goes wrong with a delivery."""

import sqlite3
import threading
import time
from pathlib import Path
from unittest import mock

import pytest

from infra.local.payments import SECRET
from infra.local.payments.ledger import Ledger
from infra.local.payments.webhooks import Webhooks
from tests.support.hook import hook

WITHIN = 30.0
"""Seconds that a loaded machine has."""


def test_a_store_that_failed_once_is_asked_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger, asked = Ledger(tmp_path / "payments.db"), threading.Event()
    real = ledger.deliveries

    def deliveries(now: float) -> object:
        if not asked.is_set():
            asked.set()
            raise sqlite3.OperationalError("disk I/O error")
        return real(now)

    with hook() as hooked, mock.patch.object(ledger, "deliveries", deliveries):
        webhooks = Webhooks(ledger, hooked.url, SECRET)
        webhooks.start()
        assert asked.wait(WITHIN)
        ledger.tell({"type": "payment_intent.created"}, time.time())
        _until_told(ledger)
        webhooks.stop()
    ledger.close()
    assert "disk I/O error" in caplog.text


def test_an_answer_that_is_no_http_keeps_no_other_event_waiting(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "payments.db")
    with hook() as hooked:
        hooked.garbled[0] = 1
        for kind in ("payment_intent.created", "payment_intent.succeeded"):
            ledger.tell({"type": kind}, time.time())
        webhooks = Webhooks(ledger, hooked.url, SECRET)
        webhooks.start()
        _until_told(ledger)
        webhooks.stop()
    ledger.close()


def _until_told(ledger: Ledger) -> None:
    """Wait until nothing is left to be delivered."""
    deadline = time.monotonic() + WITHIN
    while ledger.undelivered():
        assert time.monotonic() < deadline
        time.sleep(0.02)
