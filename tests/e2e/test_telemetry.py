"""A stack whose worker sends telemetry as in Azure: Microsoft's own, with the settings that Bicep gives it."""

import json
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from tests.e2e.api import Api, eventually, order_body
from tests.support.ingestion import ingestion, settings
from tests.support.stack import running_stack


class Span(NamedTuple):
    """A span as Application Insights gets it."""

    parent: str
    id: str
    links: list[str]


def test_an_order_is_one_trace_in_application_insights(tmp_path: Path) -> None:
    trace_id, soon_id, caller = secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(8)
    logged = {"AzureFunctionsJobHost__logging__logLevel__host.traces": "Debug"}
    with ingestion() as server:
        told = settings(server.connection_string, tmp_path) | logged
        with running_stack(settings=told) as stack, Api(stack) as api:
            customer_id, product_id = api.customer(), api.product()
            traceparent = f"00-{trace_id}-{caller}-01"
            created = api.post("/orders", order_body(customer_id, product_id), traceparent=traceparent)
            order_id = created.json()["orderId"]
            api.details(order_id, customer_id)
            early = api.get(
                f"/orders/{order_id}",
                {"traceparent": f"00-{soon_id}-{caller}-01"},
                customerId=customer_id,
                minVersion=999,
            )
            assert early.status_code == 503
            # the host's own spans, which it does not export: measured on the real one, they stand between a caller or a
            # message and the app's span
            logged_spans = rf"host.traces 00-{trace_id}-(\w+)-01 under 00-{trace_id}-(\w+)-01"
            above = dict(re.findall(logged_spans, stack.printed()))
            [request] = re.findall(rf"host.traces 00-{soon_id}-(\w+)-01 under", stack.printed())

        def spans() -> dict[str, Span]:
            """Of this trace, by name."""
            return {
                item["data"]["baseData"]["name"]: Span(
                    item["tags"]["ai.operation.parentId"],
                    item["data"]["baseData"]["id"],
                    [link["id"] for link in json.loads(item["data"]["baseData"]["properties"].get("_MS.links", "[]"))],
                )
                for kind in ("RemoteDependencyData", "RequestData")
                for item in server.of(kind)
                if item["tags"]["ai.operation.id"] == trace_id
            }

        eventually(lambda: len(spans()) == 3, "three spans have arrived")
        names = ("CreateOrder", "send order-events", "process order-events")
        command, sending, processing = (spans()[name] for name in names)
        assert above[command.parent] == caller
        assert sending.parent == command.id
        assert above[processing.parent] == sending.id
        assert processing.links == [sending.id]
        eventually(lambda: "tandem.projection.lag" in server.metrics(), "metrics have arrived")

        def told_of_it() -> list[tuple[str, str]]:
            return [
                (item["data"]["baseData"]["message"], item["tags"]["ai.operation.parentId"])
                for item in server.of("MessageData")
                if item["tags"].get("ai.operation.id") == soon_id
            ]

        # the alarm server-errors knows the request by its span: the host sends it as the Id in AppRequests
        eventually(lambda: told_of_it() == [("asked too soon: read-model-behind", request)], "its line hangs under it")
