"""Reckon what a month costs: `python -m infra.cost` prints the estimate of docs/cost.md, `--write` puts it there.

The page's tables are the input: change a price or a size there, and run it again. Amounts are in US dollars, without
tax and discounts.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "cost.md"
HEADING = "## The estimate\n"

HOURS = 730
"""Hours of a month, as Azure's price lists reckon."""

NAMES = {
    "requests": "(commands + queries + messages) * orders / 1000 + browsing * orders + timers",
    "units": "cosmos_units * orders / 1000 + browsing * orders",
    "deliveries": "messages * (1 + 2 * listeners) * orders / 1000",
    "gigabyte_seconds": "requests * seconds * memory",
    "sql_gb": "12 * orders / 1000 * (2 * payload_characters + row_bytes * messages) / 1e9",
    "cosmos_gb": "12 * orders / 1000 * document_bytes / 1e9",
    "log_gb": "requests * log_bytes / 1e9",
}
"""Quantities of a month; what is stored is what a year has left."""

LINES = {
    "Functions, on demand": "(not warm) * (max(0, gigabyte_seconds - free_gb_s) * flex_gb_s"
    " + max(0, requests - free_executions) / 1e6 * flex_executions)",
    "Functions, kept warm": "warm * memory * HOURS * 3600 * warm_gb_s"
    " + (warm > 0) * (gigabyte_seconds * warm_used_gb_s + requests / 1e6 * flex_executions)",
    "Azure SQL, compute": "sql_hours * vcores * (1 + replicas) * (sql_hyperscale if hyperscale else sql_serverless)",
    "Azure SQL, storage": "sql_gb * (sql_hyperscale_gb if hyperscale else sql_serverless_gb)",
    "Cosmos DB, requests": "max(autoscale / 10, units / HOURS / 3600 * peak) / 100 * HOURS * cosmos_autoscale"
    " if autoscale else units / 1e6 * cosmos_serverless",
    "Cosmos DB, storage": "cosmos_gb * cosmos_gb_month",
    "Service Bus": "HOURS * bus_premium if premium else bus_base + max(0, deliveries / 1e6 - 13) * bus_operations",
    "Private endpoints": "endpoints * HOURS * endpoint_hour",
    "Logs": "max(0, log_gb - free_log_gb) * log_gb_price",
}
"""Each line of the bill, in US dollars a month."""


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
                    sizes.setdefault(size, {})[name.strip("`")] = _number(name, cell)
            else:
                common[name.strip("`")] = _number(name, cells[0])
    return common, sizes


def _number(name: str, cell: str) -> float:
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        raise ValueError(f"docs/cost.md, {name}: {cell!r} is no number") from None


def bill(values: Mapping[str, float]) -> dict[str, float]:
    """Reckon each line of a month's bill for one size."""
    known = {**values, "HOURS": HOURS, "max": max}
    for name, formula in NAMES.items():
        known[name] = eval(formula, {"__builtins__": {}}, known)  # noqa: S307  # one of ours, above
    return {line: eval(formula, {"__builtins__": {}}, known) for line, formula in LINES.items()}  # noqa: S307  # ditto


def estimate(page: str) -> str:
    """Write the last section of the page."""
    common, sizes = inputs(page)
    bills = {size: bill({**common, **own}) for size, own in sizes.items()}
    totals = {size: sum(lines.values()) for size, lines in bills.items()}
    rows = [
        ["US dollars a month", *bills],
        ["---", *("---:" for _ in bills)],
        *([line, *(f"{bills[size][line]:,.2f}" for size in bills)] for line in LINES),
        ["**Together**", *(f"**{total:,.2f}**" for total in totals.values())],
        ["for a thousand orders", *(f"{total / sizes[size]['orders'] * 1000:,.2f}" for size, total in totals.items())],
    ]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    formulas = "".join(f"    {name} = {formula}\n" for name, formula in {**NAMES, **LINES}.items())
    explained = f"The formulas, with the names of the tables above; a month has {HOURS} hours:"
    return f"{HEADING}\n{table}\n{explained}\n\n{formulas}"


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
