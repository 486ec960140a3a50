"""docs/cost.md: its estimate follows from its tables."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from infra.cost import LIFE, LINES, MONTH, PAGE, PURCHASE, bill, bills, counts, estimate, inputs
from tests.infra.tools import ROOT
from tests.support.app import app_globals, scale_groups

TEXT = PAGE.read_text(encoding="utf-8")


def values(size: str) -> dict[str, Any]:
    """What one size is reckoned from."""
    common, sizes = inputs(TEXT)
    return {**common, **counts(size.split(", ")[1]), **sizes[size]}


def test_the_estimate_is_what_its_tables_and_formulas_give() -> None:
    assert TEXT.endswith(estimate(TEXT)), "run python -m infra.cost --write"


def test_another_price_gives_another_estimate() -> None:
    dearer = TEXT.replace("| `bus_premium` | 0.9275 |", "| `bus_premium` | 1.9275 |")
    assert bills(dearer)["3M, prod"]["Service Bus"] == pytest.approx(730 * 1.9275)
    assert estimate(dearer) != estimate(TEXT)


def test_every_number_of_the_tables_is_used_by_a_formula() -> None:
    formulas = TEXT.partition("The formulas, ")[2]
    unused = {name for name in values("1k, dev") if not re.search(rf"\b{name}\b", formulas)}
    assert unused == {"sql_requests", "message_bytes", "cosmos_requests"}, "those cost nothing by number"


def test_the_lines_are_right_for_round_numbers() -> None:
    common, _ = inputs(TEXT)
    lines = bill({**values("100k, prod"), "units": 0})
    assert lines["Cosmos DB, requests"] == pytest.approx(400 / 100 * 730 * common["cosmos_autoscale"]), "the floor"
    lines = bill(
        {**values("1k, dev"), "orders": 1e6, "write_units": 1e6, "read_units": 0, "related_units": 0, "browsing": 0}
    )
    assert lines["Cosmos DB, requests"] == pytest.approx(1_000 * common["cosmos_serverless"])
    lines = bill({**values("1k, dev"), "orders": 1e6, "write_units": 0, "read_units": 1e6, "related_units": 0})
    asked = 1_000 + common["browsing"]  # of a million each
    assert lines["Cosmos DB, requests"] == pytest.approx(2 * asked * common["cosmos_serverless"]), "two replicas"
    lines = bill(
        {**values("1k, dev"), "orders": 4e6, "messages": 1_000, "related_messages": 0, "order_shares": [1] * 3}
    )
    assert lines["Service Bus"] == pytest.approx(common["bus_base"] + (28 - 13) * common["bus_operations"])
    lines = bill({**values("1k, dev, paid"), "sql_hours": 100})
    assert lines["Azure SQL, compute"] == pytest.approx(100 * 0.5 * common["sql_serverless"])
    assert set(lines) == set(LINES)


def test_an_instance_that_is_kept_warm_sends_metrics_every_minute_whether_or_not_anybody_orders() -> None:
    idle = {**values("100k, prod"), "orders": 0, "relays": 0, "watches": 0, "free_log_gb": 0}
    cold, one, two = (bill({**idle, "warm": warm})["Logs"] for warm in (0, 1, 2))
    assert cold == 0
    assert one > 1
    assert two == pytest.approx(2 * one)
    assert one == pytest.approx(43_800 * idle["instance_series"] * idle["series_bytes"] / 1e9 * idle["log_gb_price"])


def billed(instances: float, executions: float) -> float:
    """Gigabyte seconds on demand of requests of a hundredth of a second, with a free grant of none."""
    given = {**values("1k, dev"), "seconds": 0.01, "spread": instances, "free_gb_s": 0, "free_executions": 1e99}
    alone = {
        "http": executions,
        "order_events": 0,
        "product_events": 0,
        "relays": 0,
        "watches": 0,
        "memory": 1,
        "flex_gb_s": 1,
    }
    return bill({**given, **alone})["Functions, on demand"]


def test_a_lonely_request_is_billed_as_a_second_and_a_crowd_as_the_time_that_it_takes() -> None:
    assert billed(1, 1_000) == pytest.approx(1_000, rel=0.001)
    assert billed(1, 100 * MONTH) == pytest.approx(MONTH)
    assert billed(2, 2 * MONTH) == pytest.approx(2 * MONTH * 0.632, rel=0.001)
    assert billed(1, 500 * MONTH) == pytest.approx(5 * MONTH), "five instances, then"


def of_events(**given: Sequence[float]) -> tuple[float, float]:
    """Executions and busy seconds of a month of nothing but events, as many as there are seconds of each kind."""
    alone = {"http": 0, "order_events": MONTH, "product_events": MONTH, "relays": 0, "watches": 0, "memory": 1}
    prices = {
        "flex_gb_s": 1,
        "flex_executions": 0,
        "free_gb_s": 0,
        "log_gb_price": 1,
        "free_log_gb": 0,
        "log_bytes": 1e9,
    }
    lines = bill({**values("1k, dev"), "order_shares": [], "product_shares": [], **alone, **prices, **given})
    return lines["Logs"], lines["Functions, on demand"]


@pytest.mark.parametrize("shares", ["order_shares", "product_shares"])
def test_each_consumer_is_executed_for_what_its_rule_lets_through_and_busy_by_itself(shares: str) -> None:
    executions, busy = of_events(**{shares: [1]})
    assert (executions, busy) == pytest.approx((MONTH, MONTH * 0.632), rel=0.001)
    assert of_events(**{shares: [1, 1]}) == pytest.approx((2 * executions, 2 * busy))
    assert of_events(**{shares: [1, 0]}) == pytest.approx((executions, busy))
    executions, busy = of_events(**{shares: [0.5]})
    assert (executions, busy) == pytest.approx((MONTH / 2, MONTH * 0.3935), rel=0.001)


def test_of_others_each_rule_lets_one_event_of_an_order_through() -> None:
    given = {**values("1k, dev"), "orders": 20e6, "messages": 0, "related_messages": 0}
    fewer, more = (bill({**given, "order_rules": rules})["Service Bus"] for rules in (1, 2))
    assert more - fewer == pytest.approx(2 * 20 * given["bus_operations"])


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_shares_are_those_of_the_functions_that_a_topic_triggers(environment: str) -> None:
    triggers = [each.get_trigger().get_dict_repr() for each in app_globals()["app"].get_functions()]
    topics = Counter(each.get("topicName") for each in triggers)
    counted = counts(environment)
    for topic, name, types in (("order-events", "order_shares", LIFE), ("product-events", "product_shares", PURCHASE)):
        assert len(counted[name]) == topics[topic] > 0
        takes = [
            each.takes for context in app_globals()["contexts"] for each in context.consumers if each.topic == topic
        ]
        assert sorted(counted[name]) == sorted(sum(map(each, types)) / len(types) for each in takes)


def test_dev_costs_less_than_sixteen_dollars_a_month() -> None:
    assert sum(bill(values("1k, dev")).values()) < 16
    timers = counts("dev")["watches"] * (15 + 1) / 60  # they wake the database, which sleeps a quarter of an hour later
    assert timers < values("1k, dev")["sql_hours"] / 4, "most of what is free is left for whoever tries things"
    assert values("1k, dev")["sql_hours"] * 0.5 <= values("1k, dev")["free_vcore_hours"]


def test_the_counts_are_those_of_the_templates() -> None:
    dev, prod = counts("dev"), counts("prod")
    assert (dev["relays"], dev["watches"]) == pytest.approx((2 * 730 / 24, 730 / 24))
    assert (prod["relays"], prod["watches"]) == pytest.approx((MONTH / 10, MONTH / 60))
    assert (dev["warm"], prod["warm"]) == (0, 2 * len(scale_groups()))
    assert (dev["endpoints"], prod["endpoints"]) == (0, 6)
    assert (dev["vcores"], prod["vcores"], prod["replicas"]) == (0.5, 2, 1)
    assert (dev["autoscale"], prod["autoscale"]) == (0, 4000)
    assert (dev["quorum"], prod["quorum"]) == (2, 2)
    assert (dev["probes"], prod["probes"]) == (0, 5 * MONTH / 300)
    [namespace] = json.loads((ROOT / "infra/local/servicebus.json").read_text(encoding="utf-8"))["UserConfig"][
        "Namespaces"
    ]
    assert dev["metric_series"] == 3 * len(namespace["Topics"]) + 2, "three alerts look at each topic"


def test_a_cell_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match="`flex_gb_s`: 'cheap' is no number"):
        inputs(TEXT.replace("| `flex_gb_s` | 0.000026 |", "| `flex_gb_s` | cheap |"))


def test_the_command_prints_what_the_page_has() -> None:
    command = [sys.executable, "-m", "infra.cost"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert TEXT.endswith(ran.stdout)
