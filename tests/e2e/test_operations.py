"""Every command of docs/operations.md, in the situation that it is for, made for real in a stack of its own."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.api import Api
from tests.e2e.situations import events, orders, payments, read_models
from tests.e2e.situations.on_call import PAGE, Operator
from tests.support.stack import Stack, running_stack


def calling(operator: Operator) -> None:
    signed_in, defined = operator.next(), operator.next()
    assert signed_in == defined == []
    ready, views, letters, _ = operator.next()
    assert ready == {"status": "ready", "wrong": []}
    assert [view["view"] for view in views["items"]] == ["orders", "products", "related"]
    assert len(letters["subscriptions"]) == 9


def who_did_it(operator: Operator) -> None:
    assert operator.api.post("/ops/projections/products/heal").status_code == 200
    [trail] = operator.next()
    newest = trail["items"][0]
    assert (newest["action"], newest["subject"]) == ("heal", "products")
    assert newest["outcome"]["details"]["view"] == "products"


SITUATIONS: dict[str, Callable[[Operator], None]] = {
    "How to call": calling,
    "dead-letters": events.dead_letters,
    "projection-lag": events.projection_lag,
    "sql-cpu": read_models.busy_database,
    "unpublished-events": events.unpublished_events,
    "silent-timer": events.silent_timers,
    "read-model-wrong": read_models.read_model_wrong,
    "waiting-list": orders.waiting_list,
    "overdue-deadlines": payments.overdue_deadlines,
    "payment-provider": payments.provider_away,
    "waiting-payments": payments.waiting_payments,
    "not-reachable": read_models.not_reachable,
    "server-errors": read_models.server_errors,
    "A read model is wrong or lost": read_models.wrong_read_model,
    "cosmos-throttled": read_models.throttled,  # behind what leaves a generation to retire: to make one takes a minute
    "Stock does not add up": orders.stock_adds_up,
    'A customer says "my order is wrong"': orders.wrong_order,
    "An order waits": orders.waiting_order,
    "Who did what": who_did_it,
}


@pytest.fixture(scope="module")
def hurt() -> Iterator[Stack]:
    """A stack to be hurt, in which no relay runs unless somebody runs it."""
    with running_stack(settings={"RelaySchedule": "0 0 0 1 1 *"}) as stack:
        yield stack


@pytest.mark.parametrize("heading", SITUATIONS)
def test_the_commands_of_a_section_do_what_it_says(hurt: Stack, heading: str) -> None:
    with Api(hurt) as api:
        operator = Operator(hurt, api, PAGE[heading])
        SITUATIONS[heading](operator)
    assert operator.done == len(operator.section.blocks("sh")), "every command of the section"


def test_every_section_with_commands_has_a_situation() -> None:
    assert {heading for heading, section in PAGE.items() if section.blocks("sh")} == set(SITUATIONS)
