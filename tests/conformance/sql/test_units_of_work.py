"""What a unit of work promises, on SQLite and on the server that CONFORMANCE_SQL names (tests/support/database.py)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.catalog.repository import INSERT_LINES, INSERT_STOCK
from shared.catalog.tables import ORDERED_STOCK
from shared.customers.domain.customer import Customer
from shared.customers.repository import Customers, owner_of
from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import LostRace, UnitOfWork
from shared.frame.write_side.writes import Write
from shared.ordering.commands.add_item import AddItem, add_item
from shared.ordering.domain.errors import OrderAlreadyExists
from shared.ordering.events import OrderSubmittedV2
from shared.ordering.reference_data import FIND_PRODUCT, INSERT_PRODUCT, RENAME_PRODUCT
from shared.ordering.repository import LOAD, Orders
from shared.ordering.tables import LOG, PRODUCTS
from tests.support.offers import a_product as on_offer
from tests.support.offers import an_order, pieces, saved
from tests.support.shop import Shop, rows, running_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running_shop(tmp_path) as shop:
        yield shop


def product(name: str = "Tea", price: str = "1.50") -> dict[str, object]:
    return {
        "product_id": uuid4(),
        "name": name,
        "name_version": 1,
        "unit_price": Decimal(price),
        "currency": "EUR",
        "price_version": 1,
    }


def insert(shop: Shop, *some: dict[str, object]) -> None:
    with UnitOfWork(shop.ordering_engine) as work:
        work.write(INSERT_PRODUCT, some)
        work.commit()


def nothing_is_open(shop: Shop) -> bool:
    if shop.ordering_engine.dialect.name == "sqlite":
        return True
    with shop.ordering_engine.connect() as connection:
        return connection.exec_driver_sql("SELECT @@TRANCOUNT").scalar() == 0


@pytest.mark.parametrize("name", ["Grüner Tee ☕", "🦉" * 200, "日本茶", "O'Brien; -- [x]", "a" * 200, " "])
def test_text_is_kept_to_the_letter(shop: Shop, name: str) -> None:
    insert(shop, product(name))
    assert [row["name"] for row in rows(shop.ordering_engine, PRODUCTS)] == [name]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("þor@example.com", "thor@example.com"),
        ("œuvre@example.com", "oeuvre@example.com"),
        ("aខ្មែរ@example.com", "a@example.com"),
        ("né@example.com", "ne@example.com"),
    ],
)
def test_addresses_for_e_mail_that_differ_belong_to_different_customers(shop: Shop, one: str, other: str) -> None:
    owners = {}
    for email in (one, other):
        with UnitOfWork(shop.customers_engine) as work:
            customers = Customers(work, Metadata())
            customers.save(Customer.register(uuid4(), "Ada", email))
            work.commit()
        owners[email] = owner_of(shop.customers_engine, email)
    assert None not in owners.values()
    assert owners[one] != owners[other]
    with UnitOfWork(shop.customers_engine) as work:
        customers = Customers(work, Metadata())
        customer = customers.load(owners[one] or uuid4())
        customer.change_email("ada@example.com")
        customers.save(customer)
        work.commit()
    found = [owner_of(shop.customers_engine, email) for email in ("ada@example.com", one, other)]
    assert found == [owners[one], None, owners[other]]


@pytest.mark.parametrize("price", ["0.0001", "0", "1.5", "999999999999999.9999"])
def test_amounts_are_exact(shop: Shop, price: str) -> None:
    insert(shop, product(price=price))
    assert [row["unit_price"] for row in rows(shop.ordering_engine, PRODUCTS)] == [Decimal(price)]


def test_times_bytes_and_payloads_are_exact(shop: Shop) -> None:
    order_id, customer_id = uuid4(), uuid4()
    event = OrderSubmittedV2(order_id, customer_id, "EUR", Decimal("1.50"), lines=None)
    at = datetime(2026, 11, 28, 23, 59, 59, 999_999, UTC)
    fingerprint = bytes(range(32))
    with UnitOfWork(shop.ordering_engine) as work:
        LOG.append(work, order_id, 0, [event, event], Metadata("k", fingerprint, at=at))
        work.commit()
    first, second = rows(shop.ordering_engine, LOG.table)
    assert (first["occurred_at"], first["command_fingerprint"]) == (at, fingerprint)
    assert second["command_fingerprint"] is None
    assert (first["traceparent"], first["claimed_until"]) == (None, None)
    with shop.ordering_engine.connect() as connection:
        assert [recorded.event for recorded in LOG.history(connection, order_id)] == [event, event]


def test_text_that_is_too_long_for_its_column_is_never_cut(shop: Shop) -> None:
    """OPENJSON would; SQLite keeps text of any length, and the API lets none in that is too long."""
    long = "a" * 401
    with suppress(sa.exc.DBAPIError):
        insert(shop, product(long))
    kept = [row["name"] for row in rows(shop.ordering_engine, PRODUCTS)]
    assert kept == ([long] if shop.ordering_engine.dialect.name == "sqlite" else [])
    assert nothing_is_open(shop)


def test_an_update_of_the_same_row_twice_is_refused_before_it_is_sent(shop: Shop) -> None:
    """Of two rows for one of the table's SQL Server takes either, and counts one."""
    known = product()
    insert(shop, known)
    renames = [{"id": known["product_id"], "event_version": 2, "new_name": name} for name in ("Mug", "Pot")]
    with pytest.raises(ValueError, match="has two rows with the same id"):
        UnitOfWork(shop.ordering_engine).write(RENAME_PRODUCT, renames)


