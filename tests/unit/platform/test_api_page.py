"""docs/api.md has a row for each route that is declared, and no other."""

import re
from collections.abc import Iterator

from shared.frame.http import fallback
from tests.support.app import app_globals
from tests.support.stack import ROOT

PAGE = ROOT / "docs" / "api.md"


def routes_of(page: str) -> Iterator[str]:
    """The routes in the first column: `POST /a/b {...}`, and what stands in place of its last part, `/c`."""
    for cell in re.findall(r"^\| (`[A-Z]+ /.*?) \|", page, re.MULTILINE):
        method = path = ""
        for chunk in re.findall(r"`([^`]+)`", cell):
            begin, _, rest = chunk.partition(" ")
            if begin.isupper():
                method, path = begin, rest.partition("?")[0]
            elif chunk.startswith("/"):
                longer = path.count("/") > 1 and chunk.count("/") == 1
                path = path.rpartition("/")[0] + chunk if longer else chunk
            else:
                continue  # parameters
            yield f"{method} {path}"


def test_the_table_has_the_declared_routes() -> None:
    declared = {f"{each.method} /{each.route}" for each in app_globals()["routes"]}
    declared |= {f"GET /{page}" for page in fallback.PAGES if "{" not in page}
    assert set(routes_of(PAGE.read_text(encoding="utf-8"))) == declared


def test_a_row_may_name_several_routes() -> None:
    page = "| `POST /a/{id}/b` {x}, `/c` | 204 |\n| `GET /d?e=` (`&f=`), `GET /g`, `/h/i` | 200 |"
    assert list(routes_of(page)) == ["POST /a/{id}/b", "POST /a/{id}/c", "GET /d", "GET /g", "GET /h/i"]


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (PAGE.parent / target).exists()] == []
