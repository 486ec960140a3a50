"""A context's ways in: routes, which are described for OpenAPI and answer errors as problem details; subscriptions."""

import functools
import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, unquote, urlsplit

import azure.functions as func

from shared.messaging.envelope import Accepted
from shared.platform.generations import Generations
from shared.platform.http.callers import Role, admit
from shared.platform.http.problems import problem_of, render
from shared.platform.http.requests import QueryCall, correlation_id
from shared.platform.input import Input, QueryInput
from shared.platform.output import Answer
from shared.platform.subscriptions import Consume, Consumer, trigger
from shared.platform.turns import Turns
from shared.platform.views import Source, View

JSON = "application/json"

PREFIX = "/api"
"""Where all routes begin: routePrefix in host.json."""

_PARAMETER = re.compile(r"\{(\w+)\}")

type CommandTrigger = Callable[[func.HttpRequest, func.Context], func.HttpResponse]
type QueryTrigger = Callable[[func.HttpRequest, func.Context], Awaitable[func.HttpResponse]]
type ActionTrigger = QueryTrigger


@dataclass(frozen=True, slots=True)
class Operation:
    """One route, as the API's description tells of it.

    Attributes:
        name: the function's name in Azure, unique in the app.
        route: the template, without the prefix.
        input: what is validated; fields that the route names are path parameters. None takes nothing.
        answer: the body of a success; None for none.
        description: what it does, for people; its first sentence is the summary.
        tag: the context that it belongs to.
        can_miss: whether what the path names may not exist (404).
        versioned: whether it is about one thing that has a version (ETag).
        role: what a caller needs; OPEN for everybody.
        customers: whether customers may do it too, with what is theirs.
    """

    name: str
    method: str
    route: str
    input: type[Input | QueryInput] | None
    answer: type[Answer] | None
    success: HTTPStatus
    description: str
    tag: str
    can_miss: bool
    role: Role | None
    customers: bool
    versioned: bool = True

    @property
    def is_command(self) -> bool:
        """Whether it changes something."""
        return self.input is not None and issubclass(self.input, Input)

    @property
    def parameters(self) -> frozenset[str]:
        """The names in the route's braces."""
        return frozenset(_PARAMETER.findall(self.route))


