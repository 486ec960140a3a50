"""Requests of commands, as the worker passes them, and what is wrong with one."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import azure.functions as func
import pytest

from shared.frame.http.requests import CommandCall, command_call
from shared.frame.platform.input import Input
from shared.kernel.refusals import Invalid
from shared.ordering.commands.add_item import AddItem
from tests.support.principals import shop

ORDER, PRODUCT = UUID("0b9a4c1e-6f0d-4c52-9d3b-2f8c7a1e5d60"), UUID("3c1f7e52-8a94-4b6f-b0de-91a2c4d6e8f7")
ITEM = {"productId": str(PRODUCT), "quantity": 2}


def context(trace: str | None = None) -> func.Context:
    """What the worker passes, as far as requests are read with it."""
    return cast("func.Context", SimpleNamespace(invocation_id="i-1", trace_context=SimpleNamespace(trace_parent=trace)))


def request(body: Any, *, path: dict[str, str] | None = None, method: str = "POST", **headers: str) -> func.HttpRequest:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest(
        method=method,
        url=f"http://host/api/orders/{ORDER}/items",
        headers={"Content-Type": "application/json"} | shop() | names,
        route_params=path if path is not None else {"orderId": str(ORDER)},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )


def add_item(body: Any = None, *, path: dict[str, str] | None = None, **headers: str) -> CommandCall[AddItem]:
    return command_call(request(ITEM if body is None else body, path=path, **headers), context(), AddItem)


def wrong[Command: Input](
    model: type[Command], body: Any, path: dict[str, str], **headers: str
) -> set[tuple[str, str]]:
    """Where a request is wrong: locations and pointers."""
    with pytest.raises(Invalid) as refused:
        command_call(request(body, path=path, **headers), context(), model)
    assert all(error.detail for error in refused.value.errors)
    places = [(error.location, error.pointer) for error in refused.value.errors]
    assert len(places) == len(set(places))
    return set(places)
