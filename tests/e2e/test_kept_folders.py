"""Today's system on data folders that earlier commits left (tests/data): it reads them, and works on them."""

import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.data.make import CUSTOMERS, ORDERS, PRODUCTS
from tests.e2e.api import Api, eventually
from tests.support.stack import ROOT, Stack, running_stack

KEPT = sorted((ROOT / "tests/data").glob("*.tar.xz"))
STATUSES = dict(zip(ORDERS, ("Created", "Created", "Submitted", "Confirmed", "Cancelled", "Created"), strict=True))
VERSIONS = dict(zip(ORDERS, (1, 2, 2, 3, 3, 1), strict=True))
REBUILT_WITHIN = 120.0


@pytest.mark.parametrize("kept", KEPT, ids=[file.name.partition(".")[0] for file in KEPT])
def test_a_kept_data_folder_is_read_worked_on_and_made_anew(kept: Path, tmp_path: Path) -> None:
    with tarfile.open(kept) as tar:
        tar.extractall(tmp_path / "data", filter="data")
    with running_stack(tmp_path / "data") as stack, Api(stack) as api:
        assert api.read("/health/ready") == {"status": "ready", "wrong": []}
        shown = {order: shown_of(api, order) for order in ORDERS}
        assert {order: document["status"] for order, document in shown.items()} == STATUSES
        for order in ORDERS:
            history = api.read(f"/orders/{order}/history")
            assert [event["version"] for event in history["events"]] == list(range(1, VERSIONS[order] + 1))
        assert api.read(f"/customers/{CUSTOMERS[0]}/orders")["totalCount"] == 5
        assert api.read(f"/customers/{CUSTOMERS[0]}/summary")["totalOrders"] == 2
        assert api.read(f"/products/{PRODUCTS[0]}")["name"] == "Renamed product"

        worked_on(api)
        brought_into_lists(api)
        nothing_is_wrong(api)

        made_anew(stack)
        nothing_is_wrong(api)
        assert shown_of(api, ORDERS[0])["version"] == VERSIONS[ORDERS[0]] + 1
        assert api.post("/ops/projections/orders/roll-back").status_code == 200


def shown_of(api: Api, order: str, version: int = 0) -> Any:
    return api.read(
        f"/orders/{order}", customerId=CUSTOMERS[order == ORDERS[-1]], minVersion=version or VERSIONS[order]
    )


def worked_on(api: Api) -> None:
    """Change old orders, and old names, and make new ones."""
    assert api.post(f"/orders/{ORDERS[0]}/submit").status_code == 204
    assert shown_of(api, ORDERS[0], 2)["status"] == "Submitted"
    assert api.post(f"/orders/{ORDERS[2]}/confirm").status_code == 204
    assert shown_of(api, ORDERS[2], 3)["status"] == "Confirmed"
    assert api.post(f"/products/{PRODUCTS[1]}/price", {"unitPrice": "4.50"}).status_code == 204
    assert api.read(f"/products/{PRODUCTS[1]}", minVersion=3)["unitPrice"] == "4.50"
    assert api.post(f"/products/{PRODUCTS[0]}/rename", {"name": "Renamed again"}).status_code == 204
    assert api.post(f"/customers/{CUSTOMERS[1]}/rename", {"name": "Renamed too"}).status_code == 204
    renamed = "Renamed too", "Renamed again"
    eventually(lambda: names_of(shown_of(api, ORDERS[5])) == renamed, "an order that nothing else changes is renamed")
    assert api.read(f"/customers/{CUSTOMERS[1]}/summary")["customerName"] == "Renamed too"
    history = api.read(f"/orders/{ORDERS[0]}/history")
    assert history["events"][-1]["projectedAt"] is not None
    made = api.order(CUSTOMERS[0], PRODUCTS[0])
    assert api.details(made, CUSTOMERS[0])["status"] == "Created"
    assert api.read(f"/customers/{CUSTOMERS[0]}/orders")["totalCount"] == 6


def brought_into_lists(api: Api) -> None:
    """Heal the products: those of before there were lists, and that nothing has changed since, are in none yet."""
    assert api.post("/ops/projections/products/check", {"sample": 200}).status_code == 200
    assert api.post("/ops/projections/products/heal").json()["drift"]["found"] == 0
    listed = {item["productId"] for item in api.read("/products", take=100)["items"]}
    assert listed == set(PRODUCTS)


def names_of(shown: Any) -> tuple[str, str]:
    return shown["customerName"], shown["items"][0]["productName"]


def nothing_is_wrong(api: Api) -> None:
    assert {each["count"] for each in api.dead_letters()} == {0}
    for view in ("orders", "products", "related"):
        eventually(lambda view=view: not api.read(f"/ops/projections/{view}")["lag"]["unapplied"], "all is applied")
        checked = api.post(f"/ops/projections/{view}/check", {"sample": 200}).json()
        assert checked["wrong"] == []
        assert checked["drift"]["differences"] == []


def made_anew(stack: Stack) -> None:
    command = (sys.executable, "-m", "infra.local.rebuild", "--data", str(stack.data), "orders")
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=REBUILT_WITHIN)
    assert made.returncode == 0, made.stderr
