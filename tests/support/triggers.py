"""Service Bus triggers as Microsoft's worker calls them, with what it passes as far as they read it."""

from collections.abc import Callable, Coroutine, Mapping
from types import SimpleNamespace
from typing import Any, cast

import azure.functions as func

type Trigger = Callable[[func.ServiceBusMessage, func.Context], Coroutine[Any, Any, None]]


def trigger(blueprint: func.Blueprint, name: str) -> Trigger:
    """A blueprint's trigger by its name."""
    [function] = [
        builder._function for builder in blueprint._function_builders if builder._function.get_function_name() == name
    ]
    return cast("Trigger", function.get_user_function())


def message(
    body: bytes, properties: Mapping[str, object] | None = None, delivery: int | None = 1
) -> func.ServiceBusMessage:
    """A message with this body and these application properties, in its so many-th delivery."""
    return cast(
        "func.ServiceBusMessage",
        SimpleNamespace(get_body=lambda: body, application_properties=dict(properties or {}), delivery_count=delivery),
    )


def context(traceparent: str | None = None) -> func.Context:
    """An invocation, in the span that the host has for it."""
    return cast(
        "func.Context", SimpleNamespace(invocation_id="i-1", trace_context=SimpleNamespace(trace_parent=traceparent))
    )
