"""A context's entry points: HTTP routes with their description for OpenAPI, event consumers, and jobs."""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import azure.functions as func

from shared.frame.http.answers import Bodyless, failed, finished
from shared.frame.http.callers import admit, caller_of, require_intent
from shared.frame.http.requests import raw_body
from shared.frame.messaging.subscriptions import Consumer, trigger
from shared.frame.platform.activity import ACTIVITY
from shared.frame.platform.callers import OPEN, Owners
from shared.frame.platform.input import Input, QueryInput
from shared.frame.platform.invocations import in_invocation
from shared.frame.platform.jobs import Job
from shared.frame.platform.output import Answer
from shared.frame.platform.shares import Shares
from shared.frame.routes import CommandRoute, Webhook
from shared.frame.write_side.concurrency_limit import ConcurrencyLimit

PREFIX = "/api"
"""Where all routes begin: routePrefix in host.json."""

RECEIVED_AT_ONCE = 4
"""Messages of another system that one process takes in at a time."""

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
        can_miss: whether what is asked for, or acted on, may be missing (404).
        versioned: whether it is about one thing that has a version (ETag).
        role: what a caller needs; OPEN for everybody.
        own: whether owners may use it too, for their own things.
        signature_header: where another system calls, the header with its signature; the body is that system's.
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
    role: str | None
    own: bool
    versioned: bool = True
    signature_header: str | None = None

    @property
    def is_command(self) -> bool:
        """Whether it changes something."""
        return self.input is not None and issubclass(self.input, Input)

    @property
    def parameters(self) -> frozenset[str]:
        """The names in the route's braces."""
        return frozenset(_PARAMETER.findall(self.route))


class Api:
    """The routes, subscriptions and jobs of one context."""

    def __init__(
        self, tag: str, owners: Owners | None = None, reads: Shares | None = None, jobs: Iterable[Job] = ()
    ) -> None:
        """Prepare.

        Args:
            tag: the context's name.
            owners: callers who act for themselves; None if there are none.
            reads: their shares in queries, which all contexts have in common; None: there are none.
            jobs: what the context does from time to time.
        """
        self.owners = owners
        self.blueprint = func.Blueprint()
        self.operations: list[Operation] = []
        self.consumers: list[Consumer] = []
        self.jobs = [*jobs]
        self._tag = tag
        self._turns = ConcurrencyLimit()
        self._reads = reads

    def command(self, route: CommandRoute, carry_out: CommandTrigger) -> None:
        """Register a declared command; `carry_out` does it on a thread, when it is its turn."""

        async def in_turn(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
            owner = self.owners.reach(caller_of(req)) if route.own and self.owners else None
            return await self._turns.take(in_invocation(context, partial(carry_out, req, context)), owner=owner)

        operation = Operation(
            name=route.name,
            method=route.method,
            route=route.path,
            input=route.input,
            answer=None if route.created is None else route.created.model,
            success=HTTPStatus.CREATED if route.created else HTTPStatus.NO_CONTENT,
            description=inspect.getdoc(route.input) or "",
            tag=self._tag,
            can_miss=route.created is None or _PARAMETER.search(route.path) is not None,
            role=route.role,
            own=route.own,
        )
        self._serve(in_turn, operation)

    def query(
        self,
        route: str,
        query: type[QueryInput] | None,
        answer: type[Answer],
        *,
        role: str | None,
        own: bool = False,
        can_miss: bool = False,
        name: str | None = None,
    ) -> Callable[[QueryTrigger], QueryTrigger]:
        """Register a trigger that answers a query, to HEAD as well: the host leaves the body out.

        Args:
            route: the template, without the prefix.
            query: its parameters. One without any says in its docstring what it answers.
            answer: what it answers.
            role: what a caller needs; OPEN lets everybody in.
            own: let owners ask too, for their own things; a parameter names the owner (OwnerId).
            can_miss: whether what is asked for may be missing though the path names nothing; a thing in a path may be.
            name: the function's name in Azure; that of the trigger by default.
        """

        def register(trigger: QueryTrigger) -> QueryTrigger:
            return self._serve(
                trigger if self._reads is None or not own else self._within(self._reads, trigger),
                Operation(
                    name=name or trigger.__name__,
                    method="GET",
                    route=route,
                    input=query,
                    answer=answer,
                    success=HTTPStatus.OK,
                    description=inspect.getdoc(query or trigger) or "",
                    tag=self._tag,
                    can_miss=can_miss or _PARAMETER.search(route) is not None,
                    role=role,
                    own=own,
                ),
            )

        return register

    def action(
        self,
        method: str,
        route: str,
        action: type[Input],
        answer: type[Answer],
        *,
        role: str | None,
        can_miss: bool = False,
        name: str | None = None,
    ) -> Callable[[ActionTrigger], ActionTrigger]:
        """Register a trigger that acts on the running system, and answers the result.

        It changes nothing that has a version, so it has neither If-Match nor Idempotency-Key: it must be safe to
        repeat.
        """

        def register(trigger: ActionTrigger) -> ActionTrigger:
            return self._serve(
                trigger,
                Operation(
                    name=name or trigger.__name__,
                    method=method,
                    route=route,
                    input=action,
                    answer=answer,
                    success=HTTPStatus.OK,
                    description=inspect.getdoc(action) or "",
                    tag=self._tag,
                    can_miss=can_miss,
                    role=role,
                    own=False,
                    versioned=False,
                ),
            )

        return register

    def webhook(self, webhook: Webhook) -> None:
        """Register a webhook that another system calls; it has a concurrency limit of its own."""
        turns = ConcurrencyLimit(RECEIVED_AT_ONCE, kind="messages of others")

        async def receive(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:  # noqa: ARG001  # bound by name
            body, signature = raw_body(req), req.headers.get(webhook.signature_header)
            await turns.take(lambda: webhook.receive(body, signature))
            return Bodyless(HTTPStatus.NO_CONTENT, {"Cache-Control": "no-store"})

        operation = Operation(
            name=webhook.name,
            method="POST",
            route=webhook.path,
            input=None,
            answer=None,
            success=HTTPStatus.NO_CONTENT,
            description=inspect.getdoc(webhook.receive) or "",
            tag=self._tag,
            can_miss=False,
            role=OPEN,
            own=False,
            versioned=False,
            signature_header=webhook.signature_header,
        )
        self._serve(receive, operation)

    def consume(self, consumer: Consumer) -> None:
        """Register the consumer of a subscription's events."""
        self.consumers.append(consumer)
        trigger(self.blueprint, consumer)

    def _within(self, shares: Shares, trigger: QueryTrigger) -> QueryTrigger:
        @functools.wraps(trigger)
        async def answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
            owner = self.owners.reach(caller_of(req)) if self.owners else None
            if owner is None:
                return await trigger(req, context)
            shares.take(owner)
            try:
                return await trigger(req, context)
            finally:
                shares.give_back(owner)

        return answer

    def _serve(self, trigger: QueryTrigger, operation: Operation) -> QueryTrigger:
        @functools.wraps(trigger)
        async def answering(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
            try:
                admit(req, operation.role, self.owners, own=operation.own)
                require_intent(req)
                response = await trigger(req, context)
            except Exception as error:  # noqa: BLE001  # nothing ever answers with a stack trace
                return failed(error, req, context)
            finally:
                ACTIVITY.flush_soon()
            return finished(response, req, context)

        answering.__name__ = operation.name  # by which Azure knows the function
        self.operations.append(operation)
        methods = ["GET", "HEAD"] if operation.method == "GET" else [operation.method]
        self.blueprint.route(operation.route, methods=methods)(answering)
        return answering
