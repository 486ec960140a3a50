"""Change a customer's preferences."""

from typing import Annotated

from pydantic import AfterValidator, Field

from shared.customers.domain.customer import Preferences
from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Currency, Id, Input
from shared.kernel.personal import PERSONAL
from shared.story import CUSTOMER_ID

LANGUAGE = "^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([0-9A-Za-z]{5,8}|[0-9][0-9A-Za-z]{3})){0,2}$"
"""A tag of BCP 47 that is well formed: language, script, region, variants; without extensions and private use."""


def _canonical(tag: str) -> str:
    """Write a tag as RFC 5646 recommends: script in title case, region in upper case, the rest in lower case."""
    first, *more = tag.lower().split("-")
    return "-".join([first, *map(_cased, more)])


def _cased(part: str) -> str:
    if part.isalpha() and len(part) == len("Latn"):
        return part.title()
    return part.upper() if len(part) == len("GB") else part


class ChangePreferences(
    Input, json_schema_extra=example(customerId=CUSTOMER_ID, language="en-GB", currency="GBP", newsletter=False)
):
    """Replace a customer's preferences, all of them."""

    customer_id: Id
    language: Annotated[str, Field(pattern=LANGUAGE, max_length=35), AfterValidator(_canonical), PERSONAL] | None = (
        Field(default=None, description="a language tag of BCP 47", examples=["en-GB"])
    )
    currency: Currency | None = None
    newsletter: bool = False


def change_preferences(command: ChangePreferences, customers: Customers) -> Accepted:
    """Replace them."""
    customer = customers.load(command.customer_id)
    customer.prefer(Preferences(command.language, command.currency, command.newsletter))
    return customers.save(customer)
