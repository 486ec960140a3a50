"""Who may import whom: the contracts of pyproject.toml hold, and each of them notices what it forbids."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONFIGURATION = "pyproject.toml"
CONTRACTS: dict[str, Any] = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / CONFIGURATION).read_text())["tool"]["importlinter"]["contracts"]
}

PLANTED = [
    ("rooms", "shared/ordering/repository.py", "import shared.ordering.commands.add_item"),
    ("rooms", "shared/ordering/commands/add_item.py", "import shared.ordering.views.names"),
    ("rooms", "shared/ordering/views/names.py", "import shared.ordering.commands.add_item"),
    ("rooms", "shared/customers/repository.py", "import shared.customers.functions"),
    ("rooms", "shared/ordering/reference_data.py", "import shared.ordering.repository"),
    ("rooms", "shared/ordering/repository.py", "import shared.ordering.fulfilment.repository"),
    ("rooms", "shared/ordering/extra.py", '"""A room that nobody has given a place."""'),
    ("contexts", "shared/ordering/functions.py", "import shared.catalog.tables"),
    ("contexts", "shared/catalog/repository.py", "import shared.customers.domain.customer"),
    ("ordering-domain", "shared/ordering/domain/order.py", "import shared.catalog.events"),
    ("ordering-domain", "shared/ordering/domain/order.py", "import shared.frame.messaging.envelope"),
    ("ordering-domain", "shared/ordering/domain/offer.py", "import sqlalchemy"),
    ("ordering-domain", "shared/ordering/fulfilment/decisions.py", "import sqlalchemy"),
    ("catalog-domain", "shared/catalog/domain/product.py", "import pydantic"),
    ("customers-domain", "shared/customers/domain/customer.py", "import azure.functions"),
    ("payments-domain", "shared/payments/domain/payment.py", "import shared.ordering.events"),
    ("rooms", "shared/payments/stripe_provider.py", "import shared.payments.performing"),
    ("provider", "shared/payments/performing.py", "import stripe"),
    ("events", "shared/ordering/events.py", "import shared.frame.messaging.envelope"),
    ("kernel", "shared/kernel/money.py", "import babel"),
    ("kernel", "shared/kernel/aggregate.py", "import shared.frame.messaging.envelope"),
    ("frame", "shared/frame/read_side/projection.py", "import shared.ordering.events"),
    ("frame", "shared/frame/sql/engines.py", "import shared.customers.events"),
    ("frame", "shared/frame/context.py", "import shared.story"),
    ("frame-rooms", "shared/frame/read_side/read_your_writes.py", "import shared.frame.http.problems"),
    ("frame-rooms", "shared/frame/write_side/relay.py", "import shared.frame.read_side.cosmos"),
    ("frame-rooms", "shared/frame/messaging/wire.py", "import shared.frame.write_side.event_log"),
    ("frame-rooms", "shared/frame/sql/engines.py", "import shared.frame.messaging.codec"),
    ("frame-rooms", "shared/frame/extra.py", '"""A room that nobody has given a place."""'),
    ("operations", "shared/frame/operations/functions.py", "import werkzeug"),
    ("contexts", "shared/customers/functions.py", "import shared.frame.operations.audit"),
    ("product", "shared/frame/write_side/inbox.py", "import infra.sql.migrate"),
    ("product", "shared/frame/write_side/outbox.py", "import tests.support.stack"),
    ("product", "shared/frame/read_side/cosmos.py", "import cosmos_engine.hashing"),
    ("cosmos-engine", "engines/cosmos/cosmos_engine/feed.py", "import azure.cosmos"),
    ("cosmos-engine", "engines/cosmos/cosmos_engine/store.py", "def late():\n    import pydantic"),
    ("servicebus-engine", "engines/servicebus/servicebus_engine/store.py", "import cosmos_engine.values"),
    ("servicebus-engine", "engines/servicebus/servicebus_engine/entity.py", "import infra.local.ports"),
]


def broken_contracts(tree: Path) -> set[str]:
    """The ids of the contracts that a tree breaks; an error where import-linter itself fails."""
    engines = os.pathsep.join(str(folder) for folder in (tree / "engines").iterdir())  # not those installed
    lint = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": engines, "COLUMNS": "200"},  # no verdict wraps
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", lint.stdout, re.MULTILINE))
    assert verdicts.keys() == {contract["name"] for contract in CONTRACTS.values()}, lint.stdout + lint.stderr
    broken = {id_ for id_, contract in CONTRACTS.items() if verdicts[contract["name"]] == "BROKEN"}
    assert lint.returncode == bool(broken)
    return broken


def test_the_code_keeps_every_contract() -> None:
    assert broken_contracts(ROOT) == set()


@pytest.mark.parametrize(("contract", "file", "line"), PLANTED)
def test_a_forbidden_import_breaks_its_contract_and_no_other(
    contract: str, file: str, line: str, tmp_path: Path
) -> None:
    shutil.copy(ROOT / CONFIGURATION, tmp_path)
    for folder in ("shared", "engines", "tests/architecture"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    planted = tmp_path / file
    planted.write_text(f"{planted.read_text() if planted.exists() else ''}\n{line}\n")
    assert broken_contracts(tmp_path) == {contract}


def test_every_contract_is_seen_broken() -> None:
    assert {contract for contract, _, _ in PLANTED} == CONTRACTS.keys()