class Api:
    """The routes, subscriptions and views of one context."""

    def __init__(self, tag: str) -> None:
        self.blueprint = func.Blueprint()
        self.operations: list[Operation] = []
        self.consumers: list[Consumer] = []
        self.views: list[View] = []
        self._tag = tag
        self._turns = Turns()

    def command(
        self,
        method: str,
        route: str,
        command: type[Input],
        *,
        role: Role | None,
        customers: bool = False,
        created: type[Answer] | None = None,
    ) -> Callable[[CommandTrigger], CommandTrigger]:
        """Register a trigger that carries out a command on a thread, when it is its turn.

        Args:
            method: the HTTP method.
            route: the template, without the prefix.
            command: its input.
            role: what a caller needs; OPEN lets everybody in.
            customers: let customers do it too. The repository then keeps to Metadata.customer_id.
            created: what it answers when it makes something new.
        """

        def register(trigger: CommandTrigger) -> CommandTrigger:
            @functools.wraps(trigger)
            async def in_turn(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
                def carry_out() -> func.HttpResponse:
                    logs_of = context.thread_local_storage  # ties what is logged on this thread to the invocation
                    logs_of.invocation_id = context.invocation_id  # type: ignore[attr-defined]  # it takes any name
                    return trigger(req, context)

                return await self._turns.take(carry_out)

            answering = _answering(in_turn, role, customers=customers)
            self.operations.append(
                Operation(
                    name=trigger.__name__,
                    method=method,
                    route=route,
                    input=command,
                    answer=created,
                    success=HTTPStatus.CREATED if created else HTTPStatus.NO_CONTENT,
                    description=inspect.getdoc(command) or "",
                    tag=self._tag,
                    can_miss=created is None,
                    role=role,
                    customers=customers,
                )
            )
            self.blueprint.route(route, methods=[method])(answering)
            return trigger

        return register

    def query(
        self,
        route: str,
        query: type[QueryInput] | None,
        answer: type[Answer],
        *,
        role: Role | None,
        customers: bool = False,
        can_miss: bool = True,
    ) -> Callable[[QueryTrigger], QueryTrigger]:
        """Register a trigger that answers a query, to HEAD as well: the host leaves the body out.

        Args:
            route: the template, without the prefix.
            query: its parameters. One without any says in its docstring what it answers.
            answer: what it answers.
            role: what a caller needs; OPEN lets everybody in.
            customers: let customers ask too: where there is a `customer_id` among the parameters, for their own.
            can_miss: whether what the path names may not exist.
        """

        def register(trigger: QueryTrigger) -> QueryTrigger:
            answering = _answering(trigger, role, customers=customers)
            self.operations.append(
                Operation(
                    name=trigger.__name__,
                    method="GET",
                    route=route,
                    input=query,
                    answer=answer,
                    success=HTTPStatus.OK,
                    description=inspect.getdoc(query or trigger) or "",
                    tag=self._tag,
                    can_miss=query is not None and can_miss,
                    role=role,
                    customers=customers,
                )
            )
            self.blueprint.route(route, methods=["GET", "HEAD"])(answering)
            return answering

        return register

    def action(
        self,
        method: str,
        route: str,
        action: type[Input],
        answer: type[Answer],
        *,
        role: Role | None,
        can_miss: bool = False,
    ) -> Callable[[ActionTrigger], ActionTrigger]:
        """Register a trigger that does something to the running system, and answers what came of it.

        It is on nothing that has a version, so it has neither If-Match nor Idempotency-Key: it must be safe to repeat.
        """

        def register(trigger: ActionTrigger) -> ActionTrigger:
            answering = _answering(trigger, role, customers=False)
            self.operations.append(
                Operation(
                    name=trigger.__name__,
                    method=method,
                    route=route,
                    input=action,
                    answer=answer,
                    success=HTTPStatus.OK,
                    description=inspect.getdoc(action) or "",
                    tag=self._tag,
                    can_miss=can_miss,
                    role=role,
                    customers=False,
                    versioned=False,
                )
            )
            self.blueprint.route(route, methods=[method])(answering)
            return answering

        return register

    def consumer(self, topic: str, subscription: str) -> Callable[[Consume], Consume]:
        """Register what a subscription's events do; the trigger is named after it."""

        def register(consume: Consume) -> Consume:
            consumer = Consumer(consume.__name__, topic, subscription, consume)
            self.consumers.append(consumer)
            trigger(self.blueprint, consumer)
            return consume

        return register

    def view(self, generations: Generations, source: Source) -> None:
        """Register a read model, for those who operate it."""
        self.views.append(View(generations, source))


def _answering(trigger: QueryTrigger, role: Role | None, *, customers: bool) -> QueryTrigger:
    @functools.wraps(trigger)
    async def answering(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        try:
            admit(req, role, customers=customers)
            response = await trigger(req, context)
        except Exception as error:  # noqa: BLE001  # nothing ever answers with a stack trace
            return failed(error, req, context)
        return finished(response, req, context)

    return answering


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


def told(answer: Answer) -> func.HttpResponse:
    """Answer what came of an action, or how things are at this moment: nothing to keep."""
    return func.HttpResponse(
        answer.model_dump_json(by_alias=True), mimetype=JSON, headers={"Cache-Control": "no-store"}
    )


def found(call: QueryCall[QueryInput], answer: Answer, etag: str | None = None) -> func.HttpResponse:
    """Answer a query, or 304 if the caller has this very answer; without an etag of its own, its content makes one."""
    body = answer.model_dump_json(by_alias=True).encode()
    tag = etag or f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if call.if_none_match is not None and matches(call.if_none_match, tag):
        return func.HttpResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return func.HttpResponse(body, mimetype=JSON, headers=headers)


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether a caller has this version: compare weakly, as RFC 9110 says for If-None-Match."""
    return if_none_match.strip() == "*" or etag in {
        candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")
    }


def _version(accepted: Accepted) -> dict[str, str]:
    headers = {"ETag": f'"{accepted.version}"', "Cache-Control": "no-store"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers


def finished(response: func.HttpResponse, req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Add what every answer has: the name of the conversation, and that its media type is no guess."""
    response.headers["X-Correlation-Id"] = correlation_id(req, context)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def failed(error: Exception, req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Answer an error as problem details."""
    instance = quote(unquote(urlsplit(req.url).path))  # a URI reference, however the host writes the path
    return finished(render(problem_of(error), instance, correlation_id(req, context)), req, context)
