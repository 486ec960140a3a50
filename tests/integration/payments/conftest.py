"""The laptop's provider, one for all of a process, and payments on databases of each test's own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.payments.running import Engine, running
from tests.support.paying import Paying
from tests.support.shop import running_shop


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The provider; tests differ by their payments."""
    with running(tmp_path_factory.mktemp("payments")) as engine:
        yield engine


@pytest.fixture
def pay(tmp_path: Path, engine: Engine) -> Iterator[Paying]:
    """Payments, wired to it; it is healed afterwards."""
    settings = {
        "STRIPE_SECRET_KEY": engine.key,
        "STRIPE_API": engine.url,
        "STRIPE_WEBHOOK_SECRET": engine.secret,
    }
    with running_shop(tmp_path) as shop:
        yield Paying(replace(shop, environment=settings), engine)
    engine.heal()
