"""Orders that wait or are shown wrong, and stock that does not add up."""

from typing import Any
from uuid import UUID, uuid5

from tests.e2e.api import eventually
from tests.e2e.documents import damage, documents_in
from tests.e2e.situations.on_call import Operator, differing


def waiting_list(operator: Operator) -> None:
    api = operator.api
    product_id = api.product()
    order_id = api.order(api.customer(), product_id, quantity=3)
    assert api.post(f"/products/{product_id}/receipts", {"quantity": 1}).status_code == 204
    api.bring(order_id, "Submitted")
    eventually(lambda: api.read(f"/products/{product_id}/inventory")["waiting"] == 2, "two pieces are waited for")
    [listed] = operator.next()
    assert {item["productId"]: item["waiting"] for item in listed["items"]}[product_id] == 2
    assert operator.next(PRODUCT_ID=product_id) == []
    operator.until(lambda answers: (answers[0]["reserved"], answers[0]["waiting"]) == (3, 0), PRODUCT_ID=product_id)


def stock_adds_up(operator: Operator) -> None:
    api = operator.api
    product_id = api.product()
    assert api.post(f"/products/{product_id}/receipts", {"quantity": 40}).status_code == 204
    api.read(f"/products/{product_id}/inventory", minVersion=1)
    stock_id = str(uuid5(UUID(product_id), "stock"))
    with documents_in(operator.stack, "catalog") as documents:
        view = f"product:{product_id}"
        documents.replace_item(stock_id, documents.read_item(stock_id, view) | {"onHand": 39})
    level, checked, found = operator.next(PRODUCT_ID=product_id)
    assert level["currentStock"] == 39
    assert differing(checked)[stock_id] == "onHand"
    assert [event["type"] for event in found["events"]] == ["StockReceivedV1"]
    healed, _ = operator.next(PRODUCT_ID=product_id)
    assert differing(healed) == {}
    level = api.read(f"/products/{product_id}/inventory", minVersion=2)
    assert (level["currentStock"], level["available"]) == (38, 38)


def wrong_order(operator: Operator) -> None:
    api = operator.api
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    api.bring(order_id, "Submitted")
    api.details(order_id, customer_id, 2)
    begun = api.read(f"/orders/{order_id}/history")["events"][0]["occurredAt"]
    damage(operator.stack, order_id, customer_id, status="Completed")

    history, shown, first, then = operator.next(ORDER_ID=order_id, CUSTOMER_ID=customer_id, TIME=begun)
    assert [event["type"] for event in history["events"]] == ["OrderCreatedV1", "OrderSubmittedV2"]
    assert (shown["status"], first["status"], then["status"]) == ("Completed", "Created", "Created")
    checked, healed = operator.next(CUSTOMER_ID=customer_id)
    assert differing(checked)[order_id] == "status"
    assert differing(healed) == {}
    assert api.details(order_id, customer_id)["status"] == "Submitted"


def waiting_order(operator: Operator) -> None:
    api = operator.api
    customer_id = api.customer()
    order_id = api.order(customer_id, api.product())
    answer = api.post(f"/orders/{order_id}/submit", {"payment": {"token": "pm_card_visa_chargeDeclined"}})
    assert answer.status_code == 204, answer.text

    def is_shown(found: list[Any]) -> bool:
        waits = [{each["orderId"]: each["waitsFor"] for each in page["items"]}.get(order_id) for page in found]
        return waits == ["the customer"] * 2

    operator.until(is_shown, TIME="2999-01-01T00:00:00Z")
    process, found = operator.next(ORDER_ID=order_id)
    assert (process["waitsFor"], process["steps"][0]["what"]) == ("the customer", "submitted, to be paid")
    assert [each["type"] for each in found["events"]][:2] == ["OrderCreatedV1", "OrderSubmittedV2"]
    [moved] = operator.next(ORDER_ID=order_id, TIME="2999-01-01T00:00:00Z")
    assert moved["changed"] == order_id
    newest = api.read("/ops/audit")["items"][0]
    assert (newest["action"], newest["subject"]) == ("post_process_deadline", order_id)
