"""Fingerprints of commands. They tell whether two requests with one Idempotency-Key are the same command."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import pydantic_core
from pydantic import BaseModel, ValidationError

from shared.frame.platform.callers import Caller
from shared.frame.platform.input import Input


def fingerprint(command: Input, caller: Caller) -> bytes:
    """Give the SHA-256 of the caller and of the command's values.

    The spelling of a value makes no difference (24.90, "24.9", 2.49e1), nor does a field that only repeats its default.
    The caller does: nobody gets another caller's answer by sending that caller's key.
    """
    content = pydantic_core.to_json(_values(command)).decode()
    return _digest(command, caller, content)


def earlier_fingerprints(
    read: Callable[[Mapping[str, Any]], Input], values: Mapping[str, Any], caller: Caller
) -> Collection[bytes]:
    """Give the fingerprints that releases before December 2026 recorded for the same request.

    Those releases hashed values as they were spelled, with numbers read as floats. A retry that arrives after a
    deployment meets such a record. Its body is the same, so the old fingerprint can be made of it. This function can go
    when no key of that time is sent any more.

    Args:
        read: makes the command.
        values: what the request says, by name.
        caller: who sends it.
    """
    try:
        command = read(_with_floats(values))
    except ValidationError:  # not a command that such a release took
        return ()
    return (_digest(command, caller, command.model_dump_json(exclude_unset=True)),)


def _digest(command: Input, caller: Caller, content: str) -> bytes:
    return hashlib.sha256(f"{caller.id} {type(command).__name__} {content}".encode()).digest()


def _values(value: Any) -> Any:
    match value:
        case BaseModel():
            return {
                name: _values(given)
                for name, default, is_made_up in _fields(type(value))
                # without ids that the server made up, and without defaults: a new field must not change an old command
                if (given := getattr(value, name)) != default
                and not (is_made_up and name not in value.model_fields_set)
            }
        case list():
            return [_values(entry) for entry in value]
        case Decimal():
            plain = f"{value:f}"
            return plain.rstrip("0").rstrip(".") if "." in plain else plain
        case _:
            return value


@cache
def _fields(model: type[BaseModel]) -> Sequence[tuple[str, Any, bool]]:
    """Give a model's fields in the order of their names, with their defaults, and whether one is made for each."""
    fields = sorted(model.model_fields.items())
    return [(name, field.default, field.default_factory is not None) for name, field in fields]


def _with_floats(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _with_floats(entry) for name, entry in value.items()}
        case list():
            return [_with_floats(entry) for entry in value]
        case Decimal():
            return Decimal(str(float(value)))
        case _:
            return value
