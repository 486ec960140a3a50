"""One timer for all relays and one for all watches: each piece of work for itself."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import azure.functions as func
import pytest

from shared.catalog import tables
from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.platform.jobs import Job, Tick
from shared.frame.platform.settings import Settings
from shared.frame.platform.threads import Threads
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.timers import SomeFailed, timers
from tests.support.telemetry import observing


def invocation() -> func.Context:
    return cast("func.Context", SimpleNamespace(invocation_id="one", thread_local_storage=threading.local()))


def function(jobs: list[Job], name: str) -> Any:
    found = {each.get_function_name(): each.get_user_function() for each in function_app(jobs).get_functions()}
    return found[name]


def function_app(jobs: list[Job]) -> func.FunctionApp:
    app = func.FunctionApp()
    app.register_functions(timers(jobs))
    return app


def relays_of(**sweeps: Callable[[], Any]) -> list[Job]:
    return [Job(f"the relay of {name}", sweep, Tick.RELAY) for name, sweep in sweeps.items()]


def test_there_are_two_timers_whatever_the_number_of_contexts() -> None:
    names = [each.get_function_name() for each in function_app(relays_of(a=print, b=print)).get_functions()]
    assert names == ["relay_events", "keep_watch"]


@pytest.mark.parametrize(
    "declare",
    [
        lambda context: context.metrics(lambda _: {}),
        lambda context: context.job("look", look, every=Tick.WATCH),
        lambda context: context.job("look", print, every=Tick.RELAY),
    ],
    ids=["metrics", "async", "sync"],
)
def test_a_job_is_declared_once_so_that_none_takes_another_s_place(declare: Callable[[Context[Any]], None]) -> None:
    settings = Settings(sql="sqlite://", cosmos="", service_bus="")  # declaring connects to nothing
    app = App(settings, CosmosDatabase(settings))
    context = Context(app, tables.SCHEMA, tables.LOG, "product-events", tables.EVERY_TABLE)
    declare(context)
    timers(context.jobs)
    declare(context)
    with pytest.raises(ValueError, match=r"^'(look|catalog figures)' is declared twice$"):
        timers(context.jobs)


async def look() -> None:
    """Look."""


async def test_a_relay_that_fails_does_not_keep_the_others_from_running_and_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran = []

    def fails() -> None:
        raise LookupError("broken")

    jobs = relays_of(orders=fails, products=lambda: ran.append("products"))
    with pytest.raises(SomeFailed, match=r"^the relay of orders$"):
        await function(jobs, "relay_events")(None, invocation())
    assert ran == ["products"]
    assert "the relay of orders failed" in caplog.text
    assert "LookupError: broken" in caplog.text


async def test_a_relay_that_hangs_keeps_nobody_waiting() -> None:
    released = threading.Event()
    jobs = relays_of(orders=lambda: released.wait(10), products=released.set)
    await asyncio.wait_for(function(jobs, "relay_events")(None, invocation()), 5)


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> Threads:
    """The one thread that relays have."""
    one = Threads("sweeping", 1)
    monkeypatch.setattr("shared.frame.timers.SWEEPING", one)
    return one


async def test_what_a_relay_logs_belongs_to_the_invocation_and_what_the_thread_logs_later_does_not(
    thread: Threads,
) -> None:
    context, seen = invocation(), []
    storage = context.thread_local_storage
    jobs = relays_of(orders=lambda: seen.append((storage, storage.invocation_id)))  # type: ignore[attr-defined]
    await function(jobs, "relay_events")(None, context)
    assert seen == [(storage, "one")]
    assert await thread.run(lambda: storage.invocation_id) is None  # type: ignore[attr-defined]


async def test_the_thread_of_a_relay_that_failed_logs_for_nobody_either(thread: Threads) -> None:
    context = invocation()

    def fails() -> None:
        raise LookupError

    with pytest.raises(SomeFailed):
        await function(relays_of(orders=fails), "relay_events")(None, context)
    storage = context.thread_local_storage
    assert await thread.run(lambda: storage.invocation_id) is None  # type: ignore[attr-defined]


async def test_a_store_that_is_away_is_one_line_at_each_tick(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ConnectionRefusedError(111, "refused")

    with pytest.raises(SomeFailed):
        await function(relays_of(orders=fails), "relay_events")(None, invocation())
    [line] = [record for record in caplog.records if record.name == "shared.frame.timers"]
    assert line.exc_info is None
    assert line.getMessage().endswith("at the next tick: ConnectionRefusedError: [Errno 111] refused")


async def test_all_that_failed_are_named() -> None:
    def fails() -> None:
        raise LookupError

    with pytest.raises(SomeFailed, match=r"^the relay of orders, the relay of products$"):
        await function(relays_of(orders=fails, products=fails), "relay_events")(None, invocation())


async def test_what_was_done_is_counted_and_what_failed_is_not() -> None:
    def fails() -> None:
        raise LookupError

    with observing() as observed:
        with pytest.raises(SomeFailed):
            await function(relays_of(orders=fails, products=print), "relay_events")(None, invocation())
        await function([Job("looks", look, Tick.WATCH)], "keep_watch")(None, invocation())
    done = [(point.attributes or {})["tandem.work"] for point in observed.points("tandem.work.done")]
    assert sorted(map(str, done)) == ["looks", "the relay of products"]


async def test_what_failed_at_one_tick_is_done_at_the_next() -> None:
    ticks = []

    def fails_once() -> None:
        ticks.append(1)
        if len(ticks) == 1:
            raise LookupError

    relay = function(relays_of(orders=fails_once), "relay_events")
    with pytest.raises(SomeFailed):
        await relay(None, invocation())
    await relay(None, invocation())
    assert len(ticks) == 2


async def test_a_watch_that_fails_does_not_keep_the_others_from_looking() -> None:
    looked = []

    async def breaks() -> None:
        raise LookupError

    async def looks() -> None:
        looked.append("on the loop")

    jobs = [
        Job("breaks", breaks, Tick.WATCH),
        Job("looks", looks, Tick.WATCH),
        Job("looks, too", lambda: looked.append("on a thread"), Tick.WATCH),
    ]
    with pytest.raises(SomeFailed, match=r"^breaks$"):
        await function(jobs, "keep_watch")(None, invocation())
    assert sorted(looked) == ["on a thread", "on the loop"]
