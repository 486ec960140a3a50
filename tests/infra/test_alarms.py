"""Each alarm's query, run over rows like those that the workspace gets: when it fires, and when it does not.

DuckDB runs the queries, by duckdb-kql. That the workspace takes them is tested in test_queries.py.
"""

import json
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb_kql
import pytest

from tests.infra.snapshots import PROD, SNAPSHOTS, Snapshot
from tests.support.app import app_globals

WORK = {job.name for api in app_globals()["apis"] for job in api.jobs}
"""All that the timers of the app do."""

GAUGES = {
    "tandem.outbox.oldest": {name for name in WORK if name.startswith("the relay of ")},
    "tandem.subscription.oldest": {"watch_subscriptions"},
    "tandem.view.wrong": {"watch_projections"},
    "tandem.view.differences": {"watch_projections"},
    "tandem.view.unapplied": {"watch_projections"},
    "tandem.stock.oldest_waiting": {"catalog figures"},
    "tandem.fulfilment.overdue": {"ordering figures"},
    "tandem.erasure.overdue": {"erase_customers"},
    "tandem.erasure.unerased": {"ordering figures"},
    "tandem.payment.oldest_due": {"payments figures"},
}
"""Who measures what alarms go by."""

COUNTERS = {"tandem.payment.provider_errors", "tandem.work.done"}
"""What they count: none is nothing to be alarmed by, or is the alarm."""

DURATIONS = {f"PT{count}M": timedelta(minutes=count) for count in (5, 15, 20, 30, 45)} | {"P2D": timedelta(days=2)}
LATE = timedelta(minutes=5)
"""After which a row has arrived: two to three minutes are usual.
https://learn.microsoft.com/azure/azure-monitor/logs/data-ingestion-time"""
FIVE = timedelta(minutes=5, seconds=30)


class Workspace:
    """The tables that the alarms ask, as far as they ask them."""

    def __init__(self) -> None:
        self._database = duckdb_kql.connect()
        self._database.execute(
            "CREATE TABLE AppMetrics (TimeGenerated TIMESTAMP, Name VARCHAR, Properties JSON, Max DOUBLE, Sum DOUBLE)"
        )
        self._database.execute(
            "CREATE TABLE AppRequests"
            " (TimeGenerated TIMESTAMP, Id VARCHAR, Name VARCHAR, ResultCode VARCHAR, OperationId VARCHAR,"
            " ItemCount INT)"
        )
        self._database.execute(
            "CREATE TABLE AppTraces (TimeGenerated TIMESTAMP, Message VARCHAR, OperationId VARCHAR, ParentId VARCHAR)"
        )
        self._now = datetime.now(UTC).replace(tzinfo=None)

    def measured(self, metric: str, ago: timedelta, attributes: dict[str, str], value: float = 1) -> None:
        """Add the row of a metric."""
        row = [self._now - ago, metric, json.dumps(attributes), value, value]
        self._database.execute("INSERT INTO AppMetrics VALUES (?, ?, ?, ?, ?)", row)

    def did(self, work: Iterable[str], ago: timedelta) -> None:
        """Add the rows of timers' work that ended well."""
        for name in work:
            self.measured("tandem.work.done", ago, {"tandem.work": name})

    def answered(
        self, status: int, ago: timedelta, logged: str | None = None, trace: str | None = None, requests: int = 1
    ) -> None:
        """Add the row of a request, and of what the app logged of it, in a trace of its own or the caller's.

        Args:
            status: what was answered.
            ago: when.
            logged: the app's line.
            trace: the caller's, if it gave one.
            requests: how many the row stands for, where only a share of them is recorded.
        """
        operation, span = trace or secrets.token_hex(16), secrets.token_hex(8)
        row = [self._now - ago, span, "get_order", str(status), operation, requests]
        self._database.execute("INSERT INTO AppRequests VALUES (?, ?, ?, ?, ?, ?)", row)
        if logged is not None:
            line = [self._now - ago, logged, operation, span]
            self._database.execute("INSERT INTO AppTraces VALUES (?, ?, ?, ?)", line)

    def fires(self, environment: Snapshot, alarm: str) -> bool:
        """Whether the alarm's rule finds itself broken now: over the time that it looks at, as Azure Monitor does."""
        rule = environment.alarms()[alarm]["properties"]
        [criterion] = rule["criteria"]["allOf"]
        assert (criterion["operator"], criterion["timeAggregation"]) == ("GreaterThan", "Maximum")
        since = self._now - looked_at(rule)
        lately = rf"\g<0> | where TimeGenerated > datetime({since.isoformat()})"
        query = re.sub(r"\bApp\w+(?= \|)", lately, criterion["query"])
        column = criterion["metricMeasureColumn"]
        values = [row[0] for row in duckdb_kql.kql(self._database, f"{query} | project {column}").fetchall()]
        return any(value is not None and value > criterion["threshold"] for value in values)


