"""One conversation keeps its name and its trace from the request to the last projection."""

import re
import secrets
from uuid import uuid4

from tests.e2e.api import Api, eventually, order_body
from tests.support.stack import Stack


def test_correlation_id_and_traceparent_reach_the_projections(api: Api, stack: Stack) -> None:
    customer_id, product_id = api.customer(), api.product()
    correlation_id, trace_id = f"test-{uuid4()}", secrets.token_hex(16)
    names = {"X_Correlation_Id": correlation_id, "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}

    created = api.post("/orders", order_body(customer_id, product_id), **names)
    submitted = api.post(f"/orders/{created.json()['orderId']}/submit", None, **names)

    assert created.headers["X-Correlation-Id"] == submitted.headers["X-Correlation-Id"] == correlation_id
    order_id = created.json()["orderId"]
    projected = re.compile(rf"projected (\w+), version (\d) of {order_id}.*{correlation_id}.*{trace_id}")

    def lines() -> list[tuple[str, str]]:
        return projected.findall(stack.printed())

    eventually(lambda: len(lines()) == 2, "two projections say whose they are")
    assert sorted(lines()) == [("OrderCreatedV1", "1"), ("OrderSubmittedV2", "2")]


def test_a_request_without_a_correlation_id_is_named_after_its_trace(api: Api) -> None:
    trace_id = secrets.token_hex(16)
    answer = api.get(f"/products/{uuid4()}", {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"})

    assert answer.headers["X-Correlation-Id"] == answer.json()["correlationId"] == trace_id


def test_a_correlation_id_that_could_forge_log_lines_is_not_taken(api: Api) -> None:
    answer = api.get(f"/products/{uuid4()}", {"X-Correlation-Id": "x, forged by me"})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Correlation-Id"])
