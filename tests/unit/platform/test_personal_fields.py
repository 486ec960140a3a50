"""Personal fields are marked where they are declared; a field that looks like one and is not marked is found here."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel

from shared.frame.messaging.codec import EventCodec
from shared.frame.platform.input import Input
from shared.kernel.personal import PERSONAL, Field, Personal, fields_of, personal_fields
from tests.support.app import app_globals
from tests.unit.messaging.test_published_events import EVENTS

HARMLESS = (bool, int, Decimal, UUID, datetime, AwareDatetime, Enum, Literal)
"""Types whose values say nothing of a person, unless the field's name does: `datetime` is when something happened."""

TELLING = re.compile(
    r"(^|_)(age|birth(day|date)?|born|email|fax|gender|ip|iban|mail|mobile|phone|sex|ssn|tax|tel)(_|$)"
)
"""Names of fields that are personal data of whatever type."""

NOT_PERSONAL = {
    "a code of ISO 4217": """
        AddProduct.currency AuthorisationAskedV1.currency ChangePreferences.currency
        CustomerPreferencesChangedV1.currency
        OrderCancelledV1.currency OrderCompletedV1.currency OrderConfirmedV1.currency OrderCreatedV1.currency
        OrderItemRemovedV1.currency OrderItemsAddedV1.currency OrderPaymentChangedV1.currency OrderSubmittedV1.currency
        OrderSubmittedV2.currency PaymentAuthorisedV1.currency PaymentCapturedV1.currency
        PaymentRefundRequestedV1.currency PaymentRefundedV1.currency PaymentRequestedV1.currency
        ProductAddedV1.currency ProductPriceChangedV1.currency RefundAskedV1.currency""",
    "the payment provider's, which stands for a card once": """
        AuthorisationAskedV1.token PayAgain.token Payment.token PaymentRequestedV1.token""",
    "of a product": """
        AddProduct.category AddProduct.description AddProduct.name OrderLine.product_name ProductAddedV1.category
        ProductAddedV1.description ProductAddedV1.name ProductRenamedV1.name RenameProduct.name""",
    "of a delivery, or of a payment at its provider": """
        PaymentOpenedV1.reference ReceiveStock.reference StockReceivedV1.reference""",
    "a clerk's, about pieces of a product": "RecountStock.reason StockRecountedV1.reason",
    "of Service Bus": """
        DiscardDeadLetters.messages DiscardDeadLetters.subscription ReplayDeadLetters.messages
        ReplayDeadLetters.reason ReplayDeadLetters.subscription""",
    "an operator's, kept for good so that there is an account of it": "DiscardDeadLetters.why",
    "a read model's name": """
        CancelRebuild.view CheckView.view HealView.view RebuildView.view RetireGeneration.view RollBackView.view""",
}
"""Fields that say nothing of a person, by why: the class that declares the field, and its name."""

NOT_ERASED: dict[str, str] = {}
"""Contexts whose events say something of a person and are kept nevertheless: why, and for how long."""

KNOWN = {name for names in NOT_PERSONAL.values() for name in names.split()}


def _models(base: type[BaseModel]) -> list[type[BaseModel]]:
    return [found for model in base.__subclasses__() for found in (model, *_models(model))]


def _classes() -> list[type]:
    app_globals()
    inputs = [model for model in _models(Input) if model.__module__.startswith("shared.")]
    return [kind for _, kind in EVENTS] + list(inputs)


def _name(field: Field) -> str:
    assert field.owner is not None
    return f"{field.owner.__name__}.{field.path[-1]}"


def _is_harmless(field: Field) -> bool:
    kinds = [each for each in HARMLESS if isinstance(each, type)]
    harmless = field.kind in HARMLESS or (isinstance(field.kind, type) and issubclass(field.kind, tuple(kinds)))
    return harmless and not TELLING.search(field.path[-1])


def _unmarked(kind: type) -> list[str]:
    return [
        f"{kind.__name__}.{'.'.join(field.path)}"
        for field in fields_of(kind)
        if not field.marked and not _is_harmless(field) and _name(field) not in KNOWN
    ]


def test_all_fields_of_events_and_inputs_are_marked_as_personal_or_known_not_to_be() -> None:
    classes = _classes()
    assert len(classes) > 20
    found = [name for kind in classes for name in _unmarked(kind)]
    assert found == [], "mark it Annotated[..., PERSONAL] (shared/kernel/personal.py), or name it in NOT_PERSONAL"


def _forgotten(codecs: Mapping[str, EventCodec[Any]], held: Collection[str]) -> Sequence[str]:
    """Name the contexts that say something of a person, and export nothing of it, or have no event of an erasure."""

    def erases(codec: EventCodec[Any]) -> bool:
        return any(re.search(r"ErasedV\d+$", name) for name in codec.written)

    says_something = [name for name, codec in codecs.items() if any(map(codec.has_personal_fields, codec.names))]
    return [name for name in says_something if name not in held or not erases(codecs[name])]


def test_what_a_context_says_of_a_person_is_exported_and_erased_or_there_is_a_reason_why_not() -> None:
    contexts = app_globals()["contexts"]
    codecs = {each.name: each.log.codec for each in contexts}
    held = {each.context for context in contexts for each in context.app.owner_data}
    told = "Declare `holds` and follow the erasure, or say in NOT_ERASED why not (docs/extending.md, Personal data)"
    assert set(_forgotten(codecs, held)) == NOT_ERASED.keys(), told


def test_a_context_that_exports_or_erases_nothing_of_what_it_says_of_a_person_is_found() -> None:
    @dataclass
    class ParcelSentV1:
        to: Personal

    @dataclass
    class ParcelErasedV1:
        parcel_id: UUID

    codecs = {
        "silent": EventCodec[Any]([ParcelErasedV1]),
        "forgetful": EventCodec[Any]([ParcelSentV1, ParcelErasedV1]),
        "lasting": EventCodec[Any]([ParcelSentV1]),
        "careful": EventCodec[Any]([ParcelSentV1, ParcelErasedV1]),
    }
    assert _forgotten(codecs, {"lasting", "careful"}) == ["forgetful", "lasting"]


def test_what_is_known_not_to_be_personal_is_there() -> None:
    assert {_name(field) for kind in _classes() for field in fields_of(kind)} >= KNOWN


def test_a_new_field_without_a_mark_is_found() -> None:
    class Nested(Input):
        phone: str | None = None

    class Fresh(Input):
        name: Annotated[str, PERSONAL]
        contacts: list[Nested]

    assert _unmarked(Fresh) == ["Fresh.contacts.phone"]
    assert personal_fields(Fresh) == {("name",)}


@dataclass
class Anybody:
    """Fields that say something of a person, and three that do not."""

    currency: str
    token: str
    born_on: date
    birth_year: int
    mobile_phone: int
    ip: IPv4Address
    portrait: bytes
    anything: Any
    more: dict[str, object]
    ship: int
    happened_at: datetime
    answer: Literal["yes", "no"]


def test_a_field_is_found_by_its_type_or_name_whatever_other_classes_call_theirs() -> None:
    found = [name.partition(".")[2] for name in _unmarked(Anybody)]
    assert list(dict.fromkeys(found)) == [field.name for field in fields(Anybody)][:9]


@pytest.mark.parametrize(
    "hint",
    [
        Personal,
        Personal | None,
        list[Personal],
        Annotated[Personal | None, "more"],
        Annotated[Literal["yes"], PERSONAL],
    ],
    ids=str,
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
