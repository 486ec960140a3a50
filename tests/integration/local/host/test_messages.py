"""Application properties as the host writes them for the worker: measured on the real host."""

import json
import uuid
from typing import Any

import pytest
from proton import Described, Message, symbol, timestamp, ulong

from infra.local.host.messages import trigger_input

TIMESPAN, OFFSET = symbol("com.microsoft:timespan"), symbol("com.microsoft:datetime-offset")


def written(value: Any) -> Any:
    message = Message(body=b"", properties={"it": value})
    _, metadata = trigger_input(message, uuid.UUID(int=1), binary=True)
    kind, properties = metadata["ApplicationProperties"]
    assert (kind, properties) == metadata["UserProperties"]
    assert kind == "json"
    return json.loads(properties)["it"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timestamp(1_769_817_600_000), "2026-01-31T00:00:00Z"),
        (timestamp(1_769_817_600_120), "2026-01-31T00:00:00.12Z"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (b"\xff", "/w=="),
        (2**53 + 1, 2**53 + 1),
        (ulong(7), 7),
        (1.5, 1.5),
        (True, True),
        (None, None),
        (Described(TIMESPAN, 900_000_000), "00:01:30"),
        (Described(TIMESPAN, -(26 * 3600 * 10_000_000 + 5)), "-1.02:00:00.0000005"),
        (Described(OFFSET, 639_054_144_000_000_000), "2026-01-31T00:00:00+00:00"),
        (Described(symbol("com.microsoft:uri"), "http://x/"), "http://x/"),
    ],
)
def test_a_property_is_written_as_the_real_host_writes_it(value: Any, text: Any) -> None:
    assert written(value) == text
