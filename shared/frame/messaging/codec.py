"""Events as JSON, by the names of their published classes."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple, get_type_hints

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError, with_config
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from shared.frame.messaging.envelope import Envelope, Recorded
from shared.frame.messaging.retries import OfAnotherRelease
from shared.kernel.personal import fields_of

TOLD = 10
"""Wrong fields of a payload that an error names."""

_PAYLOAD = TypeAdapter[dict[str, JsonValue]](
    dict[str, JsonValue], config=ConfigDict(defer_build=True, hide_input_in_errors=True)
)


class UnknownEventType(OfAnotherRelease):
    """A stored or received event has a type that this code does not know: it was written by a newer release."""


class UnfitPayload(ValueError):
    """A payload does not fit its type. The error names the wrong fields, and repeats none of their values."""

    def __init__(self, type_: str, error: ValidationError) -> None:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong[:TOLD]]
        super().__init__(f"{len(wrong)} fields of {type_} are wrong: {'; '.join(told)}")


class _Marked(NamedTuple):
    """Where a marked field is in a payload, and whether null may stand there."""

    path: Sequence[str]
    nullable: bool


class EventCodec[Event]:
    """Writes and reads the published events of one context.

    A type's name in the log and on the wire is its class name, version included: `OrderCreatedV1`.
    """

    def __init__(
        self, types: Iterable[type[Event]], upcasts: Mapping[type[Any], Callable[[Any], Event]] | None = None
    ) -> None:
        """Prepare.

        Args:
            types: the events that are written today.
            upcasts: by an earlier type, the function that makes an event of today of it. Its annotation says which.

        Raises:
            TypeError: an upcast does not say which event it makes.
        """
        self.read_as = {kind.__name__: _made_by(upcast) for kind, upcast in (upcasts or {}).items()}
        """The type of today that each earlier type is read as."""
        self._upcasts = {kind.__name__: upcast for kind, upcast in (upcasts or {}).items()}
        self._types: dict[str, type[Any]] = {kind.__name__: kind for kind in (*types, *(upcasts or ()))}

    @cached_property
    def _adapters(self) -> dict[str, TypeAdapter[Any]]:
        return {
            name: TypeAdapter(with_config(ConfigDict(alias_generator=to_camel, extra="ignore"))(kind))
            for name, kind in self._types.items()
        }

    @cached_property
    def _marked(self) -> Mapping[str, Sequence[_Marked]]:
        return {
            name: [_Marked([*map(to_camel, field.path)], field.nullable) for field in fields_of(kind) if field.marked]
            for name, kind in self._types.items()
        }

    @property
    def names(self) -> Iterable[str]:
        """The types that it knows."""
        return self._types.keys()

    @property
    def written(self) -> Iterable[str]:
        """The types that are written today."""
        return (name for name in self._types if name not in self._upcasts)

    def schemas(self, ref_template: str, generator: type[GenerateJsonSchema]) -> dict[str, Any]:
        """Describe in JSON schema what events are written as: each type by its name, and what these refer to.

        Args:
            ref_template: how one refers to another, with `{model}` in the place of its name.
            generator: writes the schemas.
        """
        adapters: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
            (name, "serialization", adapter) for name, adapter in self._adapters.items()
        ]
        _, described = TypeAdapter.json_schemas(adapters, ref_template=ref_template, schema_generator=generator)
        schemas: dict[str, Any] = described["$defs"]
        return schemas

    def encode(self, event: Event) -> bytes:
        """Write an event's payload as UTF-8 JSON, amounts as strings."""
        return self._adapters[type(event).__name__].dump_json(event, by_alias=True)

    def has_personal_fields(self, type_: str) -> bool:
        """Whether events of a type have fields that are marked as personal."""
        return bool(self._marked.get(type_))

    def without_personal(self, envelope: Envelope, word: str) -> Envelope:
        """Replace an event's personal fields by null, or by a word where the type does not allow null.

        Raises:
            UnknownEventType: the type is unknown, and so are its personal fields.
        """
        if envelope.type not in self._marked:
            raise UnknownEventType(envelope.type)
        marked = self._marked[envelope.type]
        if not marked:
            return envelope
        data = json.loads(envelope.payload)
        for path, nullable in marked:
            _replace(data, path, None if nullable else word)
        return replace(envelope, payload=json.dumps(data, ensure_ascii=False, separators=(",", ":")))

    def open(self, envelope: Envelope) -> Recorded[Event]:
        """Read the event in an envelope.

        Raises:
            UnknownEventType: its type is not one of this context's.
            UnfitPayload: its payload is not what the type says.
        """
        if envelope.type not in self._adapters:
            raise UnknownEventType(envelope.type)
        try:
            event = self._adapters[envelope.type].validate_json(envelope.payload)
        except ValidationError as error:
            # pydantic's own text repeats the input, and would bring names and addresses into logs
            raise UnfitPayload(envelope.type, error) from None
        upcast = self._upcasts.get(envelope.type)
        return Recorded(envelope, event if upcast is None else upcast(event))


def payload_of(envelope: Envelope) -> dict[str, JsonValue]:
    """Read an event's fields as they are stored, of any type."""
    return _PAYLOAD.validate_json(envelope.payload)


def _made_by(upcast: Callable[[Any], Any]) -> str:
    made = get_type_hints(upcast).get("return")
    if not isinstance(made, type):
        raise TypeError(f"The upcast {upcast.__qualname__} does not say by its annotation which event it makes.")
    return made.__name__


def _replace(data: Any, path: Sequence[str], word: str | None) -> None:
    """Replace the values at a path, in each entry of a list; a missing value or null stays as it is."""
    if isinstance(data, list):
        for each in data:
            _replace(each, path, word)
        return
    name, *inner = path
    if data is None or data.get(name) is None:
        return
    if inner:
        _replace(data[name], inner, word)
    else:
        data[name] = word
