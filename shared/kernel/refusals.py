"""How the system says no. Every refusal has a code that is part of the API, and leaves everything as it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class InputError:
    """One thing that is wrong with an input.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the value within `location`.
        detail: the rule that it breaks, for people.
        location: where the value stood: body, path, query or header.
    """

    pointer: str
    detail: str
    location: str = "body"


class Refusal(Exception):
    """A business rule forbids the command in the present state (HTTP 409)."""

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str, errors: Sequence[InputError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)


class NotFound(Refusal):
    """What the caller names does not exist (HTTP 404)."""

    code = "not-found"


class Invalid(Refusal):
    """Values that no state would make acceptable (HTTP 422); `errors` names all of them."""

    code = "invalid"


class StaleVersion(Refusal):
    """The caller acts on a version that is no longer the current one (HTTP 412)."""

    code = "stale-version"
