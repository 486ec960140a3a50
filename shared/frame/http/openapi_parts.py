"""Parts of the API's description that all operations share: the introduction, headers, errors."""

from http import HTTPStatus
from typing import Any, NamedTuple

from shared.frame.http.etags import CONDITION
from shared.frame.http.requests import DEFAULT_WAIT, KEY, MAX_BODY, MAX_WAIT
from shared.frame.platform.callers import Owners
from shared.kernel.aggregate import MAX_CHANGES

VERSION = "1.0.0"


class About(NamedTuple):
    """What the app says of itself.

    Attributes:
        summary: what it is for; a sentence.
        owners: callers who act for themselves.
    """

    title: str
    summary: str
    owners: Owners | None


def info(about: About) -> dict[str, Any]:
    """Introduce the app."""
    return {
        "title": about.title,
        "version": VERSION,
        "summary": about.summary,
        "description": f"""\
**Commands** change something and answer with the new version in `ETag`. Send an `Idempotency-Key`, and a retry gets the
first answer again; send `If-Match`, and a command acts on that version or on none. Ids may be chosen by the caller.

**Queries** read what the events have been projected to, a moment later. To read your own write, give the version that
the command answered as `minVersion` (or `after=<id>:<version>` for lists and summaries): the query waits for it,
for {DEFAULT_WAIT} seconds or as long as `Prefer: wait=<seconds>` says. `If-None-Match` saves what has not changed.

**Callers** send `Authorization: Bearer <token>`; each operation says which app role it needs. {_own(about.owners)}

**Errors** are problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)); invalid input is named at once in
`errors`. Quote the correlation id when asking for help.
""",
        "license": {"name": "MIT", "identifier": "MIT"},
    }


def _own(owners: Owners | None) -> str:
    if owners is None:
        return ""
    return f"""A caller with the role
`{owners.role}` acts for themselves, by the id that is the token's `oid`, and may do what is said to be for
{owners.who}, with what is theirs. Everything else does not exist for them."""


SUCCESSES = {
    HTTPStatus.OK: "The answer.",
    HTTPStatus.CREATED: "It is made.",
    HTTPStatus.NO_CONTENT: "It is done.",
}


class Error(NamedTuple):
    """What an error status means here, and one of the problems that have it."""

    description: str
    code: str


ERRORS = {
    HTTPStatus.BAD_REQUEST: Error("The body is no JSON.", "malformed-json"),
    HTTPStatus.UNAUTHORIZED: Error(
        "There is no valid token. In Azure the platform may say so itself, without a body.", "unauthenticated"
    ),
    HTTPStatus.FORBIDDEN: Error("The caller does not have the role that this needs, or the signature.", "forbidden"),
    HTTPStatus.NOT_FOUND: Error("What is named does not exist, or not for this caller.", "not-found"),
    HTTPStatus.CONFLICT: Error(
        "The rules forbid it in the present state; `type` says which rule. `closed-for-changes`: one thing takes "
        f"{MAX_CHANGES:,} changes; what ends its life is taken beyond them.",
        "closed-for-changes",
    ),
    HTTPStatus.LENGTH_REQUIRED: Error("The body came in chunks, without a Content-Length.", "length-required"),
    HTTPStatus.PRECONDITION_FAILED: Error("It is no longer at the version in If-Match.", "stale-version"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Error(f"The body has more than {MAX_BODY} bytes.", "body-too-large"),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: Error("The body is not application/json.", "media-type"),
    HTTPStatus.UNPROCESSABLE_ENTITY: Error("Values break rules; `errors` names all of them.", "invalid"),
    HTTPStatus.TOO_MANY_REQUESTS: Error("Too many requests wait already. The platform says so, without a body.", ""),
    HTTPStatus.INTERNAL_SERVER_ERROR: Error("Something went wrong on our side.", "internal-error"),
    HTTPStatus.SERVICE_UNAVAILABLE: Error(
        "It cannot be answered now, but may be later: a store or a read model is behind.", "read-model-behind"
    ),
}

OF_COMMANDS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.CONFLICT,
    HTTPStatus.LENGTH_REQUIRED,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}
