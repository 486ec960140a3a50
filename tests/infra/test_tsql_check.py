"""What Microsoft's T-SQL compiler refuses is found among what tests have executed."""

from infra.local.check import tsql_check
from tests.support.runbook import STATEMENTS, filled


def test_a_statement_that_the_compiler_refuses_is_found_among_others() -> None:
    text = "SELECT version FROM ordering.orders WHERE order_id = ?"
    good = {"name": "the first", "sql": text, "parameters": ["UNIQUEIDENTIFIER"]}
    faulty = {"name": "the second", "sql": "SELECT version FROM ordering.nowhere", "parameters": []}
    found = "\n".join(tsql_check([good, faulty]))
    assert "the second" in found
    assert "the first" not in found


def test_what_the_runbook_gives_an_administrator_is_t_sql_of_the_schema() -> None:
    entries = [
        {"name": f"{section} {number}", "sql": filled(text), "parameters": []}
        for section, texts in STATEMENTS.items()
        for number, text in enumerate(texts)
    ]
    assert len(entries) > 10
    assert tsql_check(entries) == []
