"""How requests become commands and queries."""

from typing import Annotated
from uuid import uuid4

import azure.functions as func
import pytest
from pydantic import Field

from shared.frame.http.requests import query_call
from shared.frame.platform.input import QueryInput
from shared.kernel.refusals import Invalid
from shared.roles import CUSTOMERS
from tests.support.principals import customer, shop


class Paged(QueryInput):
    """A page."""

    take: Annotated[int, Field(ge=1)] = 20


def request(query: str, **params: str) -> func.HttpRequest:
    """A request as the host gives it: the URL has all of the query, `params` only what has a value."""
    return func.HttpRequest(method="GET", url=f"http://host/api/page?{query}", headers=shop(), params=params, body=b"")


def test_a_query_value_is_read() -> None:
    assert query_call(request("take=7", take="7"), Paged).query.take == 7


@pytest.mark.parametrize("query", ["take=", "take", "take=&take="])
def test_an_empty_query_value_is_an_error_and_not_the_default(query: str) -> None:
    with pytest.raises(Invalid) as refused:
        query_call(request(query), Paged)
    assert [(error.location, error.pointer) for error in refused.value.errors] == [("query", "/take")]


@pytest.mark.parametrize(("principal", "is_owner"), [(shop(), False), (customer(uuid4()), True)])
def test_a_customer_is_known_as_one_who_acts_for_themselves(principal: dict[str, str], *, is_owner: bool) -> None:
    asked = func.HttpRequest(method="GET", url="http://host/api/page", headers=principal, params={}, body=b"")
    assert query_call(asked, Paged, owners=CUSTOMERS).wait.caller.is_owner == is_owner


def test_the_key_of_the_function_is_no_parameter_of_the_query() -> None:
    assert query_call(request("code=secret", code="secret"), Paged).query.take == 20
    assert query_call(request("code=secret&code=other", code="secret,other"), Paged).query.take == 20


class FindVoucher(QueryInput):
    """A voucher by its code."""

    code: str


def test_a_query_may_have_a_parameter_of_the_name_that_the_key_of_the_function_has() -> None:
    assert query_call(request("code=SUMMER", code="SUMMER"), FindVoucher).query.code == "SUMMER"


class Named(QueryInput):
    """Things by a name."""

    name: str | None = None


@pytest.mark.parametrize(
    ("query", "joined"), [("name=tea&name=pot", "tea,pot"), ("name=tea&NAME=tea", "tea,tea"), ("name=&name=a", ",a")]
)
def test_a_parameter_that_stands_more_than_once_is_named_and_not_taken_as_the_host_joins_it(
    query: str, joined: str
) -> None:
    with pytest.raises(Invalid) as refused:
        query_call(request(query, name=joined), Named)
    [error] = refused.value.errors
    assert (error.location, error.pointer, error.detail) == ("query", "/name", "stands more than once")


def test_the_pointer_to_a_parameter_that_stands_twice_is_a_json_pointer_whatever_its_name() -> None:
    with pytest.raises(Invalid) as refused:
        query_call(request("a~/b=1&a~/b=2", **{"a~/b": "1,2"}), Named)
    assert [(error.pointer, error.detail) for error in refused.value.errors] == [("/a~0~1b", "stands more than once")]
