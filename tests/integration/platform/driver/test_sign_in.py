"""What becomes of a command whose connection to Azure SQL gets no access token.

The credential is azure-identity's, over the wire: what gives out tokens goes wrong in the ways of one beside an app.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler

import pytest
import sqlalchemy as sa

from shared.frame.http.problems import problem_of
from shared.frame.messaging.envelope import Metadata
from shared.frame.messaging.retries import is_away
from shared.frame.platform import identity
from shared.frame.platform.settings import Settings
from shared.frame.sql import engines
from shared.frame.sql.engines import LOGIN_TIMEOUT, SIGN_IN_TIMEOUT, context_engine
from shared.frame.sql.errors import OutOfTime
from shared.frame.sql.reading import read_from
from shared.frame.write_side import commands
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.unit_of_work import CONNECTING
from shared.ordering.commands.create_order import create_order
from shared.ordering.tables import LOG
from tests.support.azure_sql import create
from tests.support.identities import Fault, IdentityEndpoint, hang_up, product_signs_in, show_a_page, throttle
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Server

pytestmark = [needs_unixodbc, needs_driver]


@pytest.fixture
def endpoint() -> Iterator[IdentityEndpoint]:
    with product_signs_in("commands") as endpoint:
        yield endpoint


@pytest.fixture
def engine(server: Server, endpoint: IdentityEndpoint) -> Iterator[sa.Engine]:  # noqa: ARG001  # gives its tokens
    settings = Settings(sql=server.url_for_token, cosmos="", service_bus="", command_client_id="commands")
    engine = context_engine(settings, "ordering")
    yield engine
    engine.dispose()


def test_a_command_whose_sign_in_fails_once_is_tried_again(endpoint: IdentityEndpoint, orders: WriteSide) -> None:
    def once(asking: BaseHTTPRequestHandler) -> None:
        endpoint.fault = None
        hang_up(asking)

    endpoint.fault = once
    assert orders.run(create_order, create(), Metadata()).version == 1
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize("given", [(), ("https://servicebus.azure.net/.default",)], ids=["no token", "another token"])
@pytest.mark.parametrize("fault", [hang_up, throttle, show_a_page])
def test_a_sign_in_that_keeps_failing_is_told_as_a_database_that_is_away(
    fault: Fault,
    given: Sequence[str],
    endpoint: IdentityEndpoint,
    server: Server,
    engine: sa.Engine,
    orders: WriteSide,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once a source has given a token, azure-identity asks only that one, and lets through whatever it raises."""
    for scope in given:
        identity.credential("commands").get_token(scope)
    endpoint.fault = fault
    monkeypatch.setattr(commands, "DEADLINE", CONNECTING + 0.5)
    with pytest.raises((sa.exc.DBAPIError, OutOfTime)) as failed:
        orders.run(create_order, create(), Metadata())
    problem = problem_of(failed.value)
    assert (problem.status, problem.code) == (503, "database-unavailable")
    assert problem.headers == {"Retry-After": "1"}
    with pytest.raises(sa.exc.DBAPIError, match="no access token") as failed_read:
        read_from(engine, LOG.claims.unpublished)
    assert is_away(failed_read.value), "a delivery waits for it, and uses up no attempt"
    assert server.requests == []


def test_a_command_ends_by_its_deadline_though_nobody_gives_it_a_token(
    endpoint: IdentityEndpoint, orders: WriteSide
) -> None:
    over = threading.Event()

    def stay_silent(_asking: BaseHTTPRequestHandler) -> None:
        over.wait()

    endpoint.fault = stay_silent
    begin = time.monotonic()
    try:
        with pytest.raises((sa.exc.DBAPIError, OutOfTime)):
            orders.run(create_order, create(), Metadata())
        assert time.monotonic() - begin < commands.DEADLINE
    finally:
        over.set()


class Clock:
    """The time, as far as a new connection looks at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Tell it."""
        return self.now


LATEST = identity.TOKEN_TIMEOUTS["connection_timeout"] + identity.TOKEN_TIMEOUTS["read_timeout"]


@pytest.mark.parametrize("after", [1.1, LATEST, 2 * SIGN_IN_TIMEOUT])
def test_a_token_that_came_late_leaves_the_login_less_time(
    after: float, endpoint: IdentityEndpoint, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, logins = Clock(), list[int]()
    monkeypatch.setattr(engines, "time", clock)

    @sa.event.listens_for(engine, "do_connect")
    def _look(_dialect: object, _record: object, _arguments: object, parameters: dict[str, int]) -> None:
        logins.append(parameters["timeout"])

    def late(asking: BaseHTTPRequestHandler) -> None:
        clock.now += after
        endpoint.fault = None
        type(asking).do_GET(asking)  # type: ignore[attr-defined]  # of the endpoint's own handler

    endpoint.fault = late
    read_from(engine, LOG.claims.unpublished)
    engine.dispose()
    read_from(engine, LOG.claims.unpublished)
    assert logins == [1, LOGIN_TIMEOUT], "never 0, which would be for ever"
    assert LATEST + 1 <= SIGN_IN_TIMEOUT