"""Errors that no query has."""


OF_HOOKS = {HTTPStatus.FORBIDDEN, HTTPStatus.LENGTH_REQUIRED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
"""Errors of an open route that another system calls."""

OF_CALLERS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
"""Errors that no open route has."""

SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of Entra ID for this API; on a laptop what `python3 dev.py token` prints.",
    }
}


def _request_header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


REQUEST_HEADERS = {
    header["name"]: header
    for header in (
        _request_header(
            "Idempotency-Key",
            "Names this command: sent again with the same content, it is not carried out again, but answered as the "
            "first time.",
            pattern=KEY,
        ),
        _request_header(
            "If-Match",
            "ETags of the versions to act on, of which the command acts on none but these; `*` is any version, but not "
            "something new. Of a document's ETag the version counts, the first number.",
            pattern=CONDITION,
        ),
        _request_header(
            "If-None-Match",
            "ETags of what the caller has, or `*`.",
            examples=['"3.586921204857718310"', '"3.586921204857718310", "4.1"'],
        ),
        _request_header(
            "Prefer",
            f"`wait=<seconds>` (RFC 7240): how long to wait for `minVersion` or `after`; {DEFAULT_WAIT} if not said, "
            f"at most {MAX_WAIT}.",
        ),
        _request_header(
            "X-Correlation-Id",
            "Names the conversation in logs, events and answers: 1 to 128 letters, digits and `._:-`. Anything else is "
            "replaced.",
        ),
        _request_header(
            "traceparent",
            "The caller's trace ([W3C Trace Context](https://www.w3.org/TR/trace-context/)), which goes on here.",
        ),
    )
}

RESPONSE_HEADERS = {
    "ETag": {
        "description": "Of a command, the version that it made. Of a document, its version and a hash of what it "
        "shows, which may change without a new version. Of lists and summaries, a hash alone.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[^"]+"$', "examples": ['"3"', '"3.586921204857718310"']},
    },
    "Location": {
        "description": "Where it can be read.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "X-Correlation-Id": {
        "description": "The name of the conversation: the caller's, or the trace's.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Idempotent-Replayed": {
        "description": "There if this is the first answer again.",
        "schema": {"type": "string", "const": "true"},
    },
    "WWW-Authenticate": {
        "description": "How to say who calls.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}


def problem_example(status: HTTPStatus) -> dict[str, Any]:
    """Show what a problem with this status looks like."""
    shown: dict[str, Any] = {
        "type": f"urn:tandem:problem:{ERRORS[status].code}",
        "title": status.phrase,
        "status": status.value,
        "detail": ERRORS[status].description,
        "instance": "/api/things",
        "correlationId": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    if status is HTTPStatus.UNPROCESSABLE_ENTITY:
        shown["errors"] = [{"in": "body", "pointer": "/items/0/quantity", "detail": "should be at least 1"}]
    return shown


PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail", "instance", "correlationId"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "pattern": "^urn:tandem:problem:[a-z-]+$",
            "description": "Which problem it is, for programs.",
            "examples": ["urn:tandem:problem:stale-version"],
        },
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What happened, for people."},
        "instance": {"type": "string", "format": "uri-reference", "description": "The path of the request."},
        "correlationId": {"type": "string", "description": "The name of the conversation."},
        "errors": {
            "type": "array",
            "minItems": 1,
            "description": "What is wrong with the request, all of it.",
            "items": {
                "type": "object",
                "required": ["in", "pointer", "detail"],
                "properties": {
                    "in": {"type": "string", "enum": ["body", "path", "query", "header"]},
                    "pointer": {
                        "type": "string",
                        "format": "json-pointer",
                        "description": "Where in it, as a JSON pointer (RFC 6901).",
                    },
                    "detail": {"type": "string", "description": "The rule that it breaks."},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
