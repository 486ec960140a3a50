"""What Microsoft's T-SQL compiler refuses is found among what tests have executed."""

from infra.local.check import tsql_check


def test_a_statement_that_the_compiler_refuses_is_found_among_others() -> None:
    text = "SELECT version FROM ordering.orders WHERE order_id = ?"
    good = {"name": "the first", "sql": text, "parameters": ["UNIQUEIDENTIFIER"]}
    faulty = {"name": "the second", "sql": "SELECT version FROM ordering.nowhere", "parameters": []}
    found = "\n".join(tsql_check([good, faulty]))
    assert "the second" in found
    assert "the first" not in found
