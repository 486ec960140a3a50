"""Routes: each is registered with Azure Functions, described for OpenAPI, and answers errors as problem details."""

import functools
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import azure.functions as func

from shared.messaging.envelope import Accepted
from shared.platform.http.problems import problem_of, render
from shared.platform.http.requests import QueryCall, correlation_id
from shared.platform.input import Input, QueryInput
from shared.platform.output import Answer

JSON = "application/json"

type CommandTrigger = Callable[[func.HttpRequest, func.Context], func.HttpResponse]
type QueryTrigger = Callable[[func.HttpRequest, func.Context], Awaitable[func.HttpResponse]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route, as the API's description tells of it.

    Attributes:
        name: the function's name in Azure, unique in the app.
        route: the template, without the prefix.
        input: what is validated; fields that the route names are path parameters.
        answer: the body of a success; None for none.
        tag: the context that it belongs to.
    """

    name: str
    method: str
    route: str
    input: type[Input | QueryInput]
    answer: type[Answer] | None
    success: HTTPStatus
    summary: str
    tag: str

    @property
    def is_command(self) -> bool:
        """Whether it changes something."""
        return issubclass(self.input, Input)


class Api:
    """The routes of one context."""

    def __init__(self, tag: str) -> None:
        self.blueprint = func.Blueprint()
        self.operations: list[Operation] = []
        self._tag = tag

    def command(
        self, method: str, route: str, command: type[Input], created: type[Answer] | None = None
    ) -> Callable[[CommandTrigger], CommandTrigger]:
        """Register a trigger that carries out a command; `created` is what it answers when it makes something new."""

        def register(trigger: CommandTrigger) -> CommandTrigger:
            @functools.wraps(trigger)
            def answering(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
                try:
                    response = trigger(req, context)
                except Exception as error:  # noqa: BLE001  # nothing ever answers with a stack trace
                    return _failed(error, req, context)
                return _finished(response, req, context)

            success = HTTPStatus.CREATED if created else HTTPStatus.NO_CONTENT
            self._describe(trigger.__name__, method, route, command, created, success)
            self.blueprint.route(route, methods=[method])(answering)
            return answering

        return register

    def query(
        self, route: str, query: type[QueryInput], answer: type[Answer]
    ) -> Callable[[QueryTrigger], QueryTrigger]:
        """Register a trigger that answers a query."""

        def register(trigger: QueryTrigger) -> QueryTrigger:
            @functools.wraps(trigger)
            async def answering(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
                try:
                    response = await trigger(req, context)
                except Exception as error:  # noqa: BLE001  # nothing ever answers with a stack trace
                    return _failed(error, req, context)
                return _finished(response, req, context)

            self._describe(trigger.__name__, "GET", route, query, answer, HTTPStatus.OK)
            self.blueprint.route(route, methods=["GET"])(answering)
            return answering

        return register

    def _describe(
        self,
        name: str,
        method: str,
        route: str,
        model: type[Input | QueryInput],
        answer: type[Answer] | None,
        success: HTTPStatus,
    ) -> None:
        summary = (model.__doc__ or "").partition("\n")[0].rstrip(".")
        self.operations.append(Operation(name, method, route, model, answer, success, summary, self._tag))


def created(accepted: Accepted, answer: Answer, location: str) -> func.HttpResponse:
    """Answer that something new is at `location`."""
    return func.HttpResponse(
        answer.model_dump_json(by_alias=True),
        status_code=HTTPStatus.CREATED,
        mimetype=JSON,
        headers={"Location": location, **_version(accepted)},
    )


def done(accepted: Accepted) -> func.HttpResponse:
    """Answer that a command was carried out."""
    return func.HttpResponse(status_code=HTTPStatus.NO_CONTENT, headers=_version(accepted))


def found(call: QueryCall[QueryInput], answer: Answer, etag: str | None = None) -> func.HttpResponse:
    """Answer a query, or 304 if the caller has this very answer; without an etag of its own, its content makes one."""
    body = answer.model_dump_json(by_alias=True).encode()
    tag = etag or f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if call.if_none_match is not None and _matches(call.if_none_match, tag):
        return func.HttpResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return func.HttpResponse(body, mimetype=JSON, headers=headers)


def _matches(if_none_match: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110 says for If-None-Match."""
    return if_none_match.strip() == "*" or etag in {
        candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")
    }


def _version(accepted: Accepted) -> dict[str, str]:
    headers = {"ETag": f'"{accepted.version}"', "Cache-Control": "no-store"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers


def _finished(response: func.HttpResponse, req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    response.headers["X-Correlation-Id"] = correlation_id(req, context)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _failed(error: Exception, req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _finished(render(problem_of(error), urlsplit(req.url).path, correlation_id(req, context)), req, context)
