"""Every command of every context minds the versions that its caller acts on, whatever the repository."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from shared.catalog.commands.rate_product import RateProduct, rate_product
from shared.catalog.commands.receive_stock import ReceiveStock, receive_stock
from shared.frame.http.etags import expected_versions
from shared.frame.messaging.envelope import Metadata
from shared.kernel.refusals import StaleVersion
from tests.support.app import app_globals
from tests.support.every_command import PREPARED, Prepared
from tests.support.shop import Shop

if TYPE_CHECKING:
    from shared.frame.http.api import Api


def test_there_is_a_case_for_every_command_of_the_app() -> None:
    apis: list[Api] = app_globals()["apis"]
    commands = {each.input for api in apis for each in api.operations if each.is_command and each.versioned}
    assert commands == PREPARED.keys()


@pytest.mark.parametrize("command", PREPARED, ids=lambda command: command.__name__)
def test_a_command_acts_on_an_expected_version_and_on_no_other(shop: Shop, command: type) -> None:
    context, handler, prepared, version = PREPARED[command](shop)
    run = getattr(shop, context).run
    for stale in ({version + 1}, {version + 1, version + 2}, set[int]()):
        with pytest.raises(StaleVersion):
            run(handler, prepared, Metadata(expected_versions=frozenset(stale)))
    expected = Metadata(expected_versions=frozenset({7, version})) if version else Metadata()
    assert run(handler, prepared, expected).version == version + 1


def beginning(shop: Shop) -> Prepared:
    return "catalog", receive_stock, ReceiveStock(product_id=shop.product(), quantity=1), 0


def rating_first(shop: Shop) -> Prepared:
    return "catalog", rate_product, RateProduct(product_id=shop.product(), customer_id=uuid4(), rating=4), 0


@pytest.mark.parametrize(
    "prepare",
    [*PREPARED.values(), beginning, rating_first],
    ids=[*(each.__name__ for each in PREPARED), "begin stock", "rate first"],
)
def test_a_star_in_if_match_is_any_version_of_what_exists_and_nothing_new(
    shop: Shop, prepare: Callable[[Shop], Prepared]
) -> None:
    context, handler, prepared, version = prepare(shop)
    run = getattr(shop, context).run
    star = Metadata(expected_versions=expected_versions("*"))
    if version:
        assert run(handler, prepared, star).version == version + 1
    else:
        with pytest.raises(StaleVersion):
            run(handler, prepared, star)
        assert run(handler, prepared, Metadata()).version == 1
