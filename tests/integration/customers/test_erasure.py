"""An erased customer is in no table, log or read model; what they did goes on: totals, versions, history, rebuilds."""

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from infra.sql.migrate import CONTEXTS, migrate
from shared.customers import tables as customers
from shared.customers.commands import erase_customer
from shared.customers.commands.add_address import AddAddress, add_address
from shared.customers.commands.change_preferences import ChangePreferences, change_preferences
from shared.customers.commands.erase_customer import EraseCustomer, Erasures, WithdrawErasure, withdraw_erasure
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.domain.errors import (
    CustomerAlreadyExists,
    CustomerNotFound,
    ErasureAsked,
    ErasureNotAsked,
    OrdersAreOpen,
)
from shared.customers.figures import OVERDUE
from shared.customers.views.profile import Profiles, ReadProfile
from shared.frame.messaging.envelope import Metadata
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.frame.sql import engines, reading
from shared.frame.write_side.commands import KeyReused
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.held import Held
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.refusals import Invalid
from shared.ordering import tables as ordering
from shared.ordering.commands import erase_orders as erasing
from shared.ordering.commands.cancel_order import CancelOrder, cancel_order
from shared.ordering.commands.create_order import CreateOrder, ShippingAddress, create_order
from shared.ordering.commands.erase_orders import erase_orders
from shared.ordering.figures import UNERASED
from shared.ordering.reference_data import has_open_orders, next_orders_of, streams_of
from shared.ordering.views.order_details import ReadOrder
from shared.ordering.views.order_history import read_order_of_the_past
from tests.support.delivery import Delivery
from tests.support.shop import Shop, rows, shop_at
from tests.support.telemetry import observing

OWN = (
    "Ada Byron-King",
    "ada.king@secret.example",
    "Ockham Park 7",
    "Ockham-under-Secret",
    "GU23 6NQ",
    "Surrey-of-hers",
)
NAME, EMAIL, STREET, CITY, POSTAL_CODE, REGION = OWN
REASONS = ("because her cat sat on it", "a letter of hers of May 3rd")


@pytest.fixture
def erasures(shop: Shop) -> Erasures:
    held = Held("ordering", ordering.LOG, shop.ordering_engine, next_orders_of, streams_of, has_open_orders)
    return Erasures([held], timedelta())


@pytest.fixture
def delivery(
    shop: Shop, orders: ContainerProxy, catalog: ContainerProxy, containers: Callable[[str], ContainerProxy]
) -> Delivery:
    return Delivery(shop, orders, catalog, containers("related"))


def register(shop: Shop, key: str = "key", email: str = EMAIL) -> UUID:
    customer_id = uuid4()
    command = RegisterCustomer(customer_id=customer_id, name=NAME, email=email)
    shop.customers.run(register_customer, command, Metadata(command_id=key, fingerprint=b"f" * 32))
    kept = AddAddress(
        customer_id=customer_id,
        label=NAME,
        street=STREET,
        city=CITY,
        postal_code=POSTAL_CODE,
        region=REGION,
        country="GB",
    )
    shop.customers.run(add_address, kept, Metadata())
    preferred = ChangePreferences(customer_id=customer_id, language="en-GB", currency="GBP", newsletter=True)
    shop.customers.run(change_preferences, preferred, Metadata())
    shop.follow_customer(customer_id)
    return customer_id


def order_at_hers(shop: Shop, customer_id: UUID) -> UUID:
    command = CreateOrder(
        order_id=uuid4(),
        customer_id=customer_id,
        items=[],
        shipping_address=ShippingAddress(
            street=STREET, city=CITY, postal_code=POSTAL_CODE, region=REGION, country="GB"
        ),
    )
    return shop.ordering.run(create_order, command, Metadata(fingerprint=b"f" * 32)).aggregate_id


def cancel(shop: Shop, order_id: UUID) -> None:
    shop.ordering.run(cancel_order, CancelOrder(order_id=order_id, reason=REASONS[0]), Metadata())


def ask(shop: Shop, erasures: Erasures, customer_id: UUID) -> None:
    shop.customers.run(erasures.ask, EraseCustomer(customer_id=customer_id, reason=REASONS[1]), Metadata())


def erase(shop: Shop, erasures: Erasures, customer_id: UUID) -> None:
    ask(shop, erasures, customer_id)
    erasures.keep_all(shop.customers_engine, shop.customers)


def tick(shop: Shop) -> None:
    erase_orders(shop.ordering_engine, shop.ordering)


