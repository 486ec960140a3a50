"""How the system says no. Every refusal has a code that is part of the API, and leaves everything as it was."""

from collections.abc import Sequence
from dataclasses import dataclass


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

    code: str = "refused"

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


class ClosedForChanges(Refusal):
    """It has changed as often as one thing may; what ends its life is still done."""

    code = "closed-for-changes"


class StaleVersion(Refusal):
    """The caller acts on a version that is no longer the current one (HTTP 412)."""

    code = "stale-version"


class NotSigned(Refusal):
    """What came is not signed by whom it should be from (HTTP 403)."""

    code = "not-signed"


RETRY_AFTER = 1
"""Seconds after which a caller may try again where nothing better is known."""


class Unavailable(Refusal):
    """It cannot be done now, but may be later (HTTP 503 with Retry-After); it is known to have changed nothing."""

    def __init__(self, code: str, detail: str, retry_after: int = RETRY_AFTER) -> None:
        super().__init__(detail)
        self.code = code
        self.retry_after = retry_after
