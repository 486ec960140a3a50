"""A migration writes addresses for e-mail as the code compares them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic import command

from infra.sql.migrate import alembic_config, migrate
from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.domain.errors import EmailTaken
from shared.customers.repository import owner_of
from shared.customers.tables import CUSTOMERS, EMAILS
from shared.frame.messaging.envelope import Metadata
from tests.support.database import needs_sqlite, unmigrated_database
from tests.support.shop import Shop, rows, shop_at

SHARP, ACUTE, PLAIN, TAKEN, HOLDER, MOVED, ERASED, FIRST, SECOND = (UUID(int=number) for number in range(1, 10))


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Shop]:
    """A shop as the release before migrated it."""
    url = unmigrated_database(tmp_path)
    command.upgrade(alembic_config(url), "0013")
    with shop_at(url) as shop:
        yield shop


def customer(shop: Shop, customer_id: UUID, email: str, *addresses: str, erased: bool = False) -> None:
    """Have a customer, and these addresses as theirs."""
    row: Mapping[str, Any] = {
        "customer_id": customer_id,
        "version": 1,
        "name": "Ada",
        "email": email,
        "changed_at": sa.func.current_timestamp(),
        "newsletter": False,
        "erased": erased,
    }
    with shop.customers_engine.begin() as connection:
        connection.execute(sa.insert(CUSTOMERS).values(row))
        for address in addresses:
            connection.execute(sa.insert(EMAILS).values(address=address, customer_id=customer_id))


def owners(shop: Shop) -> dict[object, object]:
    return {row["address"]: row["customer_id"] for row in rows(shop.customers_engine, EMAILS)}


def test_addresses_are_compared_as_the_code_does(before: Shop) -> None:
    customer(before, SHARP, "Straße@example.org", "straße@example.org")
    customer(before, ACUTE, "RENÉ@example.org", "renÉ@example.org")
    customer(before, PLAIN, "Ada@example.org", "ada@example.org")
    migrate(before.url)
    assert owners(before) == {
        "strasse@example.org": SHARP,
        "rené@example.org": ACUTE,
        "ada@example.org": PLAIN,
    }
    assert owner_of(before.customers_engine, "STRASSE@example.org") == SHARP
    again = RegisterCustomer(customer_id=UUID(int=99), name="Eve", email="STRAßE@example.org")
    with pytest.raises(EmailTaken):
        before.customers.run(register_customer, again, Metadata())


@needs_sqlite("a server takes such addresses for one in the first place")
def test_of_several_customers_with_one_address_one_keeps_it(before: Shop) -> None:
    customer(before, TAKEN, "große@example.org", "große@example.org")
    customer(before, HOLDER, "Grosse@example.org", "grosse@example.org")
    customer(before, FIRST, "weiß@example.org", "weiß@example.org")
    customer(before, SECOND, "WEIẞ@example.org", "weiẞ@example.org")
    migrate(before.url)
    assert owners(before) == {"grosse@example.org": HOLDER, "weiss@example.org": FIRST}


def test_what_a_change_or_an_erasure_left_behind_is_deleted(before: Shop) -> None:
    customer(before, MOVED, "now@example.org", "süß@example.org", "now@example.org")
    customer(before, ERASED, "erased", "heiß@example.org", erased=True)
    migrate(before.url)
    assert owners(before) == {"now@example.org": MOVED}
