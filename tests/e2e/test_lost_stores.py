"""A store that came up empty, or is gone, is told: at the start, in health, to operators; with what mends it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.sql.migrate import WrongDatabaseError, migrate
from tests.e2e.api import Api, eventually, problem
from tests.support.stack import ROOT, StackFailedError, running_stack


def test_an_empty_read_store_is_told_at_the_start_and_mended_by_the_command_that_is_told(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack, Api(stack) as api:
        assert "is empty" not in stack.printed()
        customer_id = api.customer()
        order_id = api.order(customer_id, api.product())
        api.details(order_id, customer_id)
    shutil.rmtree(tmp_path / "cosmos")

    with running_stack(tmp_path) as stack, Api(stack) as api:
        assert "orders: generation 1, which serves, is empty, and the event log is not." in stack.printed()
        health = api.get("/health/ready")
        assert health.status_code == 200, "other instances have nothing else, and commands are taken"
        assert health.json()["status"] == "degraded"
        told: dict[str, Any] = {view["view"]: view for view in api.read("/ops/projections")["items"]}
        for view in ("orders", "products"):
            [wrong] = told[view]["wrong"]
            assert wrong in health.json()["wrong"]
            assert told[view]["lag"]["unapplied"] == told[view]["lag"]["newest"] > 0
            command = f"python3 dev.py rebuild {view}"
            assert command in wrong
            assert command in rebuild(tmp_path).stderr
            assert api.post(f"/ops/projections/{view}/roll-back").status_code == 409
            assert rebuild(tmp_path, view).returncode == 0
        eventually(lambda: api.read("/health/ready") == {"status": "ready", "wrong": []}, "it is told to be mended")
        assert api.details(order_id, customer_id)["orderId"] == order_id
        problem(api.post("/ops/projections/orders/roll-back"), 409, "generation-incomplete")
        refused = rebuild(tmp_path, "products", "--roll-back")
        assert (refused.returncode, "is empty, and the event log is not" in refused.stderr) == (1, True)

        # whoever insists gets the one that shows less
        assert api.post("/ops/projections/orders/roll-back", {"evenIfIncomplete": True}).status_code == 200
        insisted = rebuild(tmp_path, "products", "--roll-back", "--even-if-incomplete")
        assert insisted.returncode == 0, insisted.stderr
        for view in ("orders", "products"):
            eventually(lambda: api.read(f"/ops/projections/{view}")["serving"] == 1, f"{view} is changed back", 60)  # noqa: B023


def rebuild(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `dev.py rebuild` for the system that runs on this folder."""
    command = [sys.executable, "-m", "infra.local.rebuild", "--data", str(data), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_a_lost_or_damaged_table_is_not_ready_and_is_ready_again_when_it_is_back() -> None:
    with running_stack() as stack, Api(stack) as api:
        customer_id, product_id = api.customer(), api.product()
        for schema in ("ordering", "catalog", "customers"):
            place = stack.data / f"tandem.{schema}.db"
            away = [(file, file.with_name(f"away-{file.name}")) for file in place.parent.glob(f"{place.name}*")]
            for file, elsewhere in away:
                file.rename(elsewhere)
            # related products are still empty here: whether they have to be is looked up in the same log
            empty = ", the read model related" if schema == "catalog" else ""
            wrong = f"At the moment these cannot be read: the tables of {schema}{empty}."
            eventually(lambda: wrong in api.get("/health/ready").text, f"{schema} is told to be lost")  # noqa: B023
            problem(api.get("/health/ready"), 503, "not-ready")
            for file in place.parent.glob(f"{place.name}*"):
                file.unlink()
            for file, elsewhere in away:
                elsewhere.rename(file)
            eventually(lambda: api.get("/health/ready").status_code == 200, f"{schema} is back")
        assert api.order(customer_id, product_id)


@pytest.mark.parametrize("schema", ["ordering", "operations"])
def test_a_stack_does_not_start_on_a_database_that_has_lost_tables(tmp_path: Path, schema: str) -> None:
    migrate(f"sqlite:///{tmp_path / 'tandem.db'}")
    (tmp_path / f"tandem.{schema}.db").unlink()
    with pytest.raises(WrongDatabaseError, match=rf"has lost tables: {schema}\."):
        migrate(f"sqlite:///{tmp_path / 'tandem.db'}")
    with pytest.raises(StackFailedError, match="has lost tables"), running_stack(tmp_path):
        pass