def test_rows_of_one_update_go_to_different_rows(shop: Shop) -> None:
    some = [product(), product()]
    insert(shop, *some)
    renames = [{"id": each["product_id"], "event_version": 2, "new_name": f"Pot {n}"} for n, each in enumerate(some)]
    with UnitOfWork(shop.ordering_engine) as work:
        work.write(RENAME_PRODUCT, renames, must_find=True)
        work.commit()
    assert sorted(str(row["name"]) for row in rows(shop.ordering_engine, PRODUCTS)) == ["Pot 0", "Pot 1"]


def test_a_thousand_rows_are_one_write(shop: Shop) -> None:
    insert(shop, *(product(f"Tea {number}") for number in range(1_000)))
    assert len(rows(shop.ordering_engine, PRODUCTS)) == 1_000


def test_what_is_there_already_undoes_all_and_is_told_by_its_write(shop: Shop) -> None:
    known = product()
    insert(shop, known)
    work = UnitOfWork(shop.ordering_engine)
    work.write(INSERT_PRODUCT, [product()])
    work.write(INSERT_PRODUCT, [known], otherwise=OrderAlreadyExists("it is there"))
    with pytest.raises(OrderAlreadyExists):
        work.commit()
    assert [row["product_id"] for row in rows(shop.ordering_engine, PRODUCTS)] == [known["product_id"]]
    assert nothing_is_open(shop)


def test_a_row_that_finds_nothing_undoes_all(shop: Shop) -> None:
    rename = {"id": uuid4(), "event_version": 2, "new_name": "x"}
    work = UnitOfWork(shop.ordering_engine)
    work.write(INSERT_PRODUCT, [product()])
    work.write(RENAME_PRODUCT, [rename], must_find=True)
    with pytest.raises(LostRace):
        work.commit()
    assert rows(shop.ordering_engine, PRODUCTS) == []
    assert nothing_is_open(shop)


def test_what_has_to_be_there_is_looked_for_row_by_row(shop: Shop) -> None:
    known = product()
    insert(shop, known)
    work = UnitOfWork(shop.ordering_engine)
    work.require(FIND_PRODUCT, [{"id": known["product_id"]}, {"id": uuid4()}])
    work.write(INSERT_PRODUCT, [product()])
    with pytest.raises(LostRace):
        work.commit()
    assert len(rows(shop.ordering_engine, PRODUCTS)) == 1


def test_a_key_that_was_used_is_found_with_its_answer(shop: Shop) -> None:
    order = saved(shop.ordering_engine, an_order(pieces(on_offer())))
    submitted = OrderSubmittedV2(order.order_id, order.customer_id, "EUR", order.total, lines=None)
    first = Metadata("key", b"f" * 32)
    for after in (1, 2):
        work = UnitOfWork(shop.ordering_engine, on_conflict=LOG.first_of("key", "anonymous"))
        LOG.append(work, order.order_id, after, [submitted], first)
        if after == 1:
            work.commit()
            continue
        with pytest.raises(LostRace):
            work.commit()
        answer = LOG.first_answer(work.conflicting())
        assert answer is not None
        assert (answer.fingerprint, answer.accepted.version) == (b"f" * 32, 2)
    assert nothing_is_open(shop)


def test_of_sixteen_at_once_each_gets_in(shop: Shop) -> None:
    product_id = shop.product()
    order_id = shop.order(product_id)

    def add(_: int) -> int:
        command = AddItem(order_id=order_id, product_id=product_id, quantity=1)
        return shop.ordering.run(add_item, command, Metadata()).version

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(add, range(16))) == list(range(2, 18))


def test_two_that_loaded_the_same_version_cannot_both_write(shop: Shop) -> None:
    order = saved(shop.ordering_engine, an_order(pieces(on_offer())))
    works = [UnitOfWork(shop.ordering_engine) for _ in range(2)]
    for work in works:
        repository = Orders(work, Metadata())
        loaded = repository.load(order.order_id)
        loaded.submit()
        repository.save(loaded)
    works[0].commit()
    with pytest.raises(LostRace):
        works[1].commit()
    assert UnitOfWork(shop.ordering_engine).read(LOAD, {"id": order.order_id})[0].version == 2


