"""Callers who act for themselves have a share of commands and of queries; the shop's own callers may have all."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import azure.functions as func
import pytest

from shared.frame.app import READ_AT_ONCE, App
from shared.frame.http.api import Api
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.input import Input
from shared.frame.platform.output import Answer
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.routes import CommandRoute
from shared.frame.write_side.concurrency_limit import AT_ONCE, SHARE
from shared.roles import CUSTOMERS, Role
from tests.support import principals
from tests.support.app import app_globals
from tests.support.triggers import trigger
from tests.support.wiring import NOWHERE


class Wait(Input):
    """Wait until the test lets it go on."""


def wait(_: Wait) -> Accepted:
    """Take the place of a handler; the test carries the command out itself."""
    raise NotImplementedError


def context() -> Any:
    trace = SimpleNamespace(trace_parent=None)
    return SimpleNamespace(invocation_id="i-1", trace_context=trace, thread_local_storage=threading.local())


async def test_a_customer_who_sends_many_commands_at_once_leaves_others_their_turns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "shared")
    api, go_on = Api("things", CUSTOMERS), threading.Event()

    def carry_out(req: func.HttpRequest, _: func.Context) -> func.HttpResponse:
        if req.headers["waits"] == "yes":
            go_on.wait(30)
        return func.HttpResponse(status_code=204)

    route = CommandRoute("post_thing", "POST", "things", wait, Wait, Role.ORDERS_WRITE, own=True, created=None)
    api.command(route, carry_out)
    call: Any = trigger(api.blueprint, "post_thing")

    async def send(caller: dict[str, str], *, waits: bool) -> int:
        headers = caller | {"waits": "yes" if waits else "no"}
        request = func.HttpRequest(method="POST", url="http://host/api/things", headers=headers, body=b"{}")
        return int((await call(request, context())).status_code)

    def customer(id_: UUID) -> dict[str, str]:
        return principals.customer(id_)

    greedy = uuid4()
    many = [asyncio.create_task(send(customer(greedy), waits=True)) for _ in range(AT_ONCE)]
    refused = [await each for each in asyncio.as_completed(many[SHARE:], timeout=30)]
    assert refused == [503] * (AT_ONCE - SHARE), "at once, and not when their time is up"
    assert caplog.messages == ["asked too soon: overloaded"] * (AT_ONCE - SHARE), "by which the alarm leaves them out"
    assert await send(customer(uuid4()), waits=False) == 204
    assert await send(principals.shop(), waits=False) == 204
    go_on.set()
    assert await asyncio.gather(*many[:SHARE]) == [204] * SHARE
    assert await send(customer(greedy), waits=False) == 204


class Thing(Answer):
    """What a query answers."""


class Reading:
    """Queries of two contexts of one app, each of which is answered when the test says so."""

    def __init__(self) -> None:
        app = App(NOWHERE, CosmosDatabase(NOWHERE), CUSTOMERS)
        self.go_on, self.begun = asyncio.Event(), 0
        self._triggers: dict[str, Any] = {}
        for context in ("things", "parts"):
            api = Api(context, app.owners, app.reads)

            @api.query(context, None, Thing, role=Role.ORDERS_READ, own=True)
            async def get_some(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:  # noqa: ARG001  # bound by name
                """Answer."""
                self.begun += 1
                if req.headers["waits"] == "yes":
                    await self.go_on.wait()
                if req.headers["waits"] == "fails":
                    raise ZeroDivisionError
                return func.HttpResponse(status_code=200)

            self._triggers[context] = trigger(api.blueprint, "get_some")

    async def begins(self, queries: int) -> None:
        """Wait until so many queries have begun; TimeoutError if they do not."""
        async with asyncio.timeout(30):
            while self.begun < queries:  # noqa: ASYNC110  # tasks count it
                await asyncio.sleep(0)

    async def read(self, caller: dict[str, str], of: str = "things", waits: str = "no") -> func.HttpResponse:
        """Send a query, and give its answer."""
        headers = caller | {"waits": waits}
        request = func.HttpRequest(method="GET", url=f"http://host/api/{of}", headers=headers, body=b"")
        answer: func.HttpResponse = await self._triggers[of](request, context())
        return answer


async def test_a_customer_who_reads_more_than_their_share_is_refused_at_once_while_others_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "shared")
    reading, greedy = Reading(), principals.customer(uuid4())
    waiting = [
        asyncio.create_task(reading.read(greedy, of, waits="yes"))
        for of in ("things", "parts")
        for _ in range(READ_AT_ONCE // 2)
    ]
    await reading.begins(READ_AT_ONCE)
    for of in ("things", "parts"):
        refused = await reading.read(greedy, of)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert b"urn:tandem:problem:overloaded" in refused.get_body()
    assert caplog.messages == ["asked too soon: overloaded"] * 2
    assert reading.begun == READ_AT_ONCE, "a refused query reads nothing"
    assert (await reading.read(principals.customer(uuid4()))).status_code == 200
    reading.go_on.set()
    assert {(await each).status_code for each in waiting} == {200}
    assert (await reading.read(greedy)).status_code == 200


async def test_the_shop_s_own_callers_have_no_share_in_queries() -> None:
    reading = Reading()
    many = [asyncio.create_task(reading.read(principals.shop(), waits="yes")) for _ in range(4 * READ_AT_ONCE)]
    await reading.begins(len(many))
    reading.go_on.set()
    assert {(await each).status_code for each in many} == {200}


def test_the_contexts_of_the_app_have_the_shares_in_queries_in_common() -> None:
    app = app_globals()
    asked = [api for api in app["apis"] if any(each.own and not each.is_command for each in api.operations)]
    assert len(asked) > 1
    assert all(api._reads is app["wired"].reads for api in asked)


@pytest.mark.parametrize("waits", ["no", "fails"])
async def test_a_query_that_has_ended_or_failed_gives_its_share_back(waits: str) -> None:
    reading, caller = Reading(), principals.customer(uuid4())
    for _ in range(2 * READ_AT_ONCE):
        assert (await reading.read(caller, waits=waits)).status_code == (500 if waits == "fails" else 200)
    assert (await reading.read(caller)).status_code == 200
