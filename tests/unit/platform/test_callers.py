"""Who calls is what the platform's principal header says, and nothing that only looks like it."""

import base64
from typing import Any
from uuid import UUID

import azure.functions as func
import pytest

from shared.frame.http.callers import PRINCIPAL, admit, caller_of
from shared.frame.http.problems import Problem
from shared.frame.platform.callers import Caller
from shared.frame.platform.settings import is_unguarded
from shared.kernel.refusals import Unavailable
from shared.roles import CUSTOMERS, Role
from tests.support import principals

SOMEBODY = "5e3b7f0c-52a1-4f0e-8f11-7d8a9b0c1d2e"
OBJECT_ID = {"typ": "http://schemas.microsoft.com/identity/claims/objectidentifier", "val": SOMEBODY}
ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


def request(headers: dict[str, str]) -> func.HttpRequest:
    return func.HttpRequest(method="GET", url="http://host/api/x", headers=headers, body=b"")


def with_claims(*claims: Any) -> func.HttpRequest:
    return request(principals.written({"auth_typ": "aad", "claims": claims, "role_typ": ROLE}))


def refused(req: func.HttpRequest, role: Role = Role.ORDERS_READ, *, own: bool = False) -> Problem:
    with pytest.raises(Problem) as problem:
        admit(req, role, CUSTOMERS, own=own)
    return problem.value


@pytest.mark.parametrize("name", ["roles", ROLE])
def test_roles_are_found_by_either_name_that_the_platform_gives_them(name: str) -> None:
    roles = [{"typ": name, "val": role} for role in ("Orders.Read", "Ops")]
    assert caller_of(with_claims(OBJECT_ID, *roles)) == Caller(UUID(SOMEBODY), frozenset({"Orders.Read", "Ops"}))


def test_an_object_id_under_both_of_its_names_is_one() -> None:
    assert caller_of(with_claims(OBJECT_ID, OBJECT_ID | {"typ": "oid"})).id == UUID(SOMEBODY)


@pytest.mark.parametrize(
    "claims",
    [
        [],
        [{"typ": "roles", "val": "Orders.Read"}],
        [OBJECT_ID, OBJECT_ID | {"val": "0198b5f0-0000-7000-8000-000000000001"}],
        [OBJECT_ID | {"val": "nobody"}],
        [OBJECT_ID | {"val": f"{SOMEBODY}\nforged"}],
        [OBJECT_ID | {"val": 7}],
        [OBJECT_ID | {"val": [SOMEBODY]}],
        [{"typ": "oid"}],
        ["oid"],
        [None],
    ],
)
def test_a_principal_without_one_object_id_is_nobody(claims: list[Any]) -> None:
    assert refused(with_claims(*claims)).status == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "e30=",  # {}
        "W10=",  # []
        "bnVsbA==",  # null
        "eyJjbGFpbXMiOiB7fX0=",  # {"claims": {}}
        "eyJjbGFpbXMiOiBudWxsfQ==",  # {"claims": null}
        "/w==",  # no UTF-8
        "e30",  # cut
        "ä",
        base64.b64encode(b"[" * 100_000).decode(),
    ],
)
def test_a_header_that_the_platform_does_not_write_names_nobody(header: str) -> None:
    problem = refused(request({PRINCIPAL: header}))
    assert (problem.status, problem.headers) == (401, {"WWW-Authenticate": "Bearer"})


def test_two_principals_which_the_host_joins_with_a_comma_name_nobody() -> None:
    [one], [other] = (principals.shop(role).values() for role in (Role.ORDERS_READ, Role.OPS))
    assert refused(request({PRINCIPAL: f"{one},{other}"})).status == 401
    assert refused(request({PRINCIPAL: f"{one[:8]},{one[8:]}"})).status == 401


def test_without_the_header_nobody_calls_whatever_other_headers_say() -> None:
    others = {"Authorization": "Bearer x", f"{PRINCIPAL}-ID": SOMEBODY, PRINCIPAL.replace("-", "_"): "e30="}
    assert refused(request(others)).status == 401


def test_a_claim_of_another_type_is_no_role() -> None:
    others = [{"typ": name, "val": Role.ORDERS_READ} for name in ("groups", "scp", "wids", "name", "Roles")]
    assert caller_of(with_claims(OBJECT_ID, *others)).roles == frozenset()


def test_a_role_opens_what_needs_it_and_the_refusal_names_the_one_that_is_missing() -> None:
    admit(request(principals.shop(Role.ORDERS_READ)), Role.ORDERS_READ, CUSTOMERS)
    problem = refused(request(principals.shop(Role.ORDERS_WRITE, Role.OPS)))
    assert (problem.status, problem.detail) == (403, "This needs the role Orders.Read.")


@pytest.mark.parametrize("role", ["orders.read", "Orders.Read ", "Orders.*", ""])
def test_what_is_only_like_a_role_opens_nothing(role: str) -> None:
    assert refused(request(principals.shop(role)), own=True).status == 403


def test_a_customer_is_their_object_id_and_may_do_what_customers_may() -> None:
    req = request(principals.customer(UUID(SOMEBODY)))
    assert CUSTOMERS.reach(caller_of(req)) == UUID(SOMEBODY)
    admit(req, Role.ORDERS_READ, CUSTOMERS, own=True)
    assert refused(req).status == 403


def test_being_a_customer_takes_away_what_other_roles_give() -> None:
    req = request(principals.shop("Customer", *Role))
    assert CUSTOMERS.reach(caller_of(req)) is not None
    assert refused(req).status == 403


def test_the_shop_reaches_every_customer() -> None:
    assert CUSTOMERS.reach(caller_of(request(principals.shop()))) is None


def test_in_azure_without_the_platforms_authentication_nobody_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSITE_SITE_NAME", "func-tandem")
    with pytest.raises(Unavailable) as unguarded:
        caller_of(request(principals.shop()))
    assert unguarded.value.code == "authentication-off"
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    admit(request(principals.shop()), Role.ORDERS_READ, CUSTOMERS)


@pytest.mark.parametrize(
    ("environment", "unguarded"),
    [
        ({}, False),
        ({"WEBSITE_SITE_NAME": "x"}, True),
        ({"WEBSITE_SITE_NAME": "x", "WEBSITE_AUTH_ENABLED": "False"}, True),
        ({"WEBSITE_SITE_NAME": "x", "WEBSITE_AUTH_ENABLED": ""}, True),
        ({"WEBSITE_SITE_NAME": "x", "WEBSITE_AUTH_ENABLED": "true"}, False),
    ],
)
def test_an_app_in_azure_is_guarded_only_when_the_platform_says_so(
    environment: dict[str, str], *, unguarded: bool
) -> None:
    assert is_unguarded(environment) is unguarded
