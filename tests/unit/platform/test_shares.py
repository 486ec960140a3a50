"""Callers who act for themselves have a share of a context's turns for commands; the shop's own callers have none."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import azure.functions as func

from shared.frame.http.api import Api
from shared.frame.platform.input import Input
from shared.frame.write_side.concurrency_limit import AT_ONCE, SHARE
from shared.roles import CUSTOMERS, Role
from tests.support import principals
from tests.support.triggers import trigger


class Wait(Input):
    """Wait until the test lets it go on."""


def context() -> Any:
    trace = SimpleNamespace(trace_parent=None)
    return SimpleNamespace(invocation_id="i-1", trace_context=trace, thread_local_storage=threading.local())


async def test_a_customer_who_sends_many_commands_at_once_leaves_others_their_turns() -> None:
    api, go_on = Api("things", CUSTOMERS), threading.Event()

    @api.command("POST", "things", Wait, role=Role.ORDERS_WRITE, own=True)
    def post_thing(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:  # noqa: ARG001  # bound by name
        if req.headers["waits"] == "yes":
            go_on.wait()
        return func.HttpResponse(status_code=204)

    call: Any = trigger(api.blueprint, "post_thing")

    async def send(caller: dict[str, str], *, waits: bool) -> int:
        headers = caller | {"waits": "yes" if waits else "no"}
        request = func.HttpRequest(method="POST", url="http://host/api/things", headers=headers, body=b"{}")
        return int((await call(request, context())).status_code)

    def customer(id_: UUID) -> dict[str, str]:
        return principals.customer(id_)

    greedy = uuid4()
    many = [asyncio.create_task(send(customer(greedy), waits=True)) for _ in range(AT_ONCE)]
    refused = [await each for each in asyncio.as_completed(many[SHARE:])]
    assert refused == [503] * (AT_ONCE - SHARE), "at once, and not when their time is up"
    assert await send(customer(uuid4()), waits=False) == 204
    assert await send(principals.shop(), waits=False) == 204
    go_on.set()
    assert await asyncio.gather(*many[:SHARE]) == [204] * SHARE
    assert await send(customer(greedy), waits=False) == 204