def everything(shop: Shop) -> str:
    return repr([rows(shop.engines[each.SCHEMA], table) for each in CONTEXTS for table in each.METADATA.sorted_tables])


def left(text: str) -> list[str]:
    return [word for word in (*OWN, *REASONS, "en-GB", repr(b"f" * 32)) if word in text]


async def stored(container: ContainerProxy, customer_id: UUID) -> str:
    return repr([row async for row in container.query_items("SELECT * FROM c", partition_key=str(customer_id))])


async def test_nothing_of_an_erased_customer_is_left_in_any_table_log_or_read_model(
    shop: Shop, orders: ContainerProxy, delivery: Delivery, erasures: Erasures
) -> None:
    customer_id = register(shop)
    order_id = order_at_hers(shop, customer_id)
    cancel(shop, order_id)
    await delivery.all(random.Random(1))
    assert left(everything(shop)) == [*OWN, REASONS[0], "en-GB", repr(b"f" * 32)]
    assert left(await stored(orders, customer_id)) == [NAME, *OWN[2:], REASONS[0]]

    erase(shop, erasures, customer_id)
    await delivery.all(random.Random(2))  # with old deliveries among the new ones
    tick(shop)
    tick(shop)
    await delivery.all(random.Random(3))
    assert left(everything(shop)) == []
    assert left(await stored(orders, customer_id)) == []
    document = await orders.read_item(str(order_id), str(customer_id))
    assert (document["version"], document["status"], document["cancelReason"]) == (3, "Cancelled", "erased")
    source = shop.wired({"orders": orders})["ordering"].read_models["orders"].view.source
    assert await source.differences(orders, str(customer_id)) == []


async def test_the_past_of_an_erased_order_can_be_read_and_its_versions_stay(
    shop: Shop, delivery: Delivery, erasures: Erasures
) -> None:
    customer_id = register(shop)
    order_id = order_at_hers(shop, customer_id)
    cancel(shop, order_id)
    await delivery.all(random.Random(1))
    erase(shop, erasures, customer_id)
    await delivery.all(random.Random(2))
    tick(shop)
    past = ReadOrder(order_id=order_id, customer_id=customer_id, as_of_version=1)
    shown = read_order_of_the_past(shop.ordering_engine, shop.ordering_engine, past)
    assert (shown.version, shown.status, shown.customer_name) == (1, "Created", "erased")
    assert shown.shipping_address.model_dump() == {
        "street": "erased",
        "city": "erased",
        "postal_code": "erased",
        "region": None,
        "country": None,
    }


async def test_a_rebuild_brings_nothing_back(
    shop: Shop, orders: ContainerProxy, delivery: Delivery, erasures: Erasures
) -> None:
    customer_id = register(shop)
    cancel(shop, order_at_hers(shop, customer_id))
    await delivery.all(random.Random(1))
    erase(shop, erasures, customer_id)
    await delivery.all(random.Random(2))
    tick(shop)
    await delivery.all(random.Random(3))
    async for row in orders.query_items("SELECT * FROM c", partition_key=str(customer_id)):
        await orders.delete_item(row["id"], row["customerId"])
    source = shop.wired({"orders": orders})["ordering"].read_models["orders"].view.source
    position = (await source.fill(orders, None)).position
    assert position is not None
    assert "erased" in await stored(orders, customer_id)
    assert left(await stored(orders, customer_id)) == []
    assert await source.differences(orders, str(customer_id)) == []


def test_an_erasure_is_refused_while_an_order_is_open_and_kept_when_it_is_done(shop: Shop, erasures: Erasures) -> None:
    customer_id = register(shop)
    order_id = order_at_hers(shop, customer_id)
    with pytest.raises(OrdersAreOpen):
        ask(shop, erasures, customer_id)
    cancel(shop, order_id)
    ask(shop, erasures, customer_id)
    between = order_at_hers(shop, customer_id)  # before the appointment is kept
    erasures.keep_all(shop.customers_engine, shop.customers)
    assert NAME in everything(shop)
    cancel(shop, between)
    erasures.keep_all(shop.customers_engine, shop.customers)
    assert NAME not in repr(rows(shop.customers_engine, customers.CUSTOMERS))


def test_an_order_that_came_in_between_is_carried_out_and_then_erased(shop: Shop, erasures: Erasures) -> None:
    customer_id = register(shop)
    erase(shop, erasures, customer_id)
    open_order = order_at_hers(shop, customer_id)  # ordering has not heard of it yet
    shop.follow_customer(customer_id)
    tick(shop)
    assert STREET in repr(rows(shop.ordering_engine, ordering.ORDERS))
    with pytest.raises(Invalid):
        order_at_hers(shop, customer_id)
    cancel(shop, open_order)
    tick(shop)
    tick(shop)
    assert left(everything(shop)) == []


