"""Envelopes as CloudEvents: what is sent is what is read."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.wire import from_body, to_body

ENVELOPE = Envelope(
    event_id=UUID("0b9a4c1e-6f0d-4c52-9d3b-2f8c7a1e5d60"),
    aggregate_id=UUID("3c1f7e52-8a94-4b6f-b0de-91a2c4d6e8f7"),
    version=7,
    type="OrderSubmittedV1",
    payload='{"orderId":"1","total":"12.50"}',
    occurred_at=datetime(2026, 11, 22, 5, 20, 27, 12345, tzinfo=UTC),
    command_id="key-1",
    correlation_id="conversation-1",
    causation_id="cause-1",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    actor="somebody",
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
envelopes = st.builds(
    Envelope,
    version=st.integers(1, 2**53),
    payload=st.dictionaries(st.text(), json_values, max_size=4).map(json.dumps),
    occurred_at=st.datetimes(timezones=st.just(UTC)),
)


@given(envelopes)
def test_an_envelope_is_read_as_it_was_sent(envelope: Envelope) -> None:
    received = from_body(to_body(envelope, "ordering"))
    assert json.loads(received.payload) == json.loads(envelope.payload)
    assert replace(received, payload=envelope.payload) == envelope


def test_the_body_is_a_cloud_event_with_the_payload_as_json_in_it() -> None:
    assert json.loads(to_body(ENVELOPE, "ordering")) == {
        "specversion": "1.0",
        "id": str(ENVELOPE.event_id),
        "source": "/ordering",
        "type": "OrderSubmittedV1",
        "subject": str(ENVELOPE.aggregate_id),
        "time": "2026-11-22T05:20:27.012345+00:00",
        "datacontenttype": "application/json",
        "aggregateversion": 7,
        "commandid": "key-1",
        "correlationid": "conversation-1",
        "causationid": "cause-1",
        "actor": "somebody",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"orderId": "1", "total": "12.50"},
    }


def test_without_a_trace_there_is_no_attribute_for_it() -> None:
    # CloudEvents knows no null attributes
    body = to_body(replace(ENVELOPE, traceparent=None), "ordering")
    assert "traceparent" not in json.loads(body)
    assert from_body(body).traceparent is None


def test_attribute_names_are_lower_case_letters_and_digits_as_the_specification_asks() -> None:
    names = json.loads(to_body(ENVELOPE, "ordering")).keys()
    assert all(name.isascii() and name.isalnum() and name == name.lower() for name in names)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"\xff",
        b"[]",
        b"7",
        b"{}",
        b'{"id": 5}',
        to_body(ENVELOPE, "x").replace(b'"data"', b'"date"'),
        to_body(ENVELOPE, "x").replace(b'"aggregateversion": ', b'"aggregateversion": 0.'),
    ],
)
def test_what_is_no_event_of_this_system_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_body(body)
