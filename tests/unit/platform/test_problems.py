"""Which error is which answer, and what a caller is told."""

import json
import logging

import pytest
import sqlalchemy as sa
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.catalog.domain.errors import ProductAlreadyExists, ProductNotFound
from shared.customers.domain.errors import CustomerAlreadyExists
from shared.frame.http.problems import Problem, problem_of, render
from shared.frame.messaging.codec import UnknownEventType
from shared.frame.messaging.retries import AWAY, FULL
from shared.frame.read_side.past import StillFolding
from shared.frame.read_side.shape import UnreadableShape
from shared.frame.sql.errors import OutOfTime
from shared.frame.write_side.commands import KeyReused
from shared.frame.write_side.unit_of_work import LostRace
from shared.kernel.refusals import InputError, Invalid, NotSigned, Refusal, StaleVersion, Unavailable
from shared.ordering.domain import errors

REFUSALS: list[tuple[type[Refusal], int, str]] = [
    (Refusal, 409, "refused"),
    (Invalid, 422, "invalid"),
    (StaleVersion, 412, "stale-version"),
    (NotSigned, 403, "not-signed"),
    (KeyReused, 422, "idempotency-key-reused"),
    (errors.OrderNotFound, 404, "order-not-found"),
    (errors.CustomerNotFound, 404, "customer-not-found"),
    (errors.ItemNotInOrder, 404, "item-not-in-order"),
    (errors.OrderAlreadyExists, 409, "order-already-exists"),
    (errors.OrderNotInStatus, 409, "order-status"),
    (errors.OrderIsEmpty, 409, "order-empty"),
    (errors.CurrencyMix, 409, "currency-mix"),
    (errors.PriceChanged, 409, "price-changed"),
    (errors.OrderTooLarge, 409, "order-too-large"),
    (ProductNotFound, 404, "product-not-found"),
    (ProductAlreadyExists, 409, "product-already-exists"),
    (CustomerAlreadyExists, 409, "customer-already-exists"),
]


def http_error(status: int) -> HttpResponseError:
    error = HttpResponseError("from the store")
    error.status_code = status
    return error


def database_error(text: str) -> sa.exc.DBAPIError:
    return sa.exc.OperationalError("SELECT secret", {}, Exception(text))


@pytest.mark.parametrize(("refusal", "status", "code"), REFUSALS)
def test_each_refusal_has_its_status_and_its_code(refusal: type[Refusal], status: int, code: str) -> None:
    wrong = InputError("/items/0", "is wrong")
    problem = problem_of(refusal("why not", [wrong]))
    assert (problem.status, problem.code, problem.detail) == (status, code, "why not")
    assert list(problem.errors) == [wrong]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LostRace(), "contention"),
        (sa.exc.TimeoutError("the pool is empty"), "overloaded"),
        (StillFolding(), "overloaded"),
        (OutOfTime(), "database-unavailable"),
        (database_error("[40001] deadlock (1205) (SQLExecDirectW)"), "database-unavailable"),
        (database_error("database is locked"), "database-unavailable"),
        (database_error("[28000] Login failed. (18456) (SQLDriverConnect)"), "database-unavailable"),
        *((http_error(status), "read-models-unavailable") for status in (401, 403, *sorted(AWAY))),
        (ResourceNotFoundError("no such container"), "read-models-unavailable"),
        (ServiceRequestError("nobody there"), "read-models-unavailable"),
        (ClientAuthenticationError("no token"), "read-models-unavailable"),
        (Unavailable("read-model-behind", "Not yet."), "read-model-behind"),
        (UnreadableShape("of another release"), "unreadable-shape"),
        (UnknownEventType("OrderArchivedV1"), "unknown-event-type"),
    ],
)
def test_what_may_be_over_soon_says_when_to_come_back(error: Exception, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (503, code)
    assert problem.headers == {"Retry-After": "1"}


def test_what_will_take_longer_says_so() -> None:
    assert problem_of(Unavailable("closed", "Somebody must mend it.", retry_after=60)).headers == {"Retry-After": "60"}


@pytest.mark.parametrize("status", [401, 403])
def test_that_the_read_models_refuse_the_app_is_a_line_of_the_log_for_operators(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    problem_of(http_error(status))
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("ERROR", None)
    assert record.getMessage() == "the read models refuse this app: HttpResponseError: from the store"


def test_that_the_database_refuses_the_app_is_a_line_of_the_log_for_operators(caplog: pytest.LogCaptureFixture) -> None:
    """As the driver writes it: with the number at the end of a long text."""
    said = (
        "[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Cannot open server 'sql-tandem-prod' requested "
        "by the login. Client with IP address '203.0.113.7' is not allowed to access the server.  To enable access, "
        "use the Azure Management Portal or run sp_set_firewall_rule on the master database to create a firewall "
        "rule for this IP address or address range.  It may take up to five minutes for this change to take effect. "
        "(40615) (SQLDriverConnect)"
    )
    problem_of(database_error(said))
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("ERROR", None)
    assert record.getMessage() == f"the database refuses this app: OperationalError 40615: {said[:200]}"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret"),
        *(http_error(status) for status in (400, 409, 412, 413)),
        CosmosHttpResponseError(status_code=403, message="secret", sub_status=FULL),  # type: ignore[no-untyped-call]  # not annotated
        database_error("secret (208) (SQLExecDirectW)"),
        ValueError("secret"),
    ],
)
def test_what_is_not_expected_is_logged_and_told_nothing_of(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        problem = problem_of(error)
    assert (problem.status, problem.code) == (500, "internal-error")
    assert "secret" not in problem.detail
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_problem_is_rendered_as_rfc_9457_says() -> None:
    problem = Problem(
        problem_of(Invalid("x")).status,
        "invalid",
        "Größe",
        [InputError("/quantity", "should be less", "body"), InputError("/orderId", "should be a UUID", "path")],
        headers={"Retry-After": "7"},
    )

    response = render(problem, "/api/orders", "c-1")

    assert response.status_code == 422
    assert response.mimetype == "application/problem+json"
    assert dict(response.headers) == {"X-Correlation-Id": "c-1", "Cache-Control": "no-store", "Retry-After": "7"}
    assert json.loads(response.get_body()) == {
        "type": "urn:tandem:problem:invalid",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "Größe",
        "instance": "/api/orders",
        "correlationId": "c-1",
        "errors": [
            {"in": "body", "pointer": "/quantity", "detail": "should be less"},
            {"in": "path", "pointer": "/orderId", "detail": "should be a UUID"},
        ],
    }


def test_a_problem_without_errors_has_no_list_of_them() -> None:
    response = render(problem_of(StaleVersion("older")), "/api/orders/1", "c-1")
    assert "errors" not in json.loads(response.get_body())
