"""The watch goes on after errors: a view or a store that fails holds up nothing else, and only until it is back."""

import asyncio
import json
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import azure.functions as func
import pytest

from shared.contexts import CONTEXTS
from shared.frame.app import App
from shared.frame.http.api import Api
from shared.frame.operations import drift, lag, read_model_routes, rebuilding
from shared.frame.operations.audit import Audit
from shared.frame.operations.dead_letters import path_of
from shared.frame.operations.functions import operations
from shared.frame.operations.read_model_routes import view_functions
from shared.frame.operations.rebuilding import Rebuilding, Step
from shared.frame.operations.tables import SCHEMA
from shared.frame.platform.callers import OPS
from shared.frame.platform.settings import Settings
from shared.frame.read_side.read_model import View
from shared.frame.read_side.read_your_writes import point_read
from shared.frame.read_side.view_state import CONTROL
from shared.frame.sql.engines import sql_engine
from shared.frame.timers import SomeFailed
from shared.kernel.refusals import Refusal
from tests.integration.operations.conftest import LiveShop
from tests.support import principals
from tests.support.database import empty_database
from tests.support.jobs import do
from tests.support.servicebus import CONFIG, running_servicebus
from tests.support.triggers import context, trigger

NOWHERE = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look twice without a long pause, take every event for settled, and a process for dead as soon as it stops."""
    monkeypatch.setattr(drift, "SECOND_LOOK", 0.01)
    monkeypatch.setattr(lag, "SETTLED", lag.SETTLED * 0)
    monkeypatch.setattr(rebuilding, "LEASE", 0.0)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    engine = sql_engine(empty_database(tmp_path), SCHEMA)
    yield Audit(engine)
    engine.dispose()


def watching(live: LiveShop) -> Api:
    """What the timer does for these views; nobody asks for the audit trail here."""
    api = Api("operations")
    view_functions(api, live.read_models, [live.orders_view, live.products_view], cast("Audit", None))
    return api


async def broken(*_: Any) -> Any:
    raise LookupError("an event of a newer release")


async def mark(live: LiveShop, view: View) -> object:
    """How far the watch has found everything applied; None if it has not looked."""
    name = f"mark-{(await view.generations.served()).container.id}"
    return await point_read(live.read_models.container(CONTROL), name, view.name)


async def test_the_mark_of_the_generation_that_is_kept_moves_too(live: LiveShop) -> None:
    await live.open(customers=1, products=2, orders=1)
    await live.fill_a_standby()
    await read_model_routes.watch(live.orders_view, live.read_models, time.time() + 60)
    for generation in (1, 2):
        name = f"mark-{live.orders.container(generation).id}"
        assert await point_read(live.read_models.container(CONTROL), name, live.orders_view.name), generation


async def test_a_view_that_cannot_be_looked_at_keeps_no_other_from_being_watched(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await live.open(customers=1, products=2, orders=3)
    api = watching(live)
    with monkeypatch.context() as breaking:
        breaking.setattr(live.orders_view.source, "newest", broken)
        with pytest.raises(SomeFailed, match=r"^orders$"):  # so that an alarm says who is not watched any more
            await do(api, "watch_projections")
    assert await mark(live, live.products_view)
    assert not await mark(live, live.orders_view)
    assert "orders cannot be held against the log" in caplog.text

    await do(api, "watch_projections")
    assert await mark(live, live.orders_view), "and at the next tick it is looked at again"


async def test_a_rebuild_that_fails_holds_up_no_other_and_goes_on_at_the_next_tick(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await live.open(customers=1, products=2, orders=3)
    views = (live.orders_view, live.products_view)
    for view in views:
        await Rebuilding(live.read_models, view).start()  # by a process that died then

    async def steps() -> list[Step]:
        latest = [await Rebuilding(live.read_models, view).latest() for view in views]
        return [each.step for each in latest if each is not None]

    api = watching(live)
    with monkeypatch.context() as breaking:
        breaking.setattr(live.orders_view.source, "fill", broken)
        with pytest.raises(SomeFailed, match=r"^orders$"):  # so that an alarm says that one does not go on
            await do(api, "continue_rebuilds")
    assert await steps() == [Step.FILLING, Step.DONE]
    assert "rebuilding orders waits for the next tick" in caplog.text
    await do(api, "continue_rebuilds")
    assert await steps() == [Step.DONE, Step.DONE]


async def test_who_begins_a_rebuild_carries_it_on_for_longer_than_a_tick(
    live: LiveShop, monkeypatch: pytest.MonkeyPatch, audit: Audit
) -> None:
    monkeypatch.setattr(read_model_routes, "REBUILDS_FOR", 0.0)
    await live.open(customers=1, products=2, orders=3)
    api, process = Api("operations"), Rebuilding(live.read_models, live.orders_view)
    view_functions(api, live.read_models, [live.orders_view], audit)
    request = func.HttpRequest(
        "POST",
        "http://host/api/ops/projections/orders/rebuild",
        headers=principals.shop(OPS),
        route_params={"view": "orders"},
        body=b"",
    )
    begin = cast("Any", trigger(api.blueprint, "post_projection_rebuild"))
    begun = await begin(request, context())
    assert begun.status_code == HTTPStatus.OK, begun.get_body()
    async with asyncio.timeout(30):
        while (latest := await process.latest()) is None or latest.step is not Step.DONE:
            await live.act()


@pytest.mark.parametrize(("body", "insists"), [(b"", False), (b'{"evenIfIncomplete": true}', True)])
async def test_a_roll_back_insists_where_the_operator_does(
    live: LiveShop, audit: Audit, monkeypatch: pytest.MonkeyPatch, body: bytes, *, insists: bool
) -> None:
    insisted = list[bool]()

    async def refuse(_rebuilding: Rebuilding, *, even_if_incomplete: bool = False) -> None:
        insisted.append(even_if_incomplete)
        raise Refusal("not now")

    monkeypatch.setattr(Rebuilding, "roll_back", refuse)
    api = Api("operations")
    view_functions(api, live.read_models, [live.orders_view], audit)
    request = func.HttpRequest(
        method="POST",
        url="http://host/api/ops/projections/orders/roll-back",
        headers=principals.shop(OPS) | {"Content-Type": "application/json"},
        route_params={"view": "orders"},
        body=body,
    )
    roll_back = cast("Any", trigger(api.blueprint, "post_projection_roll_back"))
    assert (await roll_back(request, context())).status_code == HTTPStatus.CONFLICT
    assert insisted == [insists]


async def test_a_subscription_that_is_missing_is_a_failure_of_the_watch(live: LiveShop) -> None:
    """The alarm silent-timer tells of it; until then nobody would notice that its consumer gets nothing."""
    topology = json.loads(CONFIG.read_text(encoding="utf-8"))
    [topic] = [each for each in topology["UserConfig"]["Namespaces"][0]["Topics"] if each["Name"] == "customer-events"]
    gone = topic["Subscriptions"].pop()["Name"]
    with running_servicebus(topology) as connection:
        wired = App(Settings(sql=live.shop.url, cosmos="", service_bus=connection), live.read_models)
        api = operations(wired, [declare(wired) for declare in CONTEXTS])
        with pytest.raises(SomeFailed, match=rf"^customer-events/{gone}$"):
            await do(api, "watch_subscriptions")


async def test_service_bus_that_is_away_is_a_failure_of_the_watch(live: LiveShop) -> None:
    """It may be so for this identity alone, while events are published by another: then nothing else tells of it."""
    settings = Settings(sql=live.shop.url, cosmos="", service_bus=NOWHERE)
    wired = App(settings, live.read_models)
    contexts = [declare(wired) for declare in CONTEXTS]
    api = operations(wired, contexts)
    all_of_them = ", ".join(path_of(consumer) for context in contexts for consumer in context.consumers)
    for _ in range(2):
        with pytest.raises(SomeFailed, match=f"^{all_of_them}$"):
            await do(api, "watch_subscriptions")
