"""The soak, in short: what it measures, and that it tells what it found."""

import argparse
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from infra.local.soak import __main__ as soaking
from infra.local.stack import read
from tests.support.stack import ROOT, Stack


async def test_it_judges_the_memory_of_each_process_and_the_lag_and_compares_with_the_book(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soaking, "INTERVAL", 0.5)
    running, said = read(stack.data), StringIO()
    assert running is not None
    options = argparse.Namespace(minutes=0.1, rate=5.0, seed=1)

    code = await soaking.soak(running, options, Console(file=said, width=100))

    printed = said.getvalue()
    processes = ("host", "the worker of host", "servicebus", "cosmos", "payments")
    for row in (*(f"memory of {process}" for process in processes), "lag, median"):
        assert row in printed
    assert "30 orders" in printed
    assert "Everything is as the book says." in printed
    assert code == ("grows" in printed)


def test_too_short_a_soak_is_refused_because_it_says_nothing() -> None:
    command = [sys.executable, "-m", "infra.local.soak", "--minutes", "1"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 2
    assert "argument --minutes: should be at least 2" in refused.stderr
