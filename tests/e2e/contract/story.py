"""The description's examples, carried out one after the other."""

from typing import Any

import httpx

from tests.e2e.api import eventually

STORY = [
    "postCustomer",
    "getCustomerSummary",
    "postProduct",
    "getProduct",
    "postOrder",
    "postOrderItem",
    "getOrder",
]
"""Operations in the order in which they make sense; after these there is an open order."""


def tell(http: httpx.Client, story: list[str] = STORY) -> list[httpx.Response]:
    """Carry out the examples of these operations.

    Args:
        http: a client of a stack that holds nothing.
        story: operation ids; each is tried again while what went before has not got there.

    Raises:
        AssertionError: an example is not answered with a success.
    """
    document = http.get("/api/openapi.json").json()
    operations = {
        operation["operationId"]: (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    return [_tell(http, *operations[operation_id]) for operation_id in story]


def _tell(http: httpx.Client, path: str, method: str, operation: dict[str, Any]) -> httpx.Response:
    examples = {
        place: {
            parameter["name"]: parameter["example"]
            for parameter in operation["parameters"]
            if parameter.get("in") == place and "example" in parameter
        }
        for place in ("path", "query")
    }
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    answers: list[httpx.Response] = []

    def succeeds() -> bool:
        answers.append(http.request(method, path.format(**examples["path"]), params=examples["query"], json=body))
        return answers[-1].is_success

    eventually(succeeds, f"the example of {operation['operationId']} works")
    return answers[-1]
