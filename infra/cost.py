"""Reckon what a month costs: `python -m infra.cost` prints the estimate of docs/cost.md, `--write` puts it there.

The page's tables are the input, and what the snapshots of the templates (infra/*.snapshot.json) have of each thing:
change a price there or a size in a parameter file, and run it again. Amounts are in US dollars, without tax and
discounts.
"""

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from infra.local.host.timers import parse_schedule
from infra.local.rules import kept_away

PAGE = Path(__file__).parents[1] / "docs" / "cost.md"
HEADING = "## The estimate\n"

HOURS = 730
"""Hours of a month, as Azure's price lists reckon."""

MONTH = HOURS * 3_600
"""Seconds of a month."""

LIFE = ("OrderCreatedV1", "OrderItemsAddedV1", "OrderSubmittedV2", "OrderConfirmedV1", "OrderCompletedV1")
"""The events of an order: `messages`."""

PURCHASE = ("BoughtTogetherV1",)
"""The events of the catalogue that are reckoned: `related_messages`."""

QUORUM = ("Strong", "BoundedStaleness")
"""Consistency levels of Cosmos DB whose reads ask two replicas, and cost twice; others' ask one."""

BUSY = "max(n * seconds, spread * MONTH * (1 - exp(-n * max(seconds, least_seconds) / (spread * MONTH))))"
"""Seconds that the instances of a scale group are billed as busy, for so many activities; the page tells why."""

BUSY_SHARES = "sum(busy(share * n) for share in shares)"
"""The same of several groups, each of which is started for a share of so many events."""

NAMES = {
    "http": "(commands + queries) * orders / 1000 + browsing * orders",
    "order_events": "messages * orders / 1000",
    "product_events": "related_messages * orders / 1000",
    "executions": "http + sum(order_shares) * order_events + sum(product_shares) * product_events + relays + watches",
    "busy_seconds": "busy(http) + busy_shares(order_shares, order_events) + busy_shares(product_shares, product_events)"
    " + busy(relays) + busy(watches)",
    "gigabyte_seconds": "busy_seconds * memory",
    "units": "(write_units + quorum * read_units + related_units) * orders / 1000 + quorum * browsing * orders",
    "deliveries": "order_events * (1 + 2 * sum(order_shares)) + product_events * (1 + 2 * sum(product_shares))"
    " + 2 * order_rules * orders",
    "sql_gb": "12 * orders / 1000 * (2 * (payload_characters + related_characters)"
    " + row_bytes * (messages + related_messages)) / 1e9",
    "cosmos_gb": "12 * orders / 1000 * (document_bytes + related_bytes) / 1e9",
    "log_gb": "(executions * log_bytes + warm * MONTH / 60 * instance_series * series_bytes) / 1e9",
}
"""Quantities of a month; what is stored is what a year has left."""

LINES = {
    "Functions, on demand": "(not warm) * (max(0, gigabyte_seconds - free_gb_s) * flex_gb_s"
    " + max(0, executions - free_executions) / 1e6 * flex_executions)",
    "Functions, kept warm": "warm * memory * MONTH * warm_gb_s"
    " + (warm > 0) * (gigabyte_seconds * warm_used_gb_s + executions / 1e6 * flex_executions)",
    "Azure SQL, compute": "max(0, sql_hours * vcores - free_vcore_hours) * (1 + replicas)"
    " * (sql_hyperscale if hyperscale else sql_serverless)",
    "Azure SQL, storage": "sql_gb * (sql_hyperscale_gb if hyperscale else sql_serverless_gb)",
    "Cosmos DB, requests": "max(autoscale / 10, units / MONTH * peak) / 100 * HOURS * cosmos_autoscale"
    " if autoscale else units / 1e6 * cosmos_serverless",
    "Cosmos DB, storage": "cosmos_gb * cosmos_gb_month",
    "Service Bus": "HOURS * bus_premium if premium else bus_base + max(0, deliveries / 1e6 - 13) * bus_operations",
    "Private network": "endpoints * HOURS * endpoint_hour + dns_zones * dns_zone",
    "Alerts": "log_alerts_5 * log_alert_5 + log_alerts_15 * log_alert_15 + metric_series * metric_serie"
    " + probes * probe",
    "Logs": "max(0, log_gb - free_log_gb) * log_gb_price",
}
"""Each line of the bill, in US dollars a month."""


