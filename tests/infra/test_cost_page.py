"""docs/cost.md: its estimate follows from its tables."""

import re
import subprocess
import sys

import pytest

from infra.cost import HEADING, HOURS, LINES, PAGE, bill, estimate, inputs
from tests.infra.test_bicep import PARAMETERS
from tests.infra.tools import ROOT

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_estimate_is_what_its_tables_and_formulas_give() -> None:
    assert TEXT.endswith(estimate(TEXT)), "run python -m infra.cost --write"


def test_another_price_gives_another_estimate() -> None:
    dearer = TEXT.replace("| `bus_premium` | 0.9275 |", "| `bus_premium` | 1.9275 |")
    common, sizes = inputs(dearer)
    assert bill({**common, **sizes["3M, prod"]})["Service Bus"] == pytest.approx(730 * 1.9275)
    assert estimate(dearer) != estimate(TEXT)


def test_every_number_of_the_tables_is_used_by_a_formula() -> None:
    common, sizes = inputs(TEXT)
    formulas = TEXT.partition(HEADING)[2]
    unused = {name for name in {**common, **sizes["1k, dev"]} if not re.search(rf"\b{name}\b", formulas)}
    assert unused == {"sql_statements", "sql_commits", "message_bytes", "cosmos_requests"}, (
        "those cost nothing by number"
    )


def test_the_lines_are_right_for_round_numbers() -> None:
    common, sizes = inputs(TEXT)
    lines = bill({**common, **sizes["100k, prod"], "units": 0, "autoscale": 4000, "cosmos_units": 0, "browsing": 0})
    assert lines["Cosmos DB, requests"] == pytest.approx(400 / 100 * 730 * common["cosmos_autoscale"]), "the floor"
    lines = bill({**common, **sizes["1k, dev"], "orders": 1e6, "cosmos_units": 1e6, "browsing": 0})
    assert lines["Cosmos DB, requests"] == pytest.approx(1_000 * common["cosmos_serverless"])
    lines = bill({**common, **sizes["1k, dev"], "orders": 4e6, "messages": 1_000, "listeners": 3})
    assert lines["Service Bus"] == pytest.approx(common["bus_base"] + (28 - 13) * common["bus_operations"])
    assert set(lines) == set(LINES)


def test_the_sizes_are_those_of_the_parameter_files() -> None:
    _, sizes = inputs(TEXT)
    for name, size in sizes.items():
        text = PARAMETERS[name.partition(", ")[2]]
        assert f"param cosmosMaxThroughput = {size['autoscale']:.0f}\n" in text
        assert f"  replicas: {size['replicas']:.0f}\n" in text
        assert ("sku: 'HS_" in text) == bool(size["hyperscale"])
        assert ("serviceBusSku = 'Premium'" in text) == bool(size["premium"])
        assert ("privateNetworking = true" in text) == bool(size["endpoints"])
        every = {"0 0 * * * *": 3_600, "0 * * * * *": 60, "*/10 * * * * *": 10}  # seconds
        [relays], [watches] = (re.findall(rf"{name}Schedule = '(.*)'", text) for name in ("relay", "watch"))
        assert size["timers"] == 3 * sum(HOURS * 3_600 / every[schedule] for schedule in (relays, watches))
        assert sum(map(int, re.findall(r"instanceCount: (\d+)", text))) == size["warm"]


def test_a_cell_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match="`flex_gb_s`: 'cheap' is no number"):
        inputs(TEXT.replace("| `flex_gb_s` | 0.000026 |", "| `flex_gb_s` | cheap |"))


def test_the_command_prints_what_the_page_has() -> None:
    command = [sys.executable, "-m", "infra.cost"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert TEXT.endswith(ran.stdout)
