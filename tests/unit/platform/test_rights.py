"""Every route opens to the role that the table of rights has for it, and to no other: asked of the app's own functions.

The same is asked over HTTP with real tokens in tests/e2e/test_callers.py.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID, uuid4

import azure.functions as func
import pytest

from shared.frame.http.api import Operation
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.input import QueryInput, owner_fields
from shared.frame.write_side.commands import WriteSide
from shared.kernel.refusals import Refusal
from shared.roles import Role
from tests.support import principals
from tests.support.app import app_globals
from tests.support.rights import RIGHTS

type Function = Callable[[func.HttpRequest, func.Context], Coroutine[Any, Any, func.HttpResponse]]

APP = app_globals()
OPERATIONS: dict[str, Operation] = {f"{each.method} {each.route}": each for each in APP["routes"]}
REGISTERED: list[Any] = APP["app"].get_functions()  # an app gives them only once
FUNCTIONS: dict[str, Function] = {each.get_function_name(): each.get_user_function() for each in REGISTERED}
CLOSED = {route: right for route, right in RIGHTS.items() if right.role}


def answer(
    route: str, principal: dict[str, str], asked: Mapping[str, str] = {}, content: bytes = b""
) -> dict[str, Any]:
    """What a route answers to somebody whom it does not let in, or not to what is asked for."""
    operation = OPERATIONS[route]
    request = func.HttpRequest(
        method=operation.method,
        url=f"http://host/api/{operation.route}?{urlencode(asked)}",
        headers=principal | {"Content-Type": "application/json"},
        params=asked,
        route_params={name: str(uuid4()) for name in operation.parameters},
        body=content,
    )
    context = SimpleNamespace(
        invocation_id="i", thread_local_storage=threading.local(), trace_context=SimpleNamespace(trace_parent=None)
    )
    response = asyncio.run(FUNCTIONS[operation.name](request, cast("func.Context", context)))
    body: dict[str, Any] = json.loads(response.get_body())
    return body


def test_every_route_of_the_app_is_in_the_table() -> None:
    triggers = [each.get_trigger() for each in REGISTERED]
    served = {
        f"{method.value} {each.route}"
        for each in triggers
        if each.type == "httpTrigger"
        for method in each.methods or ()  # without any, it is what answers where there is no route
    }
    assert {each for each in served if not each.startswith("HEAD")} == RIGHTS.keys()


@pytest.mark.parametrize("route", CLOSED)
def test_every_other_role_is_refused_even_all_of_them_together(route: str) -> None:
    others = [role for role in Role if role != CLOSED[route].role]
    for roles in ([role] for role in others):
        assert answer(route, principals.shop(*roles))["detail"] == f"This needs the role {CLOSED[route].role}.", roles
    assert answer(route, principals.shop(*others))["status"] == 403
    assert answer(route, {})["status"] == 401


@pytest.mark.parametrize("route", [route for route, right in CLOSED.items() if not right.customers])
def test_what_is_the_shops_is_not_for_customers(route: str) -> None:
    assert "not for customers" in answer(route, principals.customer(uuid4()))["detail"]


def test_the_description_names_the_same_rights() -> None:
    described = {route: (each.role, each.own) for route, each in OPERATIONS.items()}
    assert described == {route: tuple(right) for route, right in RIGHTS.items() if route in OPERATIONS}


@pytest.mark.parametrize("route", [route for route, each in OPERATIONS.items() if each.own and each.is_command])
def test_a_command_of_a_customer_reaches_what_is_theirs_alone(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # what it means for each command is asked in tests/integration/platform/test_owners.py
    operation, reached = OPERATIONS[route], list[UUID | None]()

    def run(_writes: WriteSide, _handler: object, _command: object, metadata: Metadata) -> None:
        reached.append(metadata.owner_id)
        raise Refusal("not now")

    monkeypatch.setattr(WriteSide, "run", run)
    assert operation.input is not None
    extra: Any = operation.input.model_config["json_schema_extra"]
    body = {name: value for name, value in extra["examples"][0].items() if name not in operation.parameters}
    customer_id = uuid4()
    for principal in (principals.customer(customer_id), principals.shop()):
        assert answer(route, principal, content=json.dumps(body).encode())["detail"] == "not now"
    assert reached == [customer_id, None]


ASKED_OF_ONES_OWN = {
    route: each
    for route, each in OPERATIONS.items()
    if each.own and each.input is not None and issubclass(each.input, QueryInput) and owner_fields(each.input)
}


@pytest.mark.parametrize("route", ASKED_OF_ONES_OWN)
def test_a_query_about_another_customer_is_answered_as_one_about_nobody(route: str) -> None:
    operation = ASKED_OF_ONES_OWN[route]
    asked = {} if "customerId" in operation.parameters else {"customerId": str(uuid4())}
    told = answer(route, principals.customer(uuid4()), asked)
    assert (told["status"], told["type"]) == (404, "urn:tandem:problem:customer-not-found"), told


def test_a_query_of_ones_own_marks_the_field_that_says_whose_it_is() -> None:
    # an id that is not marked would be asked for by every customer
    asked = {route: each.input for route, each in OPERATIONS.items() if each.own and not each.is_command}
    assert asked
    for route, query in asked.items():
        if query is not None and "customer_id" in query.model_fields:
            assert issubclass(query, QueryInput), route
            assert owner_fields(query) == {"customer_id"}, f"{route}: customer_id is to be an OwnerId"