def looked_at(rule: dict[str, Any]) -> timedelta:
    """The time before an evaluation that a rule looks at."""
    return DURATIONS[rule.get("overrideQueryTimeRange") or rule["windowSize"]]


def queries_of(environment: Snapshot) -> dict[str, str]:
    """The query of each alarm that asks the workspace."""
    rules = {name: rule["properties"]["criteria"].get("allOf", [{}]) for name, rule in environment.alarms().items()}
    return {name: criterion["query"] for name, [criterion] in rules.items() if "query" in criterion}


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


def between_runs(environment: Snapshot) -> timedelta:
    return timedelta(minutes=1) if environment is PROD else timedelta(days=1)


everywhere = pytest.mark.parametrize("environment", SNAPSHOTS.values(), ids=SNAPSHOTS)


@everywhere
def test_timers_that_run_are_not_silent(workspace: Workspace, environment: Snapshot) -> None:
    workspace.did(WORK, between_runs(environment))
    assert not workspace.fires(environment, "silent-timer")


@everywhere
@pytest.mark.parametrize("one", sorted(WORK))
def test_work_that_is_not_done_for_days_is_missed(workspace: Workspace, environment: Snapshot, one: str) -> None:
    workspace.did(WORK, timedelta(days=3))
    workspace.did(WORK - {one}, between_runs(environment))
    assert workspace.fires(environment, "silent-timer")


@everywhere
def test_when_all_are_silent_for_days_nobody_is_told_that_it_is_over(
    workspace: Workspace, environment: Snapshot
) -> None:
    workspace.did(WORK, timedelta(days=3))
    assert workspace.fires(environment, "silent-timer")
    workspace.answered(200, timedelta(minutes=1))
    assert workspace.fires(environment, "silent-timer"), "somebody calls, and still nothing is done"


def test_whoever_measures_what_an_alarm_goes_by_is_missed_when_it_does_not() -> None:
    for environment in SNAPSHOTS.values():
        queries = queries_of(environment)
        asked = {name for query in queries.values() for name in re.findall(r'"(tandem\.[\w.]+)"', query)}
        assert asked - {"tandem.work", "tandem.view"} == GAUGES.keys() | COUNTERS
        missed = set(re.findall(r'"([^"]+)"', queries["silent-timer"]))
        for measured_by in GAUGES.values():
            assert measured_by
            assert measured_by <= missed


def test_what_another_instance_did_before_counts_once(workspace: Workspace) -> None:
    for minutes in range(10):
        workspace.did(WORK - {"deadlines"}, timedelta(minutes=minutes))
    assert workspace.fires(PROD, "silent-timer")
    workspace.did({"deadlines"}, timedelta(minutes=1))
    assert not workspace.fires(PROD, "silent-timer")


@everywhere
def test_what_is_measured_once_is_seen_though_it_arrives_later_than_the_next_evaluation(environment: Snapshot) -> None:
    """In dev a timer runs once a day."""
    for alarm in queries_of(environment):
        rule = environment.alarms()[alarm]["properties"]
        assert looked_at(rule) >= DURATIONS[rule["evaluationFrequency"]] + LATE, alarm


@everywhere
@pytest.mark.parametrize("arrives_after", [timedelta(0), LATE])
def test_errors_of_the_servers_are_seen_though_they_arrive_late(
    workspace: Workspace, environment: Snapshot, arrives_after: timedelta
) -> None:
    """The last evaluation in time for a row finds it so old."""
    between = DURATIONS[environment.alarms()["server-errors"]["properties"]["evaluationFrequency"]]
    for _ in range(11):
        workspace.answered(500, LATE + arrives_after + between - timedelta(seconds=30))
    assert workspace.fires(environment, "server-errors")


def test_errors_of_the_servers_are_counted_where_only_a_share_of_all_requests_is_recorded(workspace: Workspace) -> None:
    workspace.answered(500, FIVE, requests=10)
    assert not workspace.fires(PROD, "server-errors")
    workspace.answered(500, FIVE, requests=10)
    assert workspace.fires(PROD, "server-errors")


@everywhere
def test_a_single_event_that_nobody_takes_in_is_told_of_and_a_backlog_that_moves_is_not(
    workspace: Workspace, environment: Snapshot
) -> None:
    """Fifty orders a day come to no count of messages that one could be alarmed by."""
    idle = {"messaging.destination.name": "order-events", "messaging.destination.subscription.name": "billing"}
    stuck = idle | {"messaging.destination.subscription.name": "catalog"}
    workspace.measured("tandem.subscription.oldest", FIVE, idle, 0)
    workspace.measured("tandem.subscription.oldest", FIVE, stuck, 890)
    assert not workspace.fires(environment, "waiting-events")
    workspace.measured("tandem.subscription.oldest", FIVE, stuck, 910)
    assert workspace.fires(environment, "waiting-events")


