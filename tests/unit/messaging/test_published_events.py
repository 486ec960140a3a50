"""Published events stay readable: each class writes and reads what its golden file holds, and has its schema.

A golden file is never changed to make a test pass. An event that has to look different is a new class, `...V2`, with a
golden file of its own; the old class and its file stay as long as a log holds such events.
"""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.catalog import tables as catalog
from shared.customers import tables as customers
from shared.frame.messaging.codec import EventCodec, UnknownEventType
from shared.ordering import tables as ordering
from shared.payments import tables as payments
from tests.support.compatibility import incompatibilities
from tests.support.envelopes import an_envelope

CODECS: dict[str, EventCodec[Any]] = {
    "ordering": ordering.CODEC,
    "catalog": catalog.CODEC,
    "customers": customers.CODEC,
    "payments": payments.CODEC,
}
EVENTS = [(context, kind) for context, codec in CODECS.items() for kind in codec._types.values()]
GOLDEN = Path(__file__).parents[1]

ENVELOPE = an_envelope("", uuid4())

st.register_type_strategy(Decimal, st.decimals(0, 10**15 - 1, places=4))


def golden(context: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / context / "golden" / f"{name}.json").read_text(encoding="utf-8"))
    return content


def schema_of(codec: EventCodec[Any], name: str) -> Any:
    """The JSON schema of what an event is written as, without what only people read."""
    return _without_words(codec._adapters[name].json_schema(by_alias=True, mode="serialization"))


def _without_words(schema: Any) -> Any:
    match schema:
        case dict():
            return {
                key: _without_words(value)
                for key, value in schema.items()
                if not (key in {"title", "description"} and isinstance(value, str))  # a field may be called so
            }
        case list():
            return [_without_words(value) for value in schema]
        case _:
            return schema


def test_every_published_event_has_a_golden_file_and_every_golden_file_an_event() -> None:
    files = {(path.parts[-3], path.stem) for path in GOLDEN.glob("*/golden/*.json")}
    assert files == {(context, kind.__name__) for context, kind in EVENTS}


@pytest.mark.parametrize(("context", "kind"), EVENTS)
def test_an_event_is_read_from_its_golden_payload_and_written_as_it(context: str, kind: type) -> None:
    codec, payload = CODECS[context], golden(context, kind.__name__)["payload"]
    recorded = codec.open(replace(ENVELOPE, type=kind.__name__, payload=json.dumps(payload)))
    if kind.__name__ in codec._upcasts:
        assert type(recorded.event) is not kind
        assert json.loads(codec.encode(recorded.event)).items() > payload.items()
        return
    assert type(recorded.event) is kind
    assert json.loads(codec.encode(recorded.event)) == payload


@pytest.mark.parametrize(("context", "kind"), EVENTS)
def test_no_field_of_a_published_event_has_changed_incompatibly(context: str, kind: type) -> None:
    published = golden(context, kind.__name__)["schema"]
    assert incompatibilities(published, schema_of(CODECS[context], kind.__name__)) == []


def without(schema: Any, *path: str) -> Any:
    """A copy in which one thing is not there."""
    first, *rest = path
    if not rest:
        return {key: value for key, value in schema.items() if key != first}
    return schema | {first: without(schema[first], *rest)}


def test_an_incompatible_change_is_named_by_its_field() -> None:
    published = golden("ordering", "OrderCreatedV1")["schema"]
    properties, line = published["properties"], published["$defs"]["OrderLine"]

    def with_line(changed: Any) -> Any:
        return published | {"$defs": published["$defs"] | {"OrderLine": changed}}

    changes = {
        "customerName is gone": without(published, "properties", "customerName"),
        "total has the type 'number', and had 'string'": published
        | {"properties": properties | {"total": {"type": "number"}}},
        "orderId has the format None, and had 'uuid'": without(published, "properties", "orderId", "format"),
        "total need no longer be there": published
        | {"required": [name for name in published["required"] if name != "total"]},
        "giftWrap must be there, and was not before": published | {"required": [*published["required"], "giftWrap"]},
        "lines[].unitPrice is gone": with_line(without(line, "properties", "unitPrice")),
        "currency is one of 1 kinds of value, and was one of 2": published
        | {"properties": properties | {"currency": {"anyOf": [{"type": "string"}]}}},
    }
    for told, changed in changes.items():
        assert incompatibilities(published, changed) == [told]
    more = published | {"properties": properties | {"giftWrap": {"type": "boolean"}}}
    assert incompatibilities(published, more) == []


@pytest.mark.parametrize(("context", "kind"), EVENTS)
def test_an_event_has_the_schema_that_was_published(context: str, kind: type) -> None:
    assert schema_of(CODECS[context], kind.__name__) == golden(context, kind.__name__)["schema"]


@pytest.mark.parametrize(("context", "kind"), EVENTS)
def test_a_field_that_a_newer_release_added_is_passed_over(context: str, kind: type) -> None:
    codec, payload = CODECS[context], golden(context, kind.__name__)["payload"]
    newer = json.dumps(payload | {"addedLater": {"anything": 1}})
    read = json.loads(codec.encode(codec.open(replace(ENVELOPE, type=kind.__name__, payload=newer)).event))
    assert {name: value for name, value in read.items() if name in payload} == payload
    assert "addedLater" not in read


@pytest.mark.parametrize(("context", "kind"), EVENTS)
def test_whatever_an_event_says_is_read_as_it_was_written(context: str, kind: type) -> None:
    codec = CODECS[context]

    @settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine makes examples slowly
    @given(st.from_type(kind))
    def round_trip(event: Any) -> None:
        payload = codec.encode(event).decode()
        upcast = codec._upcasts.get(kind.__name__, lambda same: same)
        assert codec.open(replace(ENVELOPE, type=kind.__name__, payload=payload)).event == upcast(event)

    round_trip()


def test_amounts_are_written_as_strings_so_that_no_reader_makes_floats_of_them() -> None:
    lines = golden("ordering", "OrderItemsAddedV1")["payload"]["lines"]
    assert [line["unitPrice"] for line in lines] == ["12.50", "1000000000.0001"]


def test_an_event_of_a_newer_release_is_refused_by_name() -> None:
    with pytest.raises(UnknownEventType, match="OrderArchivedV1"):
        ordering.CODEC.open(replace(ENVELOPE, type="OrderArchivedV1", payload="{}"))


def test_a_payload_that_is_no_such_event_is_refused() -> None:
    with pytest.raises(ValueError, match="customerId"):
        ordering.CODEC.open(
            replace(ENVELOPE, type="OrderSubmittedV1", payload=json.dumps({"orderId": str(UUID(int=1))}))
        )
