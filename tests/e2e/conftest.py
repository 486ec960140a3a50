"""One stack for each process that runs tests, a client of its API, and somebody who buys something."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.support.stack import Stack, running_stack

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack that stays whole: what hurts or ends it takes one of its own."""
    with running_stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def api(stack: Stack) -> Iterator[Api]:
    """A client of that stack's API."""
    with Api(stack) as api:
        yield api


@pytest.fixture(scope="module")
def customer_id(api: Api) -> str:
    """A customer of each test file's own."""
    return api.customer()


@pytest.fixture(scope="module")
def product_id(api: Api) -> str:
    """A product of each test file's own."""
    return api.product()