@everywhere
def test_a_view_that_lacks_an_event_all_the_time_is_told_of_and_one_that_catches_up_is_not(
    workspace: Workspace, environment: Snapshot
) -> None:
    """An event that was published and never came is in no count of messages, and not all is compared at each tick."""
    orders, products = ({"tandem.view": view} for view in ("orders", "products"))
    for metric in ("tandem.view.wrong", "tandem.view.differences", "tandem.view.unapplied"):
        workspace.measured(metric, FIVE, products, 0)
    for minutes, unapplied in ((8, 40), (7, 0), (6, 25)):
        workspace.measured("tandem.view.unapplied", timedelta(minutes=minutes), orders, unapplied)
    assert not workspace.fires(environment, "read-model-wrong")
    workspace.measured("tandem.view.unapplied", FIVE, {"tandem.view": "related"}, 1)
    assert workspace.fires(environment, "read-model-wrong")


@everywhere
@pytest.mark.parametrize("metric", ["tandem.view.wrong", "tandem.view.differences"])
def test_a_view_that_is_found_wrong_once_is_told_of(workspace: Workspace, environment: Snapshot, metric: str) -> None:
    for minutes, value in ((8, 0), (7, 1), (6, 0)):
        workspace.measured(metric, timedelta(minutes=minutes), {"tandem.view": "orders"}, value)
    assert workspace.fires(environment, "read-model-wrong")


@everywhere
def test_a_topic_is_told_of_when_it_is_half_full(environment: Snapshot) -> None:
    """It has the most room that its tier gives, shared by all subscriptions; a full one takes no event."""
    premium = environment.one("ServiceBus/namespaces")["sku"]["name"] == "Premium"
    rooms = [topic["properties"]["maxSizeInMegabytes"] for topic in environment.of("ServiceBus/namespaces/topics")]
    assert set(rooms) == {81920 if premium else 5120}
    [criterion] = environment.alarms()["topic-size"]["properties"]["criteria"]["allOf"]
    assert (criterion["metricName"], criterion["timeAggregation"]) == ("Size", "Maximum")
    assert criterion["threshold"] == rooms[0] * 2**20 / 2
    assert [dimension["name"] for dimension in criterion["dimensions"]] == ["EntityName"], "each for itself"


@everywhere
def test_what_the_provider_refuses_for_good_hides_no_outage(workspace: Workspace, environment: Snapshot) -> None:
    for _ in range(11):
        workspace.measured("tandem.payment.provider_errors", FIVE, {"tandem.step": "Refund", "error.type": "refused"})
    assert not workspace.fires(environment, "payment-provider")
    for why in ("unavailable", "invalid") * 5:
        workspace.measured("tandem.payment.provider_errors", FIVE, {"tandem.step": "Open", "error.type": why})
    assert not workspace.fires(environment, "payment-provider")
    workspace.measured("tandem.payment.provider_errors", FIVE, {"tandem.step": "Refund", "error.type": "unavailable"})
    assert workspace.fires(environment, "payment-provider")


def test_what_a_caller_does_to_themselves_is_no_error_of_the_servers(workspace: Workspace) -> None:
    """Else a customer's own fourth command at a time, eleven times, wakes somebody."""
    for code in ("overloaded", "read-model-behind") * 50:
        workspace.answered(503, FIVE, f"asked too soon: {code}")
    for _ in range(10):
        workspace.answered(503, FIVE)
    assert not workspace.fires(PROD, "server-errors")
    workspace.answered(500, FIVE, "a request failed")
    assert workspace.fires(PROD, "server-errors")


def test_who_asks_too_soon_hides_no_other_request_of_the_same_trace(workspace: Workspace) -> None:
    """A page may make all of its calls under one trace, and the caller picks its id."""
    trace = secrets.token_hex(16)
    workspace.answered(503, FIVE, "asked too soon: overloaded", trace)
    for _ in range(10):
        workspace.answered(500, FIVE, "a request failed", trace)
    assert not workspace.fires(PROD, "server-errors")
    workspace.answered(500, FIVE, "a request failed", trace)
    assert workspace.fires(PROD, "server-errors")


@pytest.mark.parametrize("status", [500, 503])
def test_errors_of_the_servers_are_told_of_when_both_tables_have_had_time(workspace: Workspace, status: int) -> None:
    for _ in range(11):
        workspace.answered(status, LATE - timedelta(seconds=30))
        workspace.answered(404, FIVE)
    assert not workspace.fires(PROD, "server-errors")
    for _ in range(11):
        workspace.answered(status, timedelta(minutes=17))
    assert workspace.fires(PROD, "server-errors")
