"""What the statements lock on Azure SQL, and what they pass over."""

import re

import sqlalchemy as sa

from infra.sql.tsql import entry, statements
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.commands import WriteSide
from shared.frame.write_side.relay import Relay
from shared.ordering.commands.create_order import create_order
from shared.ordering.tables import LOG
from tests.support.azure_sql import create
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Server
from tests.support.topic import KeptTopic

pytestmark = [needs_unixodbc, needs_driver]


def test_what_a_command_relies_on_is_sought_and_stays_as_it_is_until_the_commit(
    server: Server, orders: WriteSide
) -> None:
    """Without the lock a rename in between is lost; without the seek the lock is of every customer and product."""
    orders.run(create_order, create(), Metadata())
    batch = server.requests[-1].text
    found = re.findall(r"FROM ordering\.(customers|products) WITH \((.*?)\)", batch)
    assert sorted(found) == [(table, "REPEATABLEREAD, FORCESEEK") for table in ("customers", "products")]


def test_each_row_that_has_to_be_as_it_was_read_stays_so_until_the_commit() -> None:
    same = {name: entry(name, statement)["sql"] for name, statement in statements() if ".SAME_" in name}
    assert len(same) > 2
    for name, text in same.items():
        assert "WITH (REPEATABLEREAD, FORCESEEK)" in text, name


def test_what_another_relay_is_claiming_is_passed_over(server: Server, engine: sa.Engine) -> None:
    Relay(engine, LOG, KeptTopic()).run()
    [request] = server.requests
    assert "WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)" in request.text


def test_no_table_that_is_written_has_a_hint_that_sql_server_refuses_there() -> None:
    # errors 10724, 10745 and 1069; neither Microsoft's compiler nor this server knows of them
    for name, statement in statements():
        text = entry(name, statement)["sql"]
        for hint in re.findall(r"(?:UPDATE|DELETE FROM|INSERT INTO) \S+ WITH \((.*?)\)", text):
            assert not re.search("FORCESEEK|FORCESCAN|INDEX", hint), name
