"""A command that owners may give too reaches what is theirs: what is another's is as if it did not exist."""

from typing import Any
from uuid import uuid4

import pytest

from shared.catalog import tables as catalog
from shared.customers import tables as customers
from shared.frame.http.api import Api
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.event_log import EventLog
from shared.kernel.refusals import Invalid, NotFound
from shared.ordering import tables as ordering
from shared.payments import tables as payments
from tests.support.app import app_globals
from tests.support.every_command import PREPARED
from tests.support.shop import Shop, rows

APIS: list[Api] = app_globals()["apis"]
OWN = [each.input for api in APIS for each in api.operations if each.is_command and each.own]
LOGS: dict[str, EventLog[Any]] = {
    "catalog": catalog.LOG,
    "customers": customers.LOG,
    "ordering": ordering.LOG,
    "payments": payments.LOG,
}


@pytest.mark.parametrize("command", OWN, ids=lambda command: command.__name__)
def test_a_command_of_ones_own_does_not_reach_what_is_anothers(shop: Shop, command: type) -> None:
    context, handler, prepared, version = PREPARED[command](shop)
    run, engine = getattr(shop, context).run, shop.engines[context]
    before = rows(engine, LOGS[context].table)
    with pytest.raises((NotFound, Invalid)) as refused:
        run(handler, prepared, Metadata(owner_id=uuid4()))
    if isinstance(refused.value, Invalid):
        assert [error.pointer for error in refused.value.errors] == ["/customerId"]
    assert rows(engine, LOGS[context].table) == before
    assert run(handler, prepared, Metadata()).version == version + 1, "it was refused for whose it is alone"
