"""A context's declaration as Azure Functions: a route for each command and query, a trigger for each subscription."""

from functools import cache
from typing import TYPE_CHECKING, Any

import azure.functions as func
from pydantic.alias_generators import to_camel

from shared.frame.context import Context
from shared.frame.http.answers import created, no_content, ok_or_not_modified
from shared.frame.http.api import PREFIX, Api
from shared.frame.http.requests import CommandCall, command_call, query_call
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.input import Input
from shared.frame.routes import CommandRoute, Created, QueryRoute
from shared.frame.write_side.commands import WriteSide

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def declared(context: Context[Any]) -> Api:
    """Make functions of all that a context declares; nothing connects yet."""
    api = Api(context.name, context.app.owners, context.app.reads, context.jobs)
    for command in context.commands:
        _serve_command(api, context.writes, command)
    for query in context.queries:
        _serve_query(api, query)
    for consumer in context.consumers:
        api.consume(consumer)
    for webhook in context.webhooks:
        api.webhook(webhook)
    return api


def _serve_command(api: Api, writes: WriteSide, route: CommandRoute) -> None:
    def carry_out(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, route.input, api.owners)
        accepted = writes.run(route.handler, call.command, call.metadata)
        if route.created is None:
            return no_content(accepted)
        return _created(route.created, call, accepted)

    api.command(route, carry_out)


def _created(created_at: Created, call: CommandCall[Input], accepted: Accepted) -> func.HttpResponse:
    answer = created_at.answer(accepted.aggregate_id, call.command, call.metadata)
    fields = {_camel(field): value for model in (call.command, answer) for field, value in model}
    return created(accepted, answer, f"{PREFIX}/{created_at.location.format_map(fields)}")


_camel = cache(to_camel)


def _serve_query(api: Api, route: QueryRoute) -> None:
    async def answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        logged = None if route.of is None else route.of.logged
        call = query_call(req, route.input, logged, api.owners)
        seen = () if route.of is None else (await route.of.served(),)
        handler: Callable[..., Awaitable[Any]] = route.handler
        answered = await handler(*seen, call.query, call.wait)
        return (
            ok_or_not_modified(call, *answered) if isinstance(answered, tuple) else ok_or_not_modified(call, answered)
        )

    register = api.query(
        route.path,
        route.input,
        route.answer,
        role=route.role,
        own=route.own,
        can_miss=route.can_miss,
        name=route.name,
    )
    register(answer)
