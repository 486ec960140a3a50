"""Run SQL by hand: `python -m infra.sql.run FILE`, at the setting SqlConnection; `-` in the place of FILE is the input.

It signs in as infra.sql.migrate does, and runs the file's statements, each of which ends with `;`, in one transaction.
It shows the rows that they give and counts those that they change, and asks before it keeps a change. Whatever goes
wrong before that leaves the database as it was.

With `--autocommit` there is no transaction, for statements that take none: it asks before the first one, runs one by
one, and ends at the first that fails; what was done stays done.
"""

import argparse
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
import sqlglot
from rich.table import Table

from infra.local.screen import console, harmless, one_line
from infra.sql.migrate import attempts, database_url, migration_engine

CHANGES = {sqlglot.TokenType[word] for word in ("INSERT", "UPDATE", "DELETE", "MERGE", "EXECUTE")}
"""What changes something after a SELECT or a WITH too, and may show rows as those do (OUTPUT)."""

ROWS = 1000
"""Rows that are shown of one answer."""

PATIENCE = 60.0
"""Seconds to wait for the answer whether a change is kept: its rows are locked, and commands wait for them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it is written, without the `;` at its end.

    Attributes:
        reads: whether it only asks.
    """

    text: str
    reads: bool

    @classmethod
    def all_of(cls, text: str) -> Iterator[Self]:
        """Take a file apart at each `;` that is part of no text, name or comment.

        Raises:
            sqlglot.errors.TokenError: a text, a name or a comment does not end.
        """
        tokens: list[sqlglot.Token] = []
        beginning = 0
        for token in (*sqlglot.tokenize(text, read="tsql"), None):
            if token is not None and token.token_type is not sqlglot.TokenType.SEMICOLON:
                tokens.append(token)
                continue
            if tokens:
                end = len(text) if token is None else token.start
                asks = tokens[0].token_type in {sqlglot.TokenType.SELECT, sqlglot.TokenType.WITH}
                changes = not CHANGES.isdisjoint(each.token_type for each in tokens)
                yield cls(text[beginning:end].strip(), asks and not changes)
            tokens, beginning = [], len(text) if token is None else token.end + 1


def run(connection: sa.Connection, statement: Statement) -> bool:
    """Run a statement, and print what comes of it; tell whether it has changed, or may have changed, anything."""
    cursor: Any = connection.connection.cursor()
    cursor.execute(statement.text)
    changes = not statement.reads
    more = True
    while more:
        if cursor.description is None:
            changes = True
            print(harmless(f"{_counted(cursor.rowcount)} changed: {one_line(statement.text)}"))
        else:
            _show([name for name, *_ in cursor.description], cursor)
        # what was not ended by a `;` is answered too, and the error of a later one of them only appears here
        more = hasattr(cursor, "nextset") and cursor.nextset()
    cursor.close()
    return changes


def _show(names: list[str], cursor: Any) -> None:
    rows = cursor.fetchmany(ROWS)
    table = Table()
    for name in names:
        table.add_column(name, overflow="fold")  # nothing of an id is left out
    for row in rows:
        table.add_row(*("NULL" if value is None else one_line(value) for value in row))
    console().print(table)
    left = cursor.fetchone() is not None
    print(f"The first {_counted(ROWS)}; there are more." if left else f"{_counted(len(rows))}.")


def _counted(number: int) -> str:
    """Say how many rows; the driver says -1 where it does not know, or where none are meant."""
    return {-1: "it is not said how many rows", 1: "1 row"}.get(number, f"{number:,} rows")


def agreed(question: str, *, input_is_read: bool) -> bool:
    """Ask for a yes; no answer within PATIENCE is none."""
    with ExitStack() as opened:
        answers = sys.stdin
        if input_is_read:
            try:
                answers = opened.enter_context(Path("/dev/tty").open(encoding="utf-8"))
            except OSError:
                print("There is no terminal to ask at; --yes keeps a change without asking.", file=sys.stderr)
                return False
        print(f"{question} Within {PATIENCE:.0f} s: yes, or anything else. ", end="", flush=True)
        waiting, _, _ = select.select([answers], [], [], PATIENCE)
        answer = answers.readline().strip() if waiting else ""
        print()
        return answer.lower() in {"y", "yes"}


def _connected(engine: sa.Engine, closes: ExitStack) -> sa.Connection:
    closes.callback(engine.dispose)
    for attempt in attempts():
        with attempt:
            connection = closes.enter_context(engine.connect())
    return connection


def carry_out(url: str, statements: Iterable[Statement], keeps: Callable[[], bool]) -> None:
    """Run statements in one transaction, which is kept if they change something and whoever is asked agrees.

    Raises:
        SystemExit: nothing was changed, or nobody knows.
    """
    engine = migration_engine(url)
    with ExitStack() as closes:
        try:
            connection = _connected(engine, closes)
            connection.begin()
            changed = [run(connection, statement) for statement in statements]
        except (sa.exc.DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
            sys.exit(f"Nothing was changed: {harmless(getattr(error, 'orig', error))}")
        if not any(changed):
            return
        if not keeps():
            connection.rollback()
            sys.exit("Nothing was changed.")
        try:
            connection.commit()
        except sa.exc.DBAPIError as error:
            sys.exit(f"Nobody knows whether it was changed: look, and run it again. {harmless(error.orig)}")
        print("Done.")


def carry_out_one_by_one(url: str, statements: Sequence[Statement], begins: Callable[[], bool]) -> None:
    """Show statements, and run each by itself if whoever is asked agrees; what is done stays done.

    Raises:
        SystemExit: nothing was run, or not all of it.
    """
    for statement in statements:
        print(harmless(one_line(statement.text)))
    if not begins():
        sys.exit("Nothing was run.")
    engine = migration_engine(url)
    done = 0
    with ExitStack() as closes:
        try:
            connection = _connected(engine, closes).execution_options(isolation_level="AUTOCOMMIT")
            for statement in statements:
                run(connection, statement)
                done += 1
        except (sa.exc.DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
            said = harmless(getattr(error, "orig", error))
            sys.exit(f"{done} of {len(statements)} statements are done, and stay so. The next one: {said}")
    print("Done.")


def main() -> None:
    """Run a file's statements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="a file with statements; - is the input")
    parser.add_argument("--database", help="another database of that server; default: the one that SqlConnection names")
    parser.add_argument("--yes", action="store_true", help="keep changes without asking")
    parser.add_argument("--autocommit", action="store_true", help="run each statement by itself, in no transaction")
    options = parser.parse_args()
    url = os.environ.get("SqlConnection")
    if not url:
        sys.exit("The setting SqlConnection is missing.")
    is_input = options.file == "-"
    try:
        text = sys.stdin.read() if is_input else Path(options.file).read_text(encoding="utf-8")
        statements = list(Statement.all_of(text))
    except (OSError, UnicodeDecodeError, sqlglot.errors.TokenError) as error:
        sys.exit(f"Nothing was run: {harmless(error)}")
    if not statements:
        sys.exit(f"Nothing was run: {options.file} has no statement.")

    url = database_url(url, options.database)

    def says_yes(question: str) -> bool:
        return options.yes or agreed(question, input_is_read=is_input)

    if options.autocommit:
        carry_out_one_by_one(url, statements, lambda: says_yes("Run this? Nothing is taken back."))
    else:
        carry_out(url, statements, lambda: says_yes("Keep this?"))


if __name__ == "__main__":
    main()
