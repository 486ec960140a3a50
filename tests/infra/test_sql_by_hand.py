"""SQL by hand: one transaction, whose changes are seen before they are kept."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.sql import run
from infra.sql.migrate import migration_engine
from infra.sql.run import Statement, carry_out, carry_out_one_by_one
from tests.infra.tools import ROOT
from tests.support.database import empty_database, needs_sqlite
from tests.support.odbc import needs_driver, needs_unixodbc
from tests.support.tds import Answers, Cut, Done, Error, Request, Rows, tds_server

ADD = "INSERT INTO customers.emails (address, customer_id) VALUES ('{}', '00000000-0000-0000-0000-000000000001');\n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return empty_database(tmp_path)


def emails(url: str) -> list[str]:
    engine = migration_engine(url)
    with engine.connect() as connection:
        found = list(connection.exec_driver_sql("SELECT address FROM customers.emails ORDER BY address").scalars())
    engine.dispose()
    return found


def by_hand(url: str, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "infra.sql.run", *arguments],
        cwd=ROOT,
        env={**os.environ, "SqlConnection": url},
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        start_new_session=True,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fix.sql"


def test_what_is_asked_is_shown_and_changes_nothing(url: str, file: Path) -> None:
    file.write_text(ADD.format("a@example.com"))
    assert by_hand(url, str(file), "--yes").returncode == 0
    ran = by_hand(url, "-", text="SELECT address, NULL AS missing FROM customers.emails")
    assert ran.returncode == 0, ran.stderr
    for shown in ("address", "a@example.com", "NULL", "1 row."):
        assert shown in ran.stdout


@pytest.mark.parametrize(
    ("answer", "kept"), [("yes\n", True), ("y\n", True), ("no\n", False), ("\n", False), ("", False)]
)
def test_a_change_is_counted_and_kept_if_somebody_says_yes(url: str, file: Path, answer: str, *, kept: bool) -> None:
    file.write_text(ADD.format("a@example.com") + ADD.format("b@example.com"))
    ran = by_hand(url, str(file), text=answer)
    assert ran.stdout.count("1 row changed: INSERT INTO customers.emails") == 2
    assert (ran.returncode, emails(url)) == ((0, ["a@example.com", "b@example.com"]) if kept else (1, []))
    assert ("Done." in ran.stdout, "Nothing was changed." in ran.stderr) == (kept, not kept)


def test_if_one_statement_fails_the_others_have_changed_nothing(url: str, file: Path) -> None:
    file.write_text(ADD.format("a@example.com") + ADD.format("b@example.com").replace("emails", "nowhere"))
    ran = by_hand(url, str(file), "--yes")
    assert ran.returncode == 1
    assert "Nothing was changed: " in ran.stderr
    assert "nowhere" in ran.stderr
    assert emails(url) == []


def test_without_a_transaction_what_was_done_before_a_failure_stays(url: str, file: Path) -> None:
    file.write_text(ADD.format("a@example.com") + ADD.format("b@example.com").replace("emails", "nowhere"))
    ran = by_hand(url, str(file), "--autocommit", text="yes\n")
    assert ran.returncode == 1
    assert "1 of 2 statements are done, and stay so" in ran.stderr
    assert "nowhere" in ran.stderr
    assert emails(url) == ["a@example.com"]


def test_without_a_transaction_nothing_is_run_before_somebody_has_seen_it_and_says_yes(url: str, file: Path) -> None:
    file.write_text(ADD.format("a@example.com") + ADD.format("b@example.com"))
    ran = by_hand(url, str(file), "--autocommit", text="no\n")
    assert (ran.returncode, emails(url)) == (1, [])
    assert "Nothing was run." in ran.stderr
    assert ran.stdout.index("b@example.com") < ran.stdout.index("Run this? Nothing is taken back.")
    assert by_hand(url, str(file), "--autocommit", "--yes").returncode == 0
    assert emails(url) == ["a@example.com", "b@example.com"]


def test_where_nobody_can_be_asked_a_change_is_not_kept(url: str) -> None:
    ran = by_hand(url, "-", text=ADD.format("a@example.com"))
    assert ran.returncode == 1
    assert "--yes keeps a change without asking" in ran.stderr
    assert emails(url) == []


def test_whoever_pasted_the_statements_is_asked_at_the_terminal(url: str) -> None:
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        script = f'printf %s "{ADD.format("a@example.com").strip()}" | {sys.executable} -m infra.sql.run -'
        os.execve("/bin/sh", ["sh", "-c", script], {**os.environ, "SqlConnection": url})  # noqa: S606  # it gets a terminal of its own
    os.write(terminal, b"yes\n")
    said = b""
    while chunk := _read(terminal):
        said += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, said
    assert b"Keep this?" in said
    assert emails(url) == ["a@example.com"]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the other side has closed it
        return b""


def test_nobody_who_was_asked_and_went_away_keeps_rows_locked(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "PATIENCE", 0.01)
    silent, writes = os.pipe()
    with os.fdopen(silent) as silence, os.fdopen(writes, "w"):
        monkeypatch.setattr(sys, "stdin", silence)
        with pytest.raises(SystemExit, match="Nothing was changed"):
            carry_out(
                url,
                Statement.all_of(ADD.format("a@example.com")),
                lambda: run.agreed("Keep this?", input_is_read=False),
            )
    assert "Keep this?" in capsys.readouterr().out
    assert emails(url) == []


def test_of_very_many_rows_the_first_are_shown(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "ROWS", 2)
    carry_out(url, Statement.all_of("SELECT 1 AS n UNION SELECT 2 UNION SELECT 3"), bool)
    assert "The first 2 rows; there are more." in capsys.readouterr().out


def test_a_statement_ends_with_a_semicolon_that_is_part_of_no_text_name_or_comment() -> None:
    text = "-- a;b\nSELECT 'a;b', [c;d] /* e;f */;;\nWITH a AS (SELECT 1 AS b) SELECT * FROM a; UPDATE a SET b = 'ü;'\n"
    assert list(Statement.all_of(text)) == [
        Statement("-- a;b\nSELECT 'a;b', [c;d] /* e;f */", reads=True),
        Statement("WITH a AS (SELECT 1 AS b) SELECT * FROM a", reads=True),
        Statement("UPDATE a SET b = 'ü;'", reads=False),
    ]


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("WITH a AS (SELECT 1 AS [update], 'delete' AS b /* merge */) SELECT * FROM a WITH (UPDLOCK)", True),
        ("with a as (select * from b) update a set c = 1 output inserted.c", False),
        ("WITH a AS (SELECT * FROM b) DELETE FROM a OUTPUT deleted.c", False),
        ("WITH a AS (SELECT 1 AS c) INSERT INTO b (c) OUTPUT inserted.c SELECT c FROM a", False),
        ("WITH a AS (SELECT 1 AS c) MERGE b USING a ON a.c = b.c WHEN MATCHED THEN DELETE OUTPUT deleted.c", False),
        ("SELECT 1 AS a UPDATE b SET c = 1 OUTPUT inserted.c", False),
        ("SELECT 1 AS a EXEC b", False),
    ],
)
def test_what_changes_rows_that_it_shows_counts_as_a_change(text: str, *, reads: bool) -> None:
    assert list(Statement.all_of(text)) == [Statement(text, reads=reads)]


@needs_unixodbc
@needs_driver
def test_on_azure_sql_a_change_that_shows_its_rows_is_kept_or_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    """They were shown, nobody was asked, and the connection took the change back without a word."""
    text = "WITH a AS (SELECT TOP 1 * FROM b) UPDATE a SET c = 7 OUTPUT inserted.c;"
    with azure_sql({"WITH a": Rows([("c", "int")], [[7]])}) as url:
        carry_out(url, Statement.all_of(text), lambda: True)
        assert "Done." in capsys.readouterr().out
        with pytest.raises(SystemExit, match="Nothing was changed"):
            carry_out(url, Statement.all_of(text), bool)


@pytest.mark.parametrize(
    ("text", "told"), [("SELECT 'a", "Nothing was run"), ("-- nothing\n", "has no statement"), (None, "no-such.sql")]
)
def test_a_file_that_cannot_be_run_is_refused(url: str, file: Path, text: str | None, told: str) -> None:
    if text is not None:
        file.write_text(text)
    ran = by_hand(url, str(file) if text is not None else "no-such.sql")
    assert ran.returncode == 1
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr


@needs_sqlite("another database is another file there")
def test_another_database_of_the_server_is_meant_by_its_name(url: str, tmp_path: Path, file: Path) -> None:
    (tmp_path / "restored").mkdir()
    restored = empty_database(tmp_path / "restored")
    file.write_text(ADD.format("a@example.com"))
    ran = by_hand(url, str(file), "--yes", "--database", str(tmp_path / "restored" / "tandem.db"))
    assert ran.returncode == 0, ran.stderr
    assert (emails(url), emails(restored)) == ([], ["a@example.com"])


@contextmanager
def azure_sql(answers: dict[str, Answers]) -> Iterator[str]:
    """Give the URL of a server that answers as told to what begins with a text."""

    def answer(request: Request) -> Answers:
        return next((each for text, each in answers.items() if request.text.startswith(text)), None)

    with tds_server(answer) as server:
        yield server.url


@needs_unixodbc
@needs_driver
def test_on_azure_sql_all_answers_of_statements_that_no_semicolon_ends_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of a batch the driver gives the first answer alone, and an error behind it when the next one is asked for."""

    def nobody() -> bool:
        raise AssertionError("nobody is asked whether half of it is to be kept")

    answers: dict[str, Answers] = {
        "UPDATE a": [Done(3), Rows([("b", "int")], [[7]]), Done(4)],
        "UPDATE bad": [Done(1), Error(208)],
    }
    with azure_sql(answers) as url:
        carry_out(url, Statement.all_of("UPDATE a SET b = 1 SELECT 7 AS b UPDATE c SET b = 1"), lambda: True)
        said = capsys.readouterr().out
        with pytest.raises(SystemExit, match=r"Nothing was changed: .*208"):
            carry_out(url, Statement.all_of("UPDATE bad SET b = 1 UPDATE d SET b = 1"), nobody)
    for shown in ("3 rows changed", "7", "4 rows changed", "Done."):
        assert shown in said


