"""Personal fields are marked where they are declared; a field that looks like one and is not marked is found here."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from shared.frame.platform.input import Input
from shared.kernel.personal import PERSONAL, Personal, personal_fields, text_fields
from tests.support.app import app_globals
from tests.unit.messaging.test_published_events import EVENTS

NOT_PERSONAL = {
    "currency": "a code of ISO 4217",
    "token": "the payment provider's, which stands for a card once",
    "product_name": "of the catalogue",
    "category": "of the catalogue",
    "description": "of a product",
    "subscription": "of Service Bus",
    "messages": "ids of messages",
    "view": "a read model's name",
    "why": "an operator's, kept for good so that there is an account of it",
    "ProductAddedV1.name": "of a product",
    "ProductRenamedV1.name": "of a product",
    "AddProduct.name": "of a product",
    "RenameProduct.name": "of a product",
    "reference": "of a delivery, or of a payment at its provider",
    "StockRecountedV1.reason": "a clerk's, about pieces of a product",
    "RecountStock.reason": "as above",
    "ReplayDeadLetters.reason": "Service Bus's own",
}
"""Text that says nothing of a person: the field's name, or class and field, and why."""


def _models(base: type[BaseModel]) -> list[type[BaseModel]]:
    return [found for model in base.__subclasses__() for found in (model, *_models(model))]


def _classes() -> list[type]:
    app_globals()
    inputs = [model for model in _models(Input) if model.__module__.startswith("shared.")]
    return [kind for _, kind in EVENTS] + list(inputs)


def _unmarked(kind: type) -> list[str]:
    return [
        f"{kind.__name__}.{'.'.join(path)}"
        for path, marked, _ in text_fields(kind)
        if not marked and path[-1] not in NOT_PERSONAL and f"{kind.__name__}.{path[-1]}" not in NOT_PERSONAL
    ]


def test_all_text_of_events_and_inputs_is_marked_as_personal_or_known_not_to_be() -> None:
    classes = _classes()
    assert len(classes) > 20
    found = [name for kind in classes for name in _unmarked(kind)]
    assert found == [], "mark it Annotated[..., PERSONAL] (shared/kernel/personal.py), or name it in NOT_PERSONAL"


def test_what_is_known_not_to_be_personal_is_there() -> None:
    there = {
        name
        for kind in _classes()
        for path, *_ in text_fields(kind)
        for name in (path[-1], f"{kind.__name__}.{path[-1]}")
    }
    assert NOT_PERSONAL.keys() <= there


def test_a_new_field_without_a_mark_is_found() -> None:
    class Nested(Input):
        phone: str | None = None

    class Fresh(Input):
        name: Annotated[str, PERSONAL]
        contacts: list[Nested]

    assert _unmarked(Fresh) == ["Fresh.contacts.phone"]
    assert personal_fields(Fresh) == {("name",)}


@pytest.mark.parametrize(
    "hint", [Personal, Personal | None, list[Personal], Annotated[Personal | None, "more"]], ids=str
)
def test_a_mark_is_seen_wherever_it_stands_in_a_type(hint: Any) -> None:
    class Fresh(BaseModel):
        own: hint

    assert personal_fields(Fresh) == {("own",)}


def test_the_personal_fields_of_the_events_are_these() -> None:
    told = {kind.__name__: {".".join(path) for path in personal_fields(kind)} for _, kind in EVENTS}
    address = {f"shipping_address.{part}" for part in ("street", "city", "postal_code", "region", "country")}
    assert told["OrderCreatedV1"] == address | {"customer_name"}
    assert told["OrderCancelledV1"] == {"reason"}
    assert told["CustomerRegisteredV1"] == {"name", "email"}
    assert told["ProductAddedV1"] == set()
