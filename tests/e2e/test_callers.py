"""Every route wants a token and opens to its own role alone; what is open is listed here."""

import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from infra.local import issuer
from shared.frame.http.api import Operation
from shared.frame.http.fallback import PAGES
from shared.roles import Role
from tests.e2e.api import problem
from tests.support.app import app_globals, http_functions
from tests.support.rights import RIGHTS, Right
from tests.support.stack import Stack

APP = app_globals()
OPERATIONS: list[Operation] = APP["routes"]
CLOSED = [operation for operation in OPERATIONS if operation.role]  # the unit test compares it with the table
OPEN = {tuple(route.split(" ")) for route, right in RIGHTS.items() if right.role is None}
"""What everybody may see, and nothing else."""
SIGNED = {("POST", "payments/webhook")}
"""What is open to whoever signs what they say."""

FUNCTIONS = [
    (name, method, route)
    for name, route, methods in http_functions(APP)
    for method in sorted(methods - {"HEAD"} or {"POST"})
]
"""Every HTTP function of the app, however it was registered; one for all methods is asked with one of them."""


def at(route: str) -> str:
    """A path of a route."""
    asset = "console.js" if route.startswith("ops/console/") else "docs.js"
    return "/" + re.sub(r"\{\*?(\w+)\}", lambda found: asset if found[1] == "asset" else str(uuid4()), route)


def names(operation: Operation) -> str:
    return operation.name


def right(operation: Operation) -> Right:
    """What the table has for it, whatever the code says."""
    return RIGHTS[f"{operation.method} {operation.route}"]


@pytest.fixture(scope="module")
def nobody(stack: Stack) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=f"{stack.base_url}/api", timeout=60) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("name", "method", "route"), FUNCTIONS, ids=[name for name, _, _ in FUNCTIONS])
def test_every_route_that_is_not_open_wants_a_token(nobody: httpx.Client, name: str, method: str, route: str) -> None:
    answer = nobody.request(method, at(route))
    if (method, route) in SIGNED:
        problem(answer, 403, "not-signed")
    elif (method, route) in OPEN:
        assert answer.status_code == 200, name
    else:
        problem(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_no_other_route_says_that_it_is_open() -> None:
    pages = {("GET", page) for page in PAGES}
    assert {(operation.method, operation.route) for operation in OPERATIONS if operation not in CLOSED} == OPEN - pages
    assert {(method, route) for _, method, route in FUNCTIONS} > OPEN


@pytest.mark.parametrize("operation", CLOSED, ids=names)
def test_every_route_opens_to_its_own_role_and_to_no_other(
    nobody: httpx.Client, stack: Stack, operation: Operation
) -> None:
    for role in Role:
        answer = nobody.request(operation.method, at(operation.route), headers=bearer(stack.token(role)))
        if role == right(operation).role:
            assert answer.status_code not in {401, 403}, role
        else:
            assert problem(answer, 403, "forbidden")["detail"] == f"This needs the role {right(operation).role}."


@pytest.mark.parametrize("operation", [each for each in CLOSED if not right(each).customers], ids=names)
def test_what_is_the_shops_is_not_for_customers_whatever_other_roles_they_have(
    nobody: httpx.Client, stack: Stack, operation: Operation
) -> None:
    for roles in (["Customer"], ["Customer", *Role]):
        answer = nobody.request(operation.method, at(operation.route), headers=bearer(stack.token(*roles)))
        assert "not for customers" in problem(answer, 403, "forbidden")["detail"]


def test_a_caller_without_a_role_gets_no_further_than_one_with_a_made_up_one(
    nobody: httpx.Client, stack: Stack
) -> None:
    for token in (issuer.issue(stack.issuer_key, []), stack.token("Owner", "orders.read", "Orders.*")):
        problem(nobody.get(at("orders/{id}/history"), headers=bearer(token)), 403, "forbidden")


@pytest.mark.parametrize("health", ["health/live", "health/ready"])
def test_health_names_the_release_so_that_a_deployment_knows_whom_it_asks(nobody: httpx.Client, health: str) -> None:
    answer = nobody.get(f"/{health}")
    assert answer.status_code == 200
    assert answer.headers["X-Release"] == "unreleased"  # it runs from the working tree
