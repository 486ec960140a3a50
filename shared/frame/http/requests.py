"""Reads commands and queries from requests; one answer names everything that is wrong with a request."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func
from pydantic import ValidationError

from shared.frame.http.callers import caller_of
from shared.frame.http.etags import expected_versions
from shared.frame.http.fingerprints import earlier_fingerprints, fingerprint
from shared.frame.http.header_values import is_json, preference
from shared.frame.http.json_text import parsed, shortened
from shared.frame.http.problems import Problem
from shared.frame.messaging.envelope import Metadata
from shared.frame.platform.callers import Owners, Requester
from shared.frame.platform.input import Input, QueryInput
from shared.frame.read_side.read_your_writes import Logged, Wait, wait_for
from shared.kernel.refusals import InputError, Invalid

MAX_BODY = 256 * 1024
"""Bytes; a body that lists 1,000 things needs half of it. An event may be as large as this, in Standard."""

MAX_ERRORS = 1_000
"""Errors named in one answer: one for each thing on the longest list. What is wrong beyond that is named next time."""

KEY = r"^[\x21-\x2b\x2d-\x7e]{1,255}$"
"""What an Idempotency-Key may be. No comma: the host joins two lines of a header with one, and only one key is
valid."""

_PLATFORMS_KEY = "code"
"""The query parameter that may have a key of the Functions host; a query with a field of this name takes it."""

_KEY = re.compile(KEY)
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACE = re.compile("[0-9a-f]{2}-([0-9a-f]{32})-")
_SECONDS = re.compile("[0-9]{1,18}")

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
        wait: how long the caller grants the read model to catch up.
        if_none_match: etags of what the caller has.
    """

    query: Query
    wait: Wait
    if_none_match: str | None


def command_call[Command: Input](
    req: func.HttpRequest, context: func.Context, model: type[Command], owners: Owners | None = None
) -> CommandCall[Command]:
    """Read a command from path, body and headers; `owners` may act on what is theirs alone.

    Raises:
        Problem: the caller is unknown; or the body is too large, chunked, of another media type, or no JSON.
        Invalid: values break rules; all of them are named.
    """
    errors: list[InputError] = []
    caller = caller_of(req)
    body = _body(req)
    path = _path(req)
    errors += [
        InputError(f"/{name}", "this is part of the path, not of the body") for name in body.keys() & path.keys()
    ]
    values = body | path
    command = _validated(model, values, path, errors)
    expected = _expected_versions(req.headers.get("If-Match"), errors)
    key = req.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        rule = "should be one key of 1 to 255 visible ASCII characters without a comma"
        errors.append(InputError("/Idempotency-Key", rule, "header"))
    if command is None or errors:
        raise Invalid("The request is not valid; see errors.", errors)
    metadata = Metadata(
        fingerprint=fingerprint(command, caller),
        earlier_fingerprints=partial(earlier_fingerprints, partial(_read, model), values, caller),
        expected_versions=expected,
        correlation_id=correlation_id(req, context),
        traceparent=context.trace_context.trace_parent or None,
        actor=str(caller.id),
        owner_id=owners.reach(caller) if owners else None,
        **({"command_id": key} if key is not None else {}),
    )
    return CommandCall(command, metadata)


def query_call[Query: QueryInput](
    req: func.HttpRequest, model: type[Query], logged: Logged | None = None, owners: Owners | None = None
) -> QueryCall[Query]:
    """Read a query from path, query string and headers; its time to wait begins now.

    Args:
        req: the request.
        model: its parameters.
        logged: tells which version the log has of a document that it may wait for.
        owners: callers who may ask only for their own things.

    Raises:
        Problem: the caller is unknown.
        Invalid: values break rules; all of them are named.
        Refusal: an owner asks for what is another's.
    """
    caller = caller_of(req)
    path = _path(req)
    asked = [(name, value) for name, value in _query(req) if _is_asked(name, model)]
    errors = [
        InputError(f"/{name}", "this is part of the path, not of the query", "query")
        for name in dict.fromkeys(name for name, _ in asked)
        if name in path
    ]
    errors += [InputError(f"/{_escaped(name)}", "stands more than once", "query") for name in _repeated(asked)]
    empty = dict.fromkeys((name for name, value in asked if not value), "")  # the host leaves these out
    values = {name: value for name, value in (empty | req.params).items() if _is_asked(name, model)}
    try:
        query = model.model_validate_strings(values | path, strict=False, by_alias=True, by_name=False)
    except ValidationError as error:
        named = {error.pointer for error in errors}
        errors += [found for found in _input_errors(error, path, "query") if found.pointer not in named]
        raise Invalid("The request is not valid; see errors.", errors) from error
    wished = preference(req.headers.get("Prefer"), "wait") or ""
    seconds = min(int(wished), MAX_WAIT) if _SECONDS.fullmatch(wished) else DEFAULT_WAIT
    if errors:
        raise Invalid("The request is not valid; see errors.", errors)
    own_id = owners.reach(caller) if owners else None
    if owners is not None and own_id is not None:
        for other in query.owner_ids() - {own_id}:
            raise owners.missing(other)
    wait = wait_for(seconds, Requester(caller.id, is_owner=own_id is not None), logged)
    return QueryCall(query, wait, req.headers.get("If-None-Match"))


