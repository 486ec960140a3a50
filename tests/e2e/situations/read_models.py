"""Read models that are wrong, lost, throttled or not reached."""

from typing import Any

from tests.e2e.api import Api, eventually
from tests.e2e.documents import damage, orders_container
from tests.e2e.situations.on_call import Operator, differing

REBUILT_WITHIN = 150.0
"""Seconds for a rebuild, which takes 45 on an idle machine."""
REFUSED = 22
"""What curl's --fail-with-body ends with."""


def rebuilt(api: Api) -> dict[str, Any]:
    """Wait until the rebuild of the orders is over; the status then."""

    def is_over() -> bool:
        status = api.read("/ops/projections/orders")
        return status["rebuild"]["step"] == "done" and status["switchAt"] is None

    eventually(is_over, "the orders are rebuilt", REBUILT_WITHIN)
    status: dict[str, Any] = api.read("/ops/projections/orders")
    return status


def throttled(operator: Operator) -> None:
    api = operator.api
    if api.read("/ops/projections/orders")["standby"] is None:  # unless another section has just rebuilt them
        assert api.post("/ops/projections/orders/rebuild").status_code == 200
        rebuilt(api)
    [views] = operator.next()
    assert views["items"][0]["standby"] is not None
    [retired] = operator.next()
    assert retired["standby"] is None
    assert api.post("/ops/projections/orders/rebuild").json()["rebuild"]["step"] == "retiring"
    [cancelled] = operator.next()
    assert cancelled["rebuild"]["step"] == "cancelled"
    [views] = operator.next()
    assert views["items"][0]["serving"] == retired["serving"]


def busy_database(operator: Operator) -> None:
    """A database at its limit cannot be made here; its section looks only, and mends with what needs Azure."""
    [views] = operator.next()
    assert {"rebuild", "lag"} <= views["items"][0].keys()
    assert operator.next() == [{"status": "ready", "wrong": []}]


def read_model_wrong(operator: Operator) -> None:
    api = operator.api
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    damage(operator.stack, order_id, customer_id, status="Lost")
    checked = api.post("/ops/projections/orders/check", {"ids": [customer_id], "sample": 0}).json()
    assert checked["drift"]["found"] == 1
    ready, views = operator.next()
    assert ready == {"status": "ready", "wrong": []}
    assert differing(views["items"][0])[order_id] == "status"
    [healed] = operator.next()
    assert differing(healed) == {}
    [view] = operator.next()
    assert (view["wrong"], view["drift"]["found"]) == ([], 0)
    assert api.details(order_id, customer_id)["status"] == "Created"


def not_reachable(operator: Operator) -> None:
    _not_ready_for_a_while(operator)


def server_errors(operator: Operator) -> None:
    _not_ready_for_a_while(operator)


def _not_ready_for_a_while(operator: Operator) -> None:
    with operator.stack.stopped("cosmos"):
        # an answer that all was well is given for some seconds more
        eventually(lambda: operator.api.get("/health/ready").status_code == 503, "the app is not ready")
        [problem] = operator.next(REFUSED)
        assert (problem["status"], problem["type"]) == (503, "urn:tandem:problem:not-ready")
    operator.stack.wait_ready()
    assert operator.next() == [{"status": "ready", "wrong": []}]


def wrong_read_model(operator: Operator) -> None:
    api = operator.api
    customer_id, product_id = api.customer(), api.product()
    lost, wrong = (api.order(customer_id, product_id) for _ in range(2))
    damage(operator.stack, wrong, customer_id, status="Lost")
    with orders_container(operator.stack) as documents:
        documents.delete_item(lost, customer_id)

    [checked] = operator.next()
    assert {lost: "missing", wrong: "status"}.items() <= differing(checked).items()
    [healed] = operator.next()
    assert differing(healed) == {}
    before, _ = operator.next()
    after = rebuilt(api)
    assert (after["serving"], after["standby"]) == (before["rebuild"]["generation"], before["serving"])
    [rolling] = operator.next()
    assert rolling["switchAt"]
    eventually(lambda: api.read("/ops/projections/orders")["serving"] == before["serving"], "it is rolled back")
    [checked] = operator.next()
    assert differing(checked) == {}
    assert checked["drift"]["partitions"] > 0
    assert api.details(lost, customer_id)["status"] == api.details(wrong, customer_id)["status"] == "Created"