@pytest.mark.parametrize("reads", range(1, 7))
def test_an_order_that_is_closed_while_a_tick_looks_at_it_is_erased(
    shop: Shop, erasures: Erasures, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    customer_id = register(shop)
    erase(shop, erasures, customer_id)
    open_order = order_at_hers(shop, customer_id)
    shop.follow_customer(customer_id)
    counted = itertools.count(1)

    def read_from(*arguments: Any) -> Any:
        found = reading.read_from(*arguments)
        if next(counted) == reads:
            cancel(shop, open_order)
        return found

    monkeypatch.setattr(erasing, "read_from", read_from)
    for _ in range(4):
        tick(shop)
    assert left(everything(shop)) == []
    assert [row["erasure"] for row in rows(shop.ordering_engine, ordering.CUSTOMERS)] == [2]


def test_an_order_that_cannot_be_erased_does_not_stop_the_others(
    shop: Shop, erasures: Erasures, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = sorted((register(shop), register(shop, "other", "other@example.org")))
    orders = {each: order_at_hers(shop, each) for each in (first, second)}
    for customer_id, order_id in orders.items():
        cancel(shop, order_id)
        erase(shop, erasures, customer_id)
        shop.follow_customer(customer_id)
    with of_a_newer_release(shop.ordering_engine, ordering.LOG, orders[first]):
        tick(shop)
        tick(shop)
        erased = {row["customer_id"]: row["erasure"] for row in rows(shop.ordering_engine, ordering.CUSTOMERS)}
        assert erased == {first: 1, second: 2}
    assert f"order {orders[first]} was not erased" in caplog.text
    assert left(caplog.text) == []
    tick(shop)
    tick(shop)
    assert left(everything(shop)) == []


def test_a_customer_who_cannot_be_erased_does_not_stop_the_others(
    shop: Shop, erasures: Erasures, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = sorted((register(shop), register(shop, "other", "other@example.org")))
    for customer_id in (first, second):
        ask(shop, erasures, customer_id)
    with of_a_newer_release(shop.customers_engine, customers.LOG, first):
        erasures.keep_all(shop.customers_engine, shop.customers)
        erased = {row["customer_id"]: row["erased"] for row in rows(shop.customers_engine, customers.CUSTOMERS)}
        assert erased == {first: False, second: True}
    assert f"customer {first} was not erased" in caplog.text
    assert left(caplog.text) == []
    erasures.keep_all(shop.customers_engine, shop.customers)
    assert {row["name"] for row in rows(shop.customers_engine, customers.CUSTOMERS)} == {"erased"}


def test_an_erasure_whose_time_has_passed_is_told_of_unless_an_open_order_holds_it_up(shop: Shop) -> None:
    held = Held("ordering", ordering.LOG, shop.ordering_engine, next_orders_of, streams_of, has_open_orders)
    late, now = Erasures([held], -timedelta(hours=2)), Erasures([held], timedelta())

    def overdue() -> float:
        with observing() as observed:
            late.keep_all(shop.customers_engine, shop.customers)
            [point] = observed.points(OVERDUE.name)
        assert point.attributes == {"tandem.context": "customers"}
        return float(point.value)  # type: ignore[union-attr]  # it is a gauge

    assert overdue() == 0
    stuck, due, busy = (register(shop, email, email) for email in ("a@b.example", "c@d.example", "e@f.example"))
    ask(shop, late, stuck)
    ask(shop, now, due)
    ask(shop, late, busy)
    order_at_hers(shop, busy)
    engine, log = shop.customers_engine, customers.LOG
    with of_a_newer_release(engine, log, stuck), of_a_newer_release(engine, log, due):
        assert overdue() == 1
    assert overdue() == 0
    erased = {row["customer_id"]: row["erased"] for row in rows(shop.customers_engine, customers.CUSTOMERS)}
    assert erased == {stuck: True, due: True, busy: False}


@pytest.mark.parametrize("statement", [3.0, 25.0])
def test_those_whom_open_orders_hold_up_do_not_hide_who_is_overdue(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, statement: float
) -> None:
    now = [0.0]

    def takes_long(connection: sa.Connection, customer_id: UUID) -> bool:
        now[0] += statement
        return has_open_orders(connection, customer_id)

    held = Held("ordering", ordering.LOG, shop.ordering_engine, next_orders_of, streams_of, takes_long)
    late = Erasures([held], -timedelta(hours=2))
    *busy, stuck = sorted(register(shop, email, email) for email in ("a@b.example", "c@d.example", "e@f.example"))
    for customer_id in (*busy, stuck):
        ask(shop, late, customer_id)
    for customer_id in busy:
        order_at_hers(shop, customer_id)
    monkeypatch.setattr(erase_customer, "time", mock.Mock(monotonic=lambda: now[0]))
    with of_a_newer_release(shop.customers_engine, customers.LOG, stuck), observing() as observed:
        late.keep_all(shop.customers_engine, shop.customers)
        [point] = observed.points(OVERDUE.name)
    assert point.value == 1  # type: ignore[union-attr]  # it is a gauge


def test_a_context_that_does_not_answer_does_not_keep_the_erased_in_the_file(shop: Shop) -> None:
    erased, unknown = register(shop, "a", "a@b.example"), register(shop, "b", "b@c.example")

    def busy(_connection: sa.Connection, customer_id: UUID) -> bool:
        if asked and customer_id == unknown:
            raise ConnectionError
        return False

    asked = False
    held = Held("ordering", ordering.LOG, shop.ordering_engine, next_orders_of, streams_of, busy)
    late = Erasures([held], -timedelta(hours=2))
    for customer_id in (erased, unknown):
        ask(shop, late, customer_id)
    asked = True
    with mock.patch.object(engines, "compact", wraps=engines.compact) as compact, pytest.raises(ConnectionError):
        late.keep_all(shop.customers_engine, shop.customers)
    compact.assert_called_once()
    assert {row["customer_id"] for row in rows(shop.customers_engine, customers.CUSTOMERS) if row["erased"]} == {erased}


def put_back(shop: Shop, column: sa.Column[datetime], age: timedelta = timedelta(days=99)) -> None:
    with shop.ordering_engine.begin() as connection:
        connection.execute(sa.update(column.table).values({column.name: datetime.now(UTC) - age}))


async def test_a_closed_order_that_is_not_erased_is_told_of_after_an_hour(shop: Shop, erasures: Erasures) -> None:
    [watch] = shop.wired()["ordering"].watches.values()

    async def told(later: timedelta = timedelta()) -> float:
        with observing() as observed, mock.patch("shared.ordering.figures.datetime") as clock:
            clock.now.return_value = datetime.now(UTC) + later
            await watch()
            [point] = observed.points(UNERASED.name)
        return float(point.value)  # type: ignore[union-attr]  # it is a gauge

    stuck, waiting = register(shop), register(shop, "other", "other@example.org")
    order_id = order_at_hers(shop, stuck)
    cancel(shop, order_id)
    for customer_id in (stuck, waiting):
        erase(shop, erasures, customer_id)
    order_at_hers(shop, waiting)  # ordering has not heard of it yet
    assert await told(timedelta(hours=2)) == 0, "nobody has told ordering"
    for customer_id in (stuck, waiting):
        shop.follow_customer(customer_id)
    soon, late = timedelta(minutes=59), timedelta(minutes=61)
    with of_a_newer_release(shop.ordering_engine, ordering.LOG, order_id):
        tick(shop)
        assert (await told(soon), await told(late)) == (0, 1)
        put_back(shop, ordering.ORDERS.c.changed_at)
        assert (await told(soon), await told(late)) == (0, 1), "the erasure has just begun"
        put_back(shop, ordering.CUSTOMERS.c.erasing_since)
        assert await told() == 1
        put_back(shop, ordering.ORDERS.c.changed_at, timedelta())
        assert (await told(soon), await told(late)) == (0, 1), "the order was just closed"
    tick(shop)
    assert await told(late) == 0


def test_an_erasure_can_be_withdrawn_until_its_time_has_come(shop: Shop) -> None:
    customer_id, erasures = register(shop), Erasures([], timedelta(days=3))
    erase(shop, erasures, customer_id)
    with pytest.raises(ErasureAsked):
        ask(shop, erasures, customer_id)
    shop.customers.run(withdraw_erasure, WithdrawErasure(customer_id=customer_id), Metadata())
    with pytest.raises(ErasureNotAsked):
        shop.customers.run(withdraw_erasure, WithdrawErasure(customer_id=customer_id), Metadata())
    assert rows(shop.customers_engine, customers.CUSTOMERS)[0]["name"] == NAME
    ask(shop, erasures, customer_id)
    with mock.patch("shared.customers.commands.erase_customer.datetime") as clock:
        clock.now.return_value = datetime.now(UTC) + timedelta(days=4)
        erasures.keep_all(shop.customers_engine, shop.customers)
    assert rows(shop.customers_engine, customers.CUSTOMERS)[0]["name"] == "erased"


async def test_an_erased_customer_is_not_there_and_their_address_for_mail_is_free(
    shop: Shop, erasures: Erasures
) -> None:
    customer_id = register(shop)
    erase(shop, erasures, customer_id)
    with pytest.raises(CustomerNotFound):
        await Profiles(shop.customers_engine).read_profile(ReadProfile(customer_id=customer_id), NO_WAIT)
    with pytest.raises(CustomerNotFound):
        shop.customers.run(rename_customer, RenameCustomer(customer_id=customer_id, name="Ada"), Metadata())
    command = RegisterCustomer(customer_id=customer_id, name=NAME, email="other@example.org")
    with pytest.raises(CustomerAlreadyExists):
        shop.customers.run(register_customer, command, Metadata())
    again = RegisterCustomer(customer_id=uuid4(), name=NAME, email=EMAIL)
    with pytest.raises(KeyReused):  # what the command said is not known any more, nor a hash of it
        shop.customers.run(register_customer, again, Metadata(command_id="key", fingerprint=b"f" * 32))
    shop.customers.run(register_customer, again, Metadata())


def test_an_erasure_that_ends_anywhere_goes_on_where_it_ended(shop: Shop, erasures: Erasures) -> None:
    customer_id = register(shop)
    made = [order_at_hers(shop, customer_id) for _ in range(7)]
    for order_id in made:
        cancel(shop, order_id)
    erase(shop, erasures, customer_id)
    shop.follow_customer(customer_id)
    for done in range(1, 8):
        with dying_after_a_commit(), pytest.raises(KeyboardInterrupt):
            tick(shop)
        assert [row["erased"] for row in rows(shop.ordering_engine, ordering.ORDERS)].count(True) == done
    tick(shop)
    assert left(everything(shop)) == []
    assert {row["version"] for row in rows(shop.ordering_engine, ordering.ORDERS)} == {3}


def test_nothing_is_left_in_a_file_if_the_process_died_after_the_commit(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    migrate(url)
    with shop_at(url) as shop:
        customer_id, erasures = register(shop), Erasures([], timedelta())
        ask(shop, erasures, customer_id)
        with dying_after_a_commit(), pytest.raises(KeyboardInterrupt):
            erasures.keep_all(shop.customers_engine, shop.customers)
        files = [file for file in tmp_path.iterdir() if file.name.startswith("shop.customers")]
        assert any(NAME.encode() in file.read_bytes() for file in files)
        Erasures([], timedelta()).keep_all(shop.customers_engine, shop.customers)
        assert [word for word in OWN for file in files if word.encode() in file.read_bytes()] == []


def test_a_tick_ends_when_its_time_is_over(shop: Shop, erasures: Erasures, monkeypatch: pytest.MonkeyPatch) -> None:
    customer_id = register(shop)
    cancel(shop, order_at_hers(shop, customer_id))
    erase(shop, erasures, customer_id)
    shop.follow_customer(customer_id)
    monkeypatch.setattr(erasing, "WORKS_FOR", -1.0)
    tick(shop)
    assert STREET in repr(rows(shop.ordering_engine, ordering.ORDERS))
    monkeypatch.undo()
    tick(shop)
    assert STREET not in repr(rows(shop.ordering_engine, ordering.ORDERS))


def dying_after_a_commit() -> AbstractContextManager[object]:
    """Let the process end right behind a commit."""
    real = UnitOfWork.commit

    def commit(work: UnitOfWork) -> None:
        real(work)
        raise KeyboardInterrupt

    return mock.patch.object(UnitOfWork, "commit", commit)


@contextmanager
def of_a_newer_release(engine: sa.Engine, log: EventLog[Any], aggregate_id: UUID) -> Iterator[None]:
    """Let an aggregate's first event be of a type that this release does not know, until the block ends."""
    table = log.table
    first = sa.and_(table.c.aggregate_id == aggregate_id, table.c.aggregate_version == 1)

    def retype(name: str) -> None:
        with engine.begin() as connection:
            connection.execute(sa.update(table).where(first).values(type=name))

    with engine.connect() as connection:
        known = connection.execute(sa.select(table.c.type).where(first)).scalar_one()
    retype("FoundedV1")
    yield
    retype(known)
