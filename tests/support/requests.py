"""How many requests of SQL something takes: as Azure SQL would get them and, on a server, as the wire shows them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from sqlalchemy.engine import make_url

from tests.support.counting import counting_sql
from tests.support.shop import Shop, shop_at
from tests.support.tds import Tap, tapped


@dataclass
class Requests:
    """Requests to ordering's database.

    Attributes:
        counted: where they leave SQLAlchemy (tests/support/counting.py).
        on_the_wire: where they reach the server; None on SQLite, which has no wire.
    """

    counted: int = 0
    on_the_wire: int | None = None


type Watch = Callable[[], AbstractContextManager[Requests]]


@contextmanager
def watched_shop(url: str) -> Iterator[tuple[Shop, Watch]]:
    """A shop on a migrated database, and what counts the requests of a block."""
    if make_url(url).get_backend_name() == "sqlite":
        with shop_at(url) as shop:
            yield shop, lambda: _watch(shop, None)
        return
    with tapped(url) as (through, tap), shop_at(through) as shop:
        with shop.ordering_engine.connect():
            pass  # pyodbc asks once in a process how long texts may be
        yield shop, lambda: _watch(shop, tap)


@contextmanager
def _watch(shop: Shop, tap: Tap | None) -> Iterator[Requests]:
    requests, counts = Requests(), Counter[str]()
    before = tap.requests if tap else 0
    with counting_sql(shop.ordering_engine, counts):
        yield requests
    requests.counted = counts["sql_requests"]
    if tap:
        requests.on_the_wire = tap.requests - before
