"""Let each side into the database, with what it needs and nothing else: `python -m infra.sql.access`.

    python -m infra.sql.access --commands NAME=CLIENT_ID --queries NAME=CLIENT_ID

NAME is a managed identity's name, CLIENT_ID its client id. It connects at the setting SqlConnection as the server's
administrator, after the migrations, and may be run again at any time: what is not granted here is taken back.
With `--lock-out` it takes both out of the database instead, of which `--database` may name another one of that server:
whatever of the app still runs, or runs too early, can do nothing there until they are let in again.
With `--sql` it connects to nothing and prints the T-SQL.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from infra.sql.migrate import attempts, database_url, migrating

_LOG = "SELECT, INSERT, UPDATE (claimed_until, published_at, payload, command_fingerprint)"
"""What is written in an event log stays: only the marks of the relay change, and what is erased of a person."""

COMMAND_SIDE = {
    "ordering.event_log": _LOG,
    "ordering.orders": "SELECT, INSERT, UPDATE",
    "ordering.order_lines": "SELECT, INSERT, UPDATE, DELETE",
    "ordering.products": "SELECT, INSERT, UPDATE",
    "ordering.customers": "SELECT, INSERT, UPDATE",
    "ordering.customer_addresses": "SELECT, INSERT, UPDATE",
    "ordering.fulfilments": "SELECT, INSERT, UPDATE",
    "ordering.inbox": "SELECT, INSERT",  # that it can be read is asked by health
    "ordering.snapshots": "SELECT, INSERT, DELETE",  # as above
    "catalog.event_log": _LOG,
    "catalog.products": "SELECT, INSERT, UPDATE",
    "catalog.stock": "SELECT, INSERT, UPDATE",
    "catalog.ordered_stock": "SELECT, INSERT, UPDATE",
    "catalog.ratings": "SELECT, INSERT, UPDATE",
    "catalog.purchases": "SELECT, INSERT",
    "catalog.orders": "SELECT, INSERT, UPDATE",
    "catalog.inbox": "SELECT, INSERT",  # as above
    "customers.event_log": _LOG,
    "customers.customers": "SELECT, INSERT, UPDATE",
    "customers.addresses": "SELECT, INSERT, UPDATE, DELETE",
    "customers.emails": "SELECT, INSERT, DELETE",
    "payments.event_log": _LOG,
    "payments.payments": "SELECT, INSERT, UPDATE",
    "payments.refunds": "SELECT, INSERT, UPDATE",
    "payments.inbox": "SELECT, INSERT",  # as above
    "operations.audit": "SELECT, INSERT",
}
"""What commands, relays, the copies of other contexts' data and operations need."""

QUERY_SIDE = {
    "ordering.event_log": "SELECT",
    "ordering.orders": "SELECT",
    "ordering.order_lines": "SELECT",
    "ordering.fulfilments": "SELECT",
    "ordering.products": "SELECT",
    "ordering.customers": "SELECT",
    "ordering.snapshots": "SELECT",
    "catalog.event_log": "SELECT",
    "catalog.products": "SELECT",
    "catalog.purchases": "SELECT",
    "catalog.ratings": "SELECT",
    "catalog.stock": "SELECT",
    "catalog.ordered_stock": "SELECT",
    "customers.event_log": "SELECT",
    "customers.customers": "SELECT",
    "customers.addresses": "SELECT",
    "customers.emails": "SELECT",
    "payments.event_log": "SELECT",
    "payments.payments": "SELECT",
    "payments.refunds": "SELECT",
}
"""What projections need to fill gaps, to find the documents that show a name, and to rebuild; and what shows customers
and payments.
It cannot write."""

ROLES = {"command_side": COMMAND_SIDE, "query_side": QUERY_SIDE}

_NAME = re.compile(r"[\w-]{3,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class User:
    """A managed identity that gets a user in the database."""

    name: str
    client_id: UUID

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read NAME=CLIENT_ID.

        Raises:
            ValueError: it is something else.
        """
        name, _, client_id = text.partition("=")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a managed identity")
        return cls(name, UUID(client_id))

    @property
    def sid(self) -> str:
        """The user's SID: the client id's bytes, as Windows orders them. With it Azure SQL need not ask Entra."""
        return f"0x{self.client_id.bytes_le.hex().upper()}"


def batches(members: Mapping[str, User]) -> Iterator[str]:
    """Write the T-SQL, to be run in one transaction, so that nobody is locked out meanwhile.

    A statement at a time: of several that are sent at once, the driver reports only the first one's error.
    A role that somebody else was made a member of cannot be dropped: then it fails, and changes nothing.

    Args:
        members: who gets which of ROLES.
    """
    for role, member in members.items():
        yield f"IF IS_ROLEMEMBER(N'{role}', N'{member.name}') = 1 ALTER ROLE {role} DROP MEMBER [{member.name}];"
        yield f"DROP ROLE IF EXISTS {role};"
    for user in dict.fromkeys(members.values()):
        # an identity that was deleted and made again has its old name and another id
        known = f"SELECT 1 FROM sys.database_principals WHERE name = N'{user.name}'"  # noqa: S608  # of letters and digits
        yield f"IF EXISTS ({known} AND sid <> {user.sid}) DROP USER [{user.name}];"
        yield f"IF NOT EXISTS ({known}) CREATE USER [{user.name}] WITH SID = {user.sid}, TYPE = E;"
    for role, member in members.items():
        yield f"CREATE ROLE {role};"
        for table, rights in ROLES[role].items():
            yield f"GRANT {rights} ON OBJECT::{table} TO {role};"
        yield f"ALTER ROLE {role} ADD MEMBER [{member.name}];"


def lock_out(members: Mapping[str, User]) -> Iterator[str]:
    """Write the T-SQL that takes the users away, whichever there are; `batches` makes them again."""
    for user in dict.fromkeys(members.values()):
        yield f"DROP USER IF EXISTS [{user.name}];"


def access_script(statements: Iterable[str]) -> str:
    """Write all of it as one script."""
    return "".join(f"{batch}\nGO\n" for batch in statements)


def carry_out(url: str, statements: Iterable[str]) -> None:
    """Carry it out, all or nothing.

    Raises:
        sqlalchemy.exc.DBAPIError: the database refuses; nothing has changed.
    """
    statements = list(statements)
    for attempt in attempts():
        with attempt, migrating(url) as connection:
            for batch in statements:
                connection.exec_driver_sql(batch)


def _user(text: str) -> User:
    try:
        return User.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def main() -> None:
    """Read the arguments, and let in, lock out or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=_user, required=True, metavar="NAME=CLIENT_ID")
    parser.add_argument("--queries", type=_user, required=True, metavar="NAME=CLIENT_ID")
    parser.add_argument("--lock-out", action="store_true", help="take both out of the database")
    parser.add_argument("--database", help="another database of that server; default: the one that SqlConnection names")
    parser.add_argument("--sql", action="store_true", help="print T-SQL instead of connecting")
    arguments = parser.parse_args()
    members = {"command_side": arguments.commands, "query_side": arguments.queries}
    statements = lock_out(members) if arguments.lock_out else batches(members)
    url = os.environ.get("SqlConnection", "")
    if arguments.sql:
        print(access_script(statements), end="")
    elif url.startswith("mssql"):
        carry_out(database_url(url, arguments.database), statements)
    elif url:
        sys.exit("Only Azure SQL has users: SqlConnection names another database.")
    else:
        sys.exit("The setting SqlConnection is missing.")


if __name__ == "__main__":
    main()
