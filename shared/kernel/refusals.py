"""Refusals. Each has a code that is part of the API, and a refused command has changed nothing."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputError:
    """One thing that is wrong with an input.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the value within `location`.
        detail: the rule that it breaks, for people.
        location: the part of the request with the value: body, path, query or header.
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
    """The thing that the caller names does not exist (HTTP 404)."""

    code = "not-found"


class Invalid(Refusal):
    """The input has values that are wrong in any state (HTTP 422); `errors` names all of them."""

    code = "invalid"


class ClosedForChanges(Refusal):
    """The aggregate has reached the limit of changes; only commands that end its life are still accepted."""

    code = "closed-for-changes"


class StaleVersion(Refusal):
    """The version that the caller expects is no longer the current one (HTTP 412)."""

    code = "stale-version"


class NotSigned(Refusal):
    """A message's signature is not that of its alleged sender (HTTP 403)."""

    code = "not-signed"


RETRY_AFTER = 1
"""Seconds after which a caller may try again, if no better time is known."""


class Unavailable(Refusal):
    """The request cannot be carried out now, but may be later (HTTP 503 with Retry-After); it has changed nothing."""

    def __init__(self, code: str, detail: str, retry_after: int = RETRY_AFTER) -> None:
        super().__init__(detail)
        self.code = code
        self.retry_after = retry_after


class TooSoon(Unavailable):
    """The caller alone is why: their share is used up, or they ask for what was never written (HTTP 503).

    Others notice nothing, and so it is no failure that an operator should hear of. What may as well be a store that is
    slow, a projection that is late, or other callers, is `Unavailable`.
    """
