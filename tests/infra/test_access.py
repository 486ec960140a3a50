"""Who may do what in the database."""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.sql import visitors
from sqlalchemy.sql.dml import UpdateBase

from infra.sql.access import COMMAND_SIDE, QUERY_SIDE, ROLES, User, access_script, batches, main
from infra.sql.tsql import statements
from shared.frame.write_side.writes import Step
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import tds_server

ROOT = Path(__file__).parents[2]
COMMANDS = User("id-commands", UUID("11223344-5566-7788-99aa-bbccddeeff00"))
VIEWS = User("id-views", UUID("00000000-0000-0000-0000-00000000000a"))
MEMBERS = {"command_side": COMMANDS, "query_side": VIEWS}
RIGHT = re.compile(r"(\w+)(?: \(([\w, ]+)\))?")


def rights(granted: Mapping[str, str]) -> dict[str, dict[str, frozenset[str]]]:
    """Table -> right -> the columns that it is limited to; none: all."""
    return {
        table: {
            right: frozenset(columns.split(", ")) if columns else frozenset() for right, columns in RIGHT.findall(text)
        }
        for table, text in granted.items()
    }


def executed() -> Iterator[sa.ClauseElement]:
    """What the product executes, as SQLAlchemy's statements."""
    for _, statement in statements(parts=True):
        yield statement.statement if isinstance(statement, Step) else statement


def needed() -> dict[str, set[str]]:
    """Table -> what the product's statements do to it."""
    need = defaultdict(set)
    for statement in executed():
        if isinstance(statement, UpdateBase):
            assert isinstance(statement.table, sa.Table)
            need[statement.table.fullname].add(type(statement).__name__.upper())
        if not isinstance(statement, sa.Insert):  # an UPDATE or DELETE reads what its condition names
            for table in visitors.iterate(statement):
                if isinstance(table, sa.Table):
                    need[table.fullname].add("SELECT")
    return dict(need)


def test_the_command_side_is_granted_what_the_products_statements_do_and_nothing_else() -> None:
    assert {table: set(granted) for table, granted in rights(COMMAND_SIDE).items()} == needed()


def test_of_an_event_only_the_relays_marks_and_what_is_erased_can_be_changed_and_none_can_be_deleted() -> None:
    assignments = [
        re.search(" SET (.*?) WHERE ", str(statement))
        for statement in executed()
        if isinstance(statement, sa.Update) and str(statement.table).endswith(".event_log")
    ]
    changed = {column for found in assignments if found for column in re.findall(r"(\w+)=", found[1])}
    assert changed == {"claimed_until", "published_at", "payload", "command_fingerprint"}
    for table in ("ordering.event_log", "catalog.event_log", "customers.event_log"):
        granted = rights(COMMAND_SIDE)[table]
        assert granted["UPDATE"] == changed
        assert "DELETE" not in granted


def test_the_query_side_cannot_write() -> None:
    assert set(QUERY_SIDE.values()) == {"SELECT"}


def test_nobody_is_granted_more_than_tables() -> None:
    script = access_script(batches(MEMBERS))
    assert not re.search(r"db_\w+|CONTROL|ALTER (ANY|ON)|SCHEMA|DATABASE|OWNERSHIP|EXECUTE|ADMIN", script)
    granted = set(re.findall(r"^GRANT .* ON OBJECT::(\S+) TO (\w+);$", script, re.MULTILINE))
    assert granted == {(table, role) for role, tables in ROLES.items() for table in tables}
    assert len(re.findall("GRANT", script)) == len(granted)


def test_a_user_is_known_by_its_client_ids_bytes_in_windows_order() -> None:
    # Microsoft's documented conversion: CAST(CAST('<client id>' AS uniqueidentifier) AS varbinary(16))
    assert COMMANDS.sid == "0x443322116655887799AABBCCDDEEFF00"
    assert f"CREATE USER [id-commands] WITH SID = {COMMANDS.sid}, TYPE = E;" in access_script(batches(MEMBERS))


def test_what_is_no_longer_granted_is_taken_back_because_the_roles_are_made_anew() -> None:
    script = list(batches(MEMBERS))
    for role in ROLES:
        assert script.index(f"DROP ROLE IF EXISTS {role};") < script.index(f"CREATE ROLE {role};")


def test_one_identity_on_both_sides_gets_one_user() -> None:
    assert access_script(batches({"command_side": VIEWS, "query_side": VIEWS})).count("CREATE USER") == 1


@needs_unixodbc
@needs_driver
def test_who_is_locked_out_is_so_in_the_database_that_is_named_and_may_be_let_in_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = [f"--commands={COMMANDS.name}={COMMANDS.client_id}", f"--queries={VIEWS.name}={VIEWS.client_id}"]
    with tds_server() as server:
        monkeypatch.setenv("SqlConnection", server.url)
        monkeypatch.setattr(sys, "argv", ["access", *sides, "--lock-out", "--database", "tandem-restored"])
        main()
    dropped = [request.text for request in server.requests if "USER" in request.text]
    assert dropped == [f"DROP USER IF EXISTS [{user.name}];" for user in (COMMANDS, VIEWS)]
    assert {request.login.database for request in server.requests if request.login} == {"tandem-restored"}
    assert server.requests[-1].text == "COMMIT"
    # the roles that are left have no member that keeps them from being made anew
    assert [batch for batch in batches(MEMBERS) if "DROP ROLE" in batch] == [
        f"DROP ROLE IF EXISTS {role};" for role in ROLES
    ]


@pytest.mark.parametrize(
    "text", ["id-commands", "id]; DROP TABLE x;--=00000000-0000-0000-0000-00000000000a", "id-commands=12", "=12"]
)
def test_what_is_no_identity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no name|badly formed"):
        User.parse(text)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [("sqlite:///x.db", "Only Azure SQL has users"), ("", "The setting SqlConnection is missing")],
)
def test_it_says_what_it_cannot_grant_on(url: str, complaint: str) -> None:
    user = f"id-x={UUID(int=1)}"
    ran = subprocess.run(
        [sys.executable, "-m", "infra.sql.access", "--commands", user, "--queries", user],
        cwd=ROOT,
        env={"SqlConnection": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert complaint in ran.stderr
