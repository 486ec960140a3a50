"""Events as JSON, by the names of their published classes."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pydantic import ConfigDict, TypeAdapter, with_config
from pydantic.alias_generators import to_camel

from shared.messaging.envelope import Envelope, Recorded


class UnknownEventType(Exception):
    """A stored or received event has a type that this code does not know: it was written by a newer release."""


class EventCodec[Event]:
    """Writes and reads the published events of one context.

    A type's name in the log and on the wire is its class name, version included: `OrderCreatedV1`.
    """

    def __init__(self, types: Iterable[type[Event]]) -> None:
        self._types = {kind.__name__: kind for kind in types}

    @cached_property
    def _adapters(self) -> dict[str, TypeAdapter[Any]]:
        return {
            name: TypeAdapter(with_config(ConfigDict(alias_generator=to_camel, extra="ignore"))(kind))
            for name, kind in self._types.items()
        }

    def encode(self, event: Event) -> bytes:
        """Write an event's payload as UTF-8 JSON, amounts as strings."""
        return self._adapters[type(event).__name__].dump_json(event, by_alias=True)

    def open(self, envelope: Envelope) -> Recorded[Event]:
        """Read the event in an envelope.

        Raises:
            UnknownEventType: its type is not one of this context's.
        """
        if envelope.type not in self._adapters:
            raise UnknownEventType(envelope.type)
        return Recorded(envelope, self._adapters[envelope.type].validate_json(envelope.payload))
