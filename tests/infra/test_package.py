"""What Azure gets to run: the files, and the functions that Microsoft's worker finds in them."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.package import content, write

ROOT = Path(__file__).parents[2]
FUNCTIONS = {
    "continue_rebuilds",
    "delete_order_item",
    "follow_customers",
    "follow_products",
    "get_audit",
    "get_customer_orders",
    "get_customer_summary",
    "get_dead_letters",
    "get_docs",
    "get_docs_asset",
    "get_health_live",
    "get_health_ready",
    "get_openapi",
    "get_order",
    "get_order_history",
    "get_product",
    "get_projection",
    "get_projections",
    "post_customer",
    "post_customer_rename",
    "post_dead_letters_discard",
    "post_dead_letters_replay",
    "post_order",
    "post_order_cancel",
    "post_order_complete",
    "post_order_confirm",
    "post_order_item",
    "post_order_submit",
    "post_product",
    "post_product_price",
    "post_product_rename",
    "post_projection_cancel",
    "post_projection_check",
    "post_projection_heal",
    "post_projection_rebuild",
    "post_projection_retire",
    "post_projection_roll_back",
    "project_order",
    "project_product",
    "relay_customer_events",
    "relay_order_events",
    "relay_product_events",
    "watch_dead_letters",
    "watch_projections",
    "zz_no_route",
}
INDEX = """
import asyncio, json, sys
from pathlib import Path
from infra.local.host.worker import load
found = asyncio.run(load(Path(sys.argv[1])))
import shared
print(json.dumps({"functions": {f.name: f.trigger for f in found}, "code": shared.__file__}))
"""
SETTINGS = {
    "SqlConnection": "sqlite:///nowhere.db",
    "CosmosConnection": "AccountEndpoint=http://127.0.0.1:1/;AccountKey=eA==;",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=x;",
    "RelaySchedule": "0 * * * * *",
    "WatchSchedule": "0 * * * * *",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write(tmp_path / "app.zip")
    with zipfile.ZipFile(tmp_path / "app.zip") as file:
        file.extractall(tmp_path / "app")
    return tmp_path / "app"


def test_it_holds_the_app_and_nothing_else() -> None:
    files = content()
    assert {path.partition("/")[0] for path in files} == {"function_app.py", "host.json", "requirements.txt", "shared"}
    assert not [path for path in files if "test" in path or "local" in path or "__pycache__" in path]
    assert "shared/ordering/functions.py" in files


def test_it_is_what_core_tools_would_publish() -> None:
    def listed(*options: str) -> set[str]:
        command = ["git", "ls-files", "--cached", *options]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return set(ran.stdout.splitlines())

    # .funcignore is written like .gitignore, and git can be asked what such a file leaves out
    assert listed() - listed("--ignored", "--exclude-from=.funcignore") == set(content())


def test_the_same_content_makes_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    write(one)
    write(other)
    assert one.read_bytes() == other.read_bytes()


def test_microsofts_worker_finds_every_function_in_it(package: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", INDEX, str(package)],
        cwd=ROOT,
        env={**os.environ, **SETTINGS, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert Path(found["code"]).is_relative_to(package)
    assert set(found["functions"]) == FUNCTIONS
