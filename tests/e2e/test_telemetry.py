"""A stack whose worker sends telemetry as in Azure: Microsoft's own, with the settings that Bicep gives it."""

import secrets
from pathlib import Path

from tests.e2e.api import Api, eventually, order_body
from tests.support.ingestion import ingestion, settings
from tests.support.stack import running_stack


def test_an_order_is_one_trace_in_application_insights(tmp_path: Path) -> None:
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)
    with ingestion() as server:
        with running_stack(settings=settings(server.connection_string, tmp_path)) as stack, Api(stack) as api:
            customer_id, product_id = api.customer(), api.product()
            traceparent = f"00-{trace_id}-{caller}-01"
            created = api.post("/orders", order_body(customer_id, product_id), traceparent=traceparent)
            api.details(created.json()["orderId"], customer_id)

        def spans() -> dict[str, tuple[str, str]]:
            """Of this trace, by name: the parent's id and its own."""
            return {
                item["data"]["baseData"]["name"]: (
                    item["tags"]["ai.operation.parentId"],
                    item["data"]["baseData"]["id"],
                )
                for kind in ("RemoteDependencyData", "RequestData")
                for item in server.of(kind)
                if item["tags"]["ai.operation.id"] == trace_id
            }

        eventually(lambda: len(spans()) == 3, "three spans have arrived")
        names = ("CreateOrder", "send order-events", "process order-events")
        (given, command), (of_command, sent), (of_sent, _) = (spans()[name] for name in names)
        assert (given, of_command, of_sent) == (caller, command, sent)
        eventually(lambda: "tandem.projection.lag" in server.metrics(), "metrics have arrived")