def counts(environment: str) -> dict[str, Any]:
    """Count in an environment's snapshot what the bill goes by; see bicep.py."""
    file = PAGE.parents[1] / "infra" / f"{environment}.snapshot.json"
    kinds: dict[str, list[dict[str, Any]]] = {}
    for resource in json.loads(file.read_text(encoding="utf-8"))["predictedResources"]:
        kinds.setdefault(resource["type"].removeprefix("Microsoft."), []).append(resource)
    [site], [plan], [bus], [database] = (
        kinds[kind] for kind in ("Web/sites", "Web/serverfarms", "ServiceBus/namespaces", "Sql/servers/databases")
    )
    [read_models], [account] = (
        kinds[kind] for kind in ("DocumentDB/databaseAccounts/sqlDatabases", "DocumentDB/databaseAccounts")
    )
    scale = site["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    settings = {each["name"]: each["value"] for each in site["properties"]["siteConfig"]["appSettings"]}
    sku, size = database["sku"]["name"], database["properties"]
    queries = [each["properties"]["evaluationFrequency"] for each in kinds["Insights/scheduledQueryRules"]]
    topics = [each["name"].rpartition("/")[2] for each in kinds["ServiceBus/namespaces/topics"]]
    shares, rules = _shares(kinds), _rules_of_others(kinds)
    series = [
        len(topics) if dimension["values"] == ["*"] else len(dimension["values"])
        for alert in kinds["Insights/metricAlerts"]
        for criterion in alert["properties"]["criteria"].get("allOf", [{"dimensions": None}])
        for dimension in criterion["dimensions"] or [{"values": ["all"]}]
    ]
    return {
        "relays": _runs(settings["RelaySchedule"]),
        "watches": _runs(settings["WatchSchedule"]),
        "warm": sum(each["instanceCount"] for each in scale["alwaysReady"]),
        "spread": 2 if plan["properties"]["zoneRedundant"] else 1,
        "memory": scale["instanceMemoryMB"] / 1024,
        "hyperscale": float(sku.startswith("HS_")),
        "vcores": float(size["minCapacity"] or sku.rpartition("_")[2]),
        "replicas": size["highAvailabilityReplicaCount"] or 0,
        "free_vcore_hours": FREE_VCORE_SECONDS / 3_600 if size["useFreeLimit"] else 0,
        "quorum": 2 if account["properties"]["consistencyPolicy"]["defaultConsistencyLevel"] in QUORUM else 1,
        "autoscale": read_models["properties"]["options"].get("autoscaleSettings", {}).get("maxThroughput", 0),
        "premium": float(bus["sku"]["name"] == "Premium"),
        "order_shares": shares("order-events", LIFE),
        "product_shares": shares("product-events", PURCHASE),
        "order_rules": rules["order-events"],
        "endpoints": len(kinds.get("Network/privateEndpoints", ())),
        "dns_zones": len(kinds.get("Network/privateDnsZones", ())),
        "log_alerts_5": queries.count("PT5M"),
        "log_alerts_15": queries.count("PT15M"),
        "metric_series": sum(series),
        "probes": sum(
            len(each["properties"]["Locations"]) * MONTH / each["properties"]["Frequency"]
            for each in kinds.get("Insights/webtests", ())
        ),
    }


type Kinds = Mapping[str, list[dict[str, Any]]]
"""Resources by their type."""

_RULES = "ServiceBus/namespaces/topics/subscriptions/rules"


def _shares(kinds: Kinds) -> Callable[[str, Sequence[str]], Sequence[float]]:
    """Give a function that tells how much of these events each of the app's own subscriptions to a topic lets in."""
    own = [each for each in kinds[_RULES] if each["properties"]["filterType"] == "SqlFilter"]

    def shares(topic: str, events: Sequence[str]) -> Sequence[float]:
        rules = [each["properties"]["sqlFilter"] for each in own if each["name"].split("/")[1] == topic]
        kept = [kept_away(rule["sqlExpression"]) for rule in rules]
        return [sum(event not in ignored for event in events) / len(events) for ignored in kept]

    return shares


def _rules_of_others(kinds: Kinds) -> Counter[str]:
    """Count the rules of other systems' subscriptions by topic."""
    others = (each for each in kinds[_RULES] if each["properties"]["filterType"] == "CorrelationFilter")
    return Counter(each["name"].split("/")[1] for each in others)


FREE_VCORE_SECONDS = 100_000
"""A month of Azure SQL's free offer, for each of ten databases:
https://learn.microsoft.com/azure/azure-sql/database/free-offer"""


@cache
def _runs(schedule: str) -> float:
    """How often a schedule comes round in a month, from how often it does in a day."""
    begin = datetime(2026, 11, 2, tzinfo=UTC)
    after, at, count = parse_schedule("timer", schedule), begin - timedelta(seconds=1), 0
    while (at := after(at)) < begin + timedelta(days=1):
        count += 1
    return count / 24 * HOURS


def inputs(page: str) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Read the page's tables: what holds for every size, and each size's own values.

    Raises:
        ValueError: a cell is no number; the message names its row.
    """
    common: dict[str, float] = {}
    sizes: dict[str, dict[str, float]] = {}
    for table in re.findall(r"(?:^\|.*\n)+", page.partition(HEADING)[0], re.MULTILINE):
        header, _, *rows = [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in table.splitlines()]
        for name, *cells in rows:
            if header[0] == "size":
                for size, cell in zip(header[1:-1], cells[:-1], strict=True):
                    if cell != "—":
                        sizes.setdefault(size, {})[name.strip("`")] = _number(name, cell)
            else:
                common[name.strip("`")] = _number(name, cells[0])
    return common, sizes


def _number(name: str, cell: str) -> float:
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        raise ValueError(f"docs/cost.md, {name}: {cell!r} is no number") from None


def bill(values: Mapping[str, Any]) -> dict[str, float]:
    """Reckon each line of a month's bill for one size."""
    known: dict[str, Any] = {**values, "HOURS": HOURS, "MONTH": MONTH, "max": max, "sum": sum, "exp": math.exp}

    def reckoned(formula: str, **more: Any) -> float:
        return float(eval(formula, {"__builtins__": {}, **known, **more}))  # noqa: S307  # one of ours, above

    known["busy"] = lambda n: reckoned(BUSY, n=n)
    known["busy_shares"] = lambda shares, n: reckoned(BUSY_SHARES, shares=shares, n=n)
    for name, formula in NAMES.items():
        known.setdefault(name, reckoned(formula))
    return {line: reckoned(formula) for line, formula in LINES.items()}


def bills(page: str) -> dict[str, dict[str, float]]:
    """Reckon the bill of each size; what its column says goes before what its environment's snapshot has."""
    common, sizes = inputs(page)
    environments = {size: size.split(", ")[1] for size in sizes}
    return {size: bill({**common, **counts(environments[size]), **own}) for size, own in sizes.items()}


def estimate(page: str) -> str:
    """Write the last section of the page."""
    _, sizes = inputs(page)
    all_bills = bills(page)
    totals = {size: sum(lines.values()) for size, lines in all_bills.items()}
    rows = [
        ["US dollars a month", *all_bills],
        ["---", *("---:" for _ in all_bills)],
        *([line, *(f"{all_bills[size][line]:,.2f}" for size in all_bills)] for line in LINES),
        ["**Together**", *(f"**{total:,.2f}**" for total in totals.values())],
        ["for a thousand orders", *(f"{total / sizes[size]['orders'] * 1000:,.2f}" for size, total in totals.items())],
    ]
    dev, prod = counts("dev"), counts("prod")
    has = [["in the snapshot of", "dev", "prod"], ["---", "---:", "---:"]]
    has += [[f"`{name}`", _written(dev[name]), _written(prod[name])] for name in dev]
    every = {"busy(n)": BUSY, "busy_shares(shares, n)": BUSY_SHARES, **NAMES, **LINES}
    formulas = "".join(f"    {name} = {formula}\n" for name, formula in every.items())
    explained = f"The formulas, with the names of the tables; a month has {HOURS} hours and {MONTH:,} seconds:"
    counted = "What the templates make, counted in their snapshots:"
    return f"{HEADING}\n{_table(rows)}\n{counted}\n\n{_table(has)}\n{explained}\n\n{formulas}"


def _written(value: float | Sequence[float]) -> str:
    return ", ".join(map(_written, value)) if isinstance(value, Sequence) else f"{value:,.6g}"


def _table(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Print the estimate, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put it into docs/cost.md")
    page = PAGE.read_text(encoding="utf-8")
    if parser.parse_args().write:
        PAGE.write_text(page.partition(HEADING)[0] + estimate(page), encoding="utf-8")
    else:
        print(estimate(page), end="")  # noqa: T201  # tells a person


if __name__ == "__main__":
    main()
