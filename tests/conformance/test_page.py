"""docs/engines.md says what the tables of checks said."""

from tests.conformance.results import HOW, PAGE, WRITE, page

BEGIN, END = "<!-- what the checks said: written by tests/conformance/test_page.py -->\n", "<!-- end -->\n"


def test_the_page_of_the_engines_says_what_the_checks_said() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    fresh = f"{before}{BEGIN}\n{page()}\n{END}{after}"
    if WRITE:
        PAGE.write_text(fresh, encoding="utf-8")
    else:
        assert text == fresh, f"docs/engines.md is stale. {HOW}"
