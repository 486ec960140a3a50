"""Readiness: anybody may ask, so what it finds is told for a while, and a failure as well as its end is told soon."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from types import SimpleNamespace
from typing import cast

import azure.functions as func
import pytest
import sqlalchemy as sa
from azure.cosmos.aio import ContainerProxy

from shared.customers.tables import CUSTOMERS
from shared.frame.http import health
from tests.integration.ordering.test_round_trips import counted
from tests.support.shop import Shop

type Ask = Callable[[], Awaitable[func.HttpResponse]]

CONTEXT = cast("func.Context", SimpleNamespace(invocation_id="i", trace_context=SimpleNamespace(trace_parent=None)))


@pytest.fixture
def ask(shop: Shop, orders: ContainerProxy, catalog: ContainerProxy) -> Ask:
    """What asks the app whether it is ready."""
    containers = {"orders": orders, "catalog": catalog, "related": catalog}  # what they show is of no matter here
    api = health.health(list(shop.wired(containers).values()))
    app = func.FunctionApp()
    app.register_functions(api.blueprint)
    [ready] = [
        each.get_user_function() for each in app.get_functions() if each.get_function_name() == "get_health_ready"
    ]
    request = func.HttpRequest(method="GET", url="http://host/api/health/ready", body=b"")
    return lambda: ready(request, CONTEXT)


def statements(shop: Shop) -> list[str]:
    """All statements from now on."""
    asked = list[str]()
    for engine in shop.engines.values():
        sa.event.listen(engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    return asked


async def test_who_asks_again_and_again_makes_the_stores_work_once(shop: Shop, ask: Ask) -> None:
    asked = statements(shop)
    with counted() as read:
        first = await ask()
        of_one_look = len(asked), len(read)
        assert min(of_one_look) > 0
        for _ in range(5):
            assert (await ask()).get_body() == first.get_body()
    assert (len(asked), len(read)) == of_one_look


async def test_a_failure_and_its_end_are_told_when_what_was_found_before_is_too_old(
    shop: Shop, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert (await ask()).status_code == HTTPStatus.OK
    for lost, status in ((True, HTTPStatus.SERVICE_UNAVAILABLE), (False, HTTPStatus.OK)):
        before = (await ask()).status_code
        with shop.customers_engine.begin() as connection:
            old, new = ("customers", "lost") if lost else ("lost", "customers")
            connection.execute(sa.text(f"ALTER TABLE {CUSTOMERS.schema}.{old} RENAME TO {new}"))
        now[0] += health.KEPT - 0.1
        assert (await ask()).status_code == before
        now[0] += 0.1
        answers = await asyncio.gather(*(ask() for _ in range(3)))
        assert {answer.status_code for answer in answers} == {status}
    assert json.loads((await ask()).get_body())["status"] in {"ready", "degraded"}


async def test_a_store_that_is_silent_is_told_as_one_that_cannot_be_read(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_view: object) -> list[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(health, "wrong_with", silent)
    monkeypatch.setattr(health, "TIMEOUT", 0.05)
    answer = await asyncio.wait_for(ask(), 10)
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "the read model orders" in json.loads(answer.get_body())["detail"]


async def test_who_goes_away_leaves_the_look_to_those_who_share_it(ask: Ask) -> None:
    first, second = (asyncio.ensure_future(ask()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).status_code == HTTPStatus.OK


async def test_an_app_in_azure_without_authentication_is_not_ready(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSITE_SITE_NAME", "func-tandem")
    assert json.loads((await ask()).get_body())["type"] == "urn:tandem:problem:authentication-off"