@needs_unixodbc
@needs_driver
def test_a_connection_that_is_lost_while_it_commits_leaves_nobody_in_the_belief_that_nothing_was_changed() -> None:
    with (
        azure_sql({"UPDATE a": Done(3), "COMMIT": Cut()}) as url,
        pytest.raises(SystemExit, match="Nobody knows whether it was changed: look, and run it again"),
    ):
        carry_out(url, Statement.all_of("UPDATE a SET b = 1;"), lambda: True)


@needs_unixodbc
@needs_driver
def test_what_azure_sql_takes_in_no_transaction_is_run_in_none(capsys: pytest.CaptureFixture[str]) -> None:
    """ALTER DATABASE is refused in one: error 226."""

    def answer(request: Request) -> Answers:
        refused = request.in_transaction and request.text.startswith("ALTER DATABASE")
        return Error(226) if refused else None

    clear = list(Statement.all_of("ALTER DATABASE CURRENT SET QUERY_STORE CLEAR; ALTER DATABASE SCOPED CONFIGURATION"))
    with tds_server(answer) as server:
        with pytest.raises(SystemExit, match=r"Nothing was changed: .*226"):
            carry_out(server.url, clear, lambda: True)
        carry_out_one_by_one(server.url, clear, lambda: True)
    assert "Done." in capsys.readouterr().out