def correlation_id(req: func.HttpRequest, context: func.Context) -> str:
    """Give the correlation id: the caller's, or else the trace's, or else this invocation's."""
    given = req.headers.get("X-Correlation-Id") or ""
    if _CORRELATION.fullmatch(given):
        return given
    trace = _TRACE.match(context.trace_context.trace_parent or "")
    return trace[1] if trace else context.invocation_id


def raw_body(req: func.HttpRequest) -> bytes:
    """Give the body as it came.

    Raises:
        Problem: it is too large, or came in chunks.
    """
    raw: bytes = req.get_body()
    if not raw and req.headers.get("Transfer-Encoding"):
        # the Functions host reads Content-Length bytes, so it passes a chunked body on as empty
        detail = "The body came in chunks, which are not taken here: send it with a Content-Length."
        raise Problem(HTTPStatus.LENGTH_REQUIRED, "length-required", detail)
    if len(raw) > MAX_BODY:
        detail = f"The body has {len(raw)} bytes; at most {MAX_BODY} are taken."
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail)
    return raw


def _body(req: func.HttpRequest) -> dict[str, Any]:
    raw = raw_body(req)
    if not raw and req.method == "PUT":
        raise Invalid("The request is not valid; see errors.", [InputError("", "is required")])
    if not raw:
        return {}
    if not is_json(req.headers.get("Content-Type")) or req.headers.get("Content-Encoding"):
        detail = "The body should be application/json in UTF-8, without a content encoding."
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media-type", detail)
    try:
        body = parsed(raw)
    except ValueError as error:
        detail = f"The body is no JSON that is taken here: {error}."
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed-json", detail) from error
    if not isinstance(body, dict):
        raise Invalid("The request is not valid; see errors.", [InputError("", "should be a JSON object")])
    return body


def _path(req: func.HttpRequest) -> dict[str, Any]:
    return dict(req.route_params)


def _query(req: func.HttpRequest) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(req.url).query, keep_blank_values=True)


def _is_asked(name: str, model: type[QueryInput]) -> bool:
    """Whether a parameter is the query's, and not the platform's own."""
    return name != _PLATFORMS_KEY or _PLATFORMS_KEY in model.model_fields


def _repeated(asked: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Name the parameters that come again, in any case: the host joins their values with commas, as if it were one."""
    times = Counter(name.casefold() for name, _ in asked)
    names = {name.casefold(): name for name, _ in reversed(asked)}
    return (names[name] for name, count in times.items() if count > 1)


def _validated[Command: Input](
    model: type[Command], values: Mapping[str, Any], path: Mapping[str, Any], errors: list[InputError]
) -> Command | None:
    try:
        return _read(model, values)
    except ValidationError as error:
        errors += _input_errors(error, path, "body")
        return None


def _read[Command: Input](model: type[Command], values: Mapping[str, Any]) -> Command:
    return model.model_validate(values, by_alias=True, by_name=False)


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
        case "model_type":
            return "should be an object"
        case "list_type":
            return "should be an array"
        case "too_short" | "string_too_short":
            return f"should have at least {found['ctx']['min_length']} characters or items"
        case "too_long" | "string_too_long":
            return f"should have at most {found['ctx']['max_length']} characters or items"
        case _:
            message: str = found["msg"]
            return message[0].lower() + message[1:]


def _escaped(part: str) -> str:
    return shortened(part).replace("~", "~0").replace("/", "~1")


def _expected_versions(if_match: str | None, errors: list[InputError]) -> Collection[int] | None:
    if if_match is None:
        return None
    try:
        return expected_versions(if_match.strip())
    except ValueError as error:
        errors.append(InputError("/If-Match", str(error), "header"))
        return None
