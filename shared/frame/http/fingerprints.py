"""What tells commands apart that come under one Idempotency-Key: who sends them, and what they mean."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

import pydantic_core
from pydantic import BaseModel, ValidationError

from shared.frame.platform.callers import Caller
from shared.frame.platform.input import Input


def fingerprint(command: Input, caller: Caller) -> bytes:
    """Give the SHA-256 of the caller and of the command's values.

    However a value is written (24.90, "24.9", 2.49e1), it is the same command, and so it is with a field that says what
    it would be without. Another caller's is not: nobody gets an answer that was somebody else's by using their key.
    """
    content = pydantic_core.to_json(_values(command)).decode()
    return _digest(command, caller, content)


def earlier_fingerprints(
    read: Callable[[Mapping[str, Any]], Input], values: Mapping[str, Any], caller: Caller
) -> Collection[bytes]:
    """Give what releases before December 2026 recorded for the same request.

    They wrote down how values were spelled, with numbers as the floats that they had read. A retry that crosses a
    deployment finds such a record; it has the identical body, so the body tells what was recorded. This can go when no
    key from before is sent any more.

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
                name: _values(getattr(value, name))
                for name, field in sorted(type(value).model_fields.items())
                # what the server made up is none of the caller's; a field that is added later changes no old command
                if not (name not in value.model_fields_set and field.default_factory is not None)
                and getattr(value, name) != field.default
            }
        case list():
            return [_values(entry) for entry in value]
        case Decimal():
            plain = f"{value:f}"
            return plain.rstrip("0").rstrip(".") if "." in plain else plain
        case _:
            return value


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
