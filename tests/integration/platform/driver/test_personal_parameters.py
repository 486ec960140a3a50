"""Personal data stays out of the plans that Azure SQL keeps, where no erasure finds it."""

from collections.abc import Iterator
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.sql.elements import BinaryExpression, BindParameter
from sqlalchemy.sql.visitors import iterate

from infra.sql.tsql import statements
from shared.customers.repository import owner_of
from shared.frame.sql.unsniffed import Unsniffed
from shared.frame.write_side.writes import Step
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Rows, Server

SAY_NOTHING_OF_A_PERSON = {"command_id", "correlation_id", "causation_id", "actor", "state", "step"}
"""Columns of text by which rows are looked for with parameters that get into plans."""


@needs_unixodbc
@needs_driver
def test_an_e_mail_address_is_looked_for_by_a_local_variable(server: Server, engine: sa.Engine) -> None:
    customer_id = uuid4()
    server.answer = lambda request: (
        Rows([("customer_id", "uniqueidentifier")], [[customer_id]]) if "emails" in request.text else None
    )
    for _ in range(2):
        assert owner_of(engine, "Ada@example.com") == customer_id
    text = " ".join(server.requests[0].text.split())
    assert text == (
        "SET NOCOUNT ON; DECLARE @address NVARCHAR(640) = @P1; "
        "SELECT customers.emails.customer_id FROM customers.emails WHERE customers.emails.address = @address"
    )
    assert server.requests[0].declaration == "@P1 nvarchar(640)"


def test_nothing_that_may_say_something_of_a_person_is_looked_for_by_a_bare_parameter() -> None:
    bare = {
        column
        for _, statement in statements()
        if not isinstance(statement, Step | Unsniffed)  # a step's parameters are columns of a local variable's JSON
        for column in _columns_of_text(statement)
    }
    assert bare <= SAY_NOTHING_OF_A_PERSON


def _columns_of_text(statement: sa.ClauseElement) -> Iterator[str]:
    """Give the columns of text that a statement compares with a parameter."""
    for each in iterate(statement):
        if isinstance(each, BinaryExpression):
            sides = {each.left, each.right}
            if any(isinstance(side, BindParameter) for side in sides):
                yield from (
                    side.name for side in sides if isinstance(side, sa.Column) and isinstance(side.type, sa.String)
                )
