"""The app as it is deployed has every timer and trigger that the system relies on, and each is wired to its work."""

import json
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from azure.functions import AuthLevel, HttpRequest

from shared.frame.http.api import Api
from shared.frame.platform.jobs import Tick
from tests.support import principals
from tests.support.app import app_globals
from tests.support.rules import is_own
from tests.support.stack import ROOT

APP = app_globals()
APIS: list[Api] = APP["apis"]
REGISTERED: list[Any] = APP["app"].get_functions()  # an app gives them only once
TRIGGERS: dict[str, Any] = {each.get_function_name(): each.get_trigger() for each in REGISTERED}
FUNCTIONS: dict[str, Any] = {each.get_function_name(): each.get_user_function() for each in REGISTERED}
TOPOLOGY = json.loads((ROOT / "infra/local/servicebus.json").read_text(encoding="utf-8"))


def named(every: Tick) -> set[str]:
    return {job.name for api in APIS for job in api.jobs if job.every is every}


def test_both_timers_are_in_the_app_on_their_own_schedules() -> None:
    timers = {name: each.schedule for name, each in TRIGGERS.items() if each.type == "timerTrigger"}
    assert timers == {"relay_events": "%RelaySchedule%", "keep_watch": "%WatchSchedule%"}


def test_the_relay_timer_sweeps_every_topic_that_there_is() -> None:
    assert named(Tick.RELAY) == {f"the relay of {topic}" for topic in topics()} | {"deadlines", "waiting orders"}


def test_the_watch_timer_does_all_that_is_to_be_done_from_time_to_time() -> None:
    assert named(Tick.WATCH) == {
        *("watch_subscriptions", "continue_rebuilds", "watch_projections", "look_after_payments"),
        *("catalog figures", "ordering figures", "payments figures"),
        *("erase_customers", "erase_orders", "forget_erased"),
    }


async def test_the_timers_of_the_app_do_all_of_that(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[set[str]] = []

    async def noting(pieces: Mapping[str, object]) -> None:
        done.append(set(pieces))

    monkeypatch.setattr("shared.frame.timers.beside_one_another", noting)
    await FUNCTIONS["relay_events"](None, None)
    await FUNCTIONS["keep_watch"](None, None)
    assert done == [named(Tick.RELAY), named(Tick.WATCH)]


def test_every_subscription_of_the_app_has_a_trigger_in_it() -> None:
    triggers = {
        (each.topic_name, each.subscription_name) for each in TRIGGERS.values() if each.type == "serviceBusTrigger"
    }
    assert triggers == {(topic, name) for topic, names in topics().items() for name in names}


def test_callers_need_no_key_of_the_functions_host_beside_their_token() -> None:
    assert {each.auth_level for each in TRIGGERS.values() if each.type == "httpTrigger"} == {AuthLevel.ANONYMOUS}


def test_what_answers_where_no_route_fits_knows_every_route() -> None:
    context = SimpleNamespace(invocation_id="i", trace_context=SimpleNamespace(trace_parent=None))
    for operation in APP["routes"]:
        url = f"http://host/api/{operation.route}"
        asked = HttpRequest(method="PATCH", url=url, headers=principals.shop(), body=b"")
        assert FUNCTIONS["zz_no_route"](asked, context).status_code == 405, operation.route


def test_an_erasure_can_be_withdrawn_for_three_days_unless_a_setting_says_otherwise() -> None:
    [erasures] = [
        command.handler.__self__
        for context in APP["contexts"]
        for command in context.commands
        if command.name == "post_customer_erase"
    ]
    assert erasures.grace == timedelta(days=3)


def topics() -> dict[str, list[str]]:
    """Topics and the system's own subscriptions, as the engine is given them."""
    return {
        topic["Name"]: [each["Name"] for each in topic.get("Subscriptions", ()) if is_own(each)]
        for namespace in TOPOLOGY["UserConfig"]["Namespaces"]
        for topic in namespace["Topics"]
    }
