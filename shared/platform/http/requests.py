"""Requests into commands and queries; everything that is wrong with one is found and named at once."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func
import pydantic_core
from pydantic import ValidationError

from shared.kernel.refusals import InputError, Invalid
from shared.messaging.envelope import Metadata
from shared.platform.http.callers import Caller, NotTheirs, caller_of
from shared.platform.http.problems import Problem
from shared.platform.input import Input, QueryInput

MAX_BODY = 1024 * 1024
"""Bytes; an order of 1,000 items needs a seventh of it."""

MAX_ERRORS = 1_000
"""Errors named in one answer: one for each item of the largest order. What is wrong beyond that is named next time."""

_JSON = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?\s*', re.IGNORECASE)
_ETAG = re.compile(r'"(\d{1,18})(\.\d+)*"')
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_WAIT = re.compile(r"wait=(\d{1,4})", re.IGNORECASE)

DEFAULT_WAIT, MAX_WAIT = 5, 30
"""Seconds that a query waits for its read model, by default and at most."""


@dataclass(frozen=True, slots=True)
class CommandCall[Command]:
    """A valid command and what travels with it."""

    command: Command
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class QueryCall[Query]:
    """A valid query.

    Attributes:
        wait: seconds that the caller grants the read model to catch up.
        if_none_match: etags of what the caller has.
    """

    query: Query
    wait: int
    if_none_match: str | None


def command_call[Command: Input](
    req: func.HttpRequest, context: func.Context, model: type[Command]
) -> CommandCall[Command]:
    """Read a command from path, body and headers.

    Raises:
        Problem: nobody is known to call; or the body is too large, of another media type, or no JSON.
        Invalid: values break rules; all of them are named.
    """
    errors: list[InputError] = []
    caller = caller_of(req)
    body = _body(req)
    path = _path(req)
    errors += [
        InputError(f"/{name}", "this is part of the path, not of the body") for name in body.keys() & path.keys()
    ]
    command = _validated(model, body | path, path, errors)
    expected = _expected_version(req.headers.get("If-Match"), errors)
    key = req.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        errors.append(InputError("/Idempotency-Key", "should be 1 to 255 visible ASCII characters", "header"))
    if command is None or errors:
        raise Invalid("The request is not valid; see errors.", errors)
    metadata = Metadata(
        fingerprint=_fingerprint(command, caller),
        expected_version=expected,
        correlation_id=correlation_id(req, context),
        traceparent=context.trace_context.trace_parent or None,
        actor=str(caller.id),
        customer_id=caller.customer_id,
        **({"command_id": key} if key is not None else {}),
    )
    return CommandCall(command, metadata)


def query_call[Query: QueryInput](req: func.HttpRequest, model: type[Query]) -> QueryCall[Query]:
    """Read a query from path, query string and headers.

    Raises:
        Problem: nobody is known to call.
        Invalid: values break rules; all of them are named.
        NotTheirs: a customer asks for what is another's.
    """
    caller = caller_of(req)
    path = _path(req)
    errors = [
        InputError(f"/{name}", "this is part of the path, not of the query", "query")
        for name in dict.fromkeys(name for name, _ in _query(req))
        if name in path
    ]
    empty = dict.fromkeys((name for name, value in _query(req) if not value), "")  # the host leaves these out
    values = {name: value for name, value in (empty | req.params).items() if name != "code"}  # the platform's key
    try:
        query = model.model_validate_strings(values | path, strict=False, by_alias=True, by_name=False)
    except ValidationError as error:
        raise Invalid("The request is not valid; see errors.", errors + _input_errors(error, path, "query")) from error
    wait = _WAIT.search(req.headers.get("Prefer") or "")
    seconds = min(int(wait[1]), MAX_WAIT) if wait else DEFAULT_WAIT
    if errors:
        raise Invalid("The request is not valid; see errors.", errors)
    asked_for = getattr(query, "customer_id", caller.customer_id)
    if caller.customer_id is not None and asked_for != caller.customer_id:
        raise NotTheirs(f"There is no customer {asked_for}.")
    return QueryCall(query, seconds, req.headers.get("If-None-Match"))


def correlation_id(req: func.HttpRequest, context: func.Context) -> str:
    """Name the conversation: as the caller does, or after the trace, or after this invocation."""
    given = req.headers.get("X-Correlation-Id") or ""
    if _CORRELATION.fullmatch(given):
        return given
    trace = (context.trace_context.trace_parent or "").split("-")
    return trace[1] if len(trace) == 4 else context.invocation_id  # noqa: PLR2004  # version-trace-span-flags


def _body(req: func.HttpRequest) -> dict[str, Any]:
    raw = req.get_body()
    if not raw:
        return {}
    if len(raw) > MAX_BODY:
        detail = f"The body has {len(raw)} bytes; at most {MAX_BODY} are taken."
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail)
    if not _JSON.fullmatch(req.headers.get("Content-Type") or "") or req.headers.get("Content-Encoding"):
        detail = "The body should be application/json in UTF-8, without a content encoding."
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media-type", detail)
    try:
        body = pydantic_core.from_json(raw)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed-json", f"The body is no valid JSON: {error}.") from error
    if not isinstance(body, dict):
        raise Invalid("The request is not valid; see errors.", [InputError("", "should be a JSON object")])
    return body


def _path(req: func.HttpRequest) -> dict[str, Any]:
    return dict(req.route_params)


def _query(req: func.HttpRequest) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(req.url).query, keep_blank_values=True)


def _validated[Command: Input](
    model: type[Command], values: Mapping[str, Any], path: Mapping[str, Any], errors: list[InputError]
) -> Command | None:
    try:
        # through JSON once more: only there does strict mode know that a UUID is a string, and no number
        json_again = pydantic_core.to_json(values, inf_nan_mode="constants")
        return model.model_validate_json(json_again, by_alias=True, by_name=False)
    except ValidationError as error:
        errors += _input_errors(error, path, "body")
        return None


def _input_errors(error: ValidationError, path: Mapping[str, Any], location: str) -> list[InputError]:
    return [
        InputError(
            "".join(f"/{_escaped(str(part))}" for part in found["loc"]),
            _rule(found),
            "path" if found["loc"] and found["loc"][0] in path else location,
        )
        for found in islice(error.errors(include_url=False, include_input=False), MAX_ERRORS)
    ]


def _rule(found: Mapping[str, Any]) -> str:
    match found["type"]:
        case "extra_forbidden":
            return "is not a field of this request"
        case "missing":
            return "is required"
        case "value_error" if "error" in found["ctx"]:  # raised by a validator of ours; pydantic's own have none
            return str(found["ctx"]["error"])
        case "uuid_type":
            return "should be a string that holds a UUID"
        case "too_short" | "string_too_short":
            return f"should have at least {found['ctx']['min_length']} characters or items"
        case "too_long" | "string_too_long":
            return f"should have at most {found['ctx']['max_length']} characters or items"
        case _:
            message: str = found["msg"]
            return message[0].lower() + message[1:]


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _expected_version(if_match: str | None, errors: list[InputError]) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        errors.append(InputError("/If-Match", 'should be one ETag that this API gave, like "3"', "header"))
        return None
    return int(found[1])


def _fingerprint(command: Input, caller: Caller) -> bytes:
    """Tell commands apart by who sends them and what they mean.

    Other spellings of an id or of the same JSON are the same command. Another caller's is not: nobody gets an answer
    that was somebody else's by using their key.
    """
    content = command.model_dump_json(exclude_unset=True)  # an id that the server made is none of the caller's
    return hashlib.sha256(f"{caller.id} {type(command).__name__} {content}".encode()).digest()
