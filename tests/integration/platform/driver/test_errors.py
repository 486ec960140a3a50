"""What the product makes of the driver's errors: which of them pass, and that none repeats a row."""

import traceback

import pytest
import sqlalchemy as sa

from shared.frame.sql.errors import REFUSED, TRANSIENT, error_number, is_transient, refuses_the_app
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Answer, Cut, Error, Reset, Server

pytestmark = [needs_unixodbc, needs_driver]


def raised(server: Server, engine: sa.Engine, answer: Answer) -> sa.exc.DBAPIError:
    server.answer = lambda request: None if request.prepares or request.kind == "login" else answer
    with pytest.raises(sa.exc.DBAPIError) as caught, engine.connect() as connection:
        connection.execute(sa.select(sa.literal(1)))
    return caught.value


@pytest.mark.parametrize("number", sorted(TRANSIENT))
def test_each_error_that_passes_is_told_as_such(number: int, server: Server, engine: sa.Engine) -> None:
    assert is_transient(raised(server, engine, Error(number)))


@pytest.mark.parametrize("number", [102, 207, 208, 229, 515, 547, 2601, 2627, 8152, 50_409])
def test_each_error_that_stays_is_told_as_such(number: int, server: Server, engine: sa.Engine) -> None:
    assert not is_transient(raised(server, engine, Error(number)))


@pytest.mark.parametrize("number", sorted(REFUSED))
@pytest.mark.parametrize("at", ["login", "statement"])
def test_each_refusal_of_the_app_is_told_as_such(number: int, at: str, server: Server, engine: sa.Engine) -> None:
    if at == "login":
        engine.dispose()
        server.answer = lambda request: Error(number, severity=14) if request.kind == "login" else None
        with pytest.raises(sa.exc.DBAPIError) as caught:
            engine.connect()
        error = caught.value
    else:
        error = raised(server, engine, Error(number, severity=14))
    assert refuses_the_app(error)
    assert not is_transient(error)


@pytest.mark.parametrize(
    "answer",
    [
        Error(
            2627,
            "Violation of UNIQUE KEY 'uq'. Cannot insert duplicate key. The duplicate key value is (7 Rue, (Paris)).",
        ),
        Error(2601, "Cannot insert duplicate key row with unique index 'ix'. The duplicate key value is (7 Rue)."),
        Error(2628, "String would be truncated in table 't', column 'c'. Truncated value: '7 Rue (2) d'Ulm'."),
        Error(245, "Conversion failed when converting the nvarchar value '7 Rue\n' to data type int."),
    ],
    ids=lambda answer: str(answer.number),
)
def test_what_the_database_repeats_of_a_row_is_nowhere_in_its_error(
    answer: Error, server: Server, engine: sa.Engine
) -> None:
    error = raised(server, engine, answer)
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.orig)
    assert "7 Rue" not in told
    assert error_number(error) == answer.number


@pytest.mark.parametrize("answer", [Reset(), Cut(), Error(596, severity=21)])
def test_a_connection_that_breaks_may_be_tried_again(answer: Answer, server: Server, engine: sa.Engine) -> None:
    assert is_transient(raised(server, engine, answer))