def test_relays_share_the_work(shop: Shop) -> None:
    orders = [saved(shop.ordering_engine, an_order(pieces(on_offer()))) for _ in range(3)]
    now = datetime.now(UTC)
    claimed: list[UUID] = []
    for _ in range(3):
        with shop.ordering_engine.begin() as connection:
            some = LOG.claims.claim(connection, now, datetime(2099, 1, 1, tzinfo=UTC), 1)
        claimed += [envelope.aggregate_id for _, envelope in some]
    assert claimed == [order.order_id for order in orders]


DELETE_PRODUCT = Write(sa.delete(PRODUCTS).where(PRODUCTS.c.product_id == sa.bindparam("id", type_=sa.Uuid)))


def stock(product_id: UUID) -> dict[str, object]:
    level = {"on_hand": 1, "reserved": 1, "waiting": 0}
    return {"stock_id": uuid4(), "product_id": product_id, "version": 1, **level, "changed_at": datetime.now(UTC)}


def line(product_id: UUID) -> dict[str, object]:
    pieces = {"reserved": 1, "waiting": 0, "shipped": 0}
    return {"product_id": product_id, "order_id": uuid4(), "submitted_at": datetime.now(UTC), **pieces}


def names(shop: Shop) -> list[object]:
    return [row["name"] for row in rows(shop.ordering_engine, PRODUCTS)]


def test_a_row_that_goes_and_comes_again_is_there_in_the_end(shop: Shop) -> None:
    known = product("Tea")
    with UnitOfWork(shop.ordering_engine) as work:
        work.write(INSERT_PRODUCT, [known])
        work.write(DELETE_PRODUCT, [{"id": known["product_id"]}], must_find=True)
        work.write(INSERT_PRODUCT, [known | {"name": "Mate"}])
        work.commit()
    assert names(shop) == ["Mate"]


def test_of_two_updates_of_one_row_the_second_is_the_last(shop: Shop) -> None:
    known = product()
    insert(shop, known)
    with UnitOfWork(shop.ordering_engine) as work:
        for version, name in enumerate(("Mug", "Pot"), 2):
            rename = {"id": known["product_id"], "event_version": version, "new_name": name}
            work.write(RENAME_PRODUCT, [rename], must_find=True)
        assert len(work.plan) == 2, "of two in one step SQL Server takes either"
        work.commit()
    assert names(shop) == ["Pot"]


def test_no_write_comes_before_a_check_that_was_asked_for_first(shop: Shop) -> None:
    known = product()
    insert(shop, known)
    work = UnitOfWork(shop.ordering_engine)
    work.write(INSERT_PRODUCT, [product()])
    work.require(FIND_PRODUCT, [{"id": uuid4()}], otherwise=OrderAlreadyExists("the check"))
    work.write(INSERT_PRODUCT, [known])  # it is there: the race would be lost
    with pytest.raises(OrderAlreadyExists):
        work.commit()


@pytest.mark.parametrize("taken", [LostRace, OrderAlreadyExists])
def test_what_belongs_to_a_new_row_is_written_behind_it_whatever_its_being_there_means(
    shop: Shop, taken: type[Exception]
) -> None:
    products = [shop.product(), shop.product()]
    with UnitOfWork(shop.catalog_engine) as work:
        for product_id in products:
            work.write(INSERT_STOCK, [stock(product_id)], otherwise=taken("it is there"))
            work.write(INSERT_LINES, [line(product_id)])
        work.commit()
    assert {row["product_id"] for row in rows(shop.catalog_engine, ORDERED_STOCK)} == set(products)


def test_what_refers_to_a_new_row_is_written_behind_it_though_nothing_says_so(shop: Shop) -> None:
    before, new = shop.product(), shop.product()
    with UnitOfWork(shop.catalog_engine) as work:
        work.write(INSERT_STOCK, [stock(before)])
        work.commit()
    with UnitOfWork(shop.catalog_engine) as work:
        work.write(INSERT_LINES, [line(before)])
        work.write(INSERT_STOCK, [stock(new)])
        work.write(INSERT_LINES, [line(new)])
        work.commit()
    assert {row["product_id"] for row in rows(shop.catalog_engine, ORDERED_STOCK)} == {before, new}


def test_that_a_new_row_is_there_already_is_told_before_a_race_that_what_belongs_to_it_has_lost(shop: Shop) -> None:
    known, other = uuid4(), uuid4()
    event = OrderSubmittedV2(known, uuid4(), "EUR", Decimal("1.50"), lines=None)
    row = product() | {"product_id": known}
    with UnitOfWork(shop.ordering_engine) as work:
        work.write(INSERT_PRODUCT, [row])
        LOG.append(work, known, 0, [event], Metadata())
        work.commit()
    with UnitOfWork(shop.ordering_engine) as work:
        LOG.append(work, other, 0, [event], Metadata())
        work.write(INSERT_PRODUCT, [row], otherwise=OrderAlreadyExists("it is there"))
        LOG.append(work, known, 0, [event], Metadata())
        with pytest.raises(OrderAlreadyExists):
            work.commit()
