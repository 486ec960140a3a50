"""Microsoft's JavaScript client: the table of js/table.cjs, with the packages that its lock names."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.results import compare
from tests.support.tools import ROOT

HERE = Path(__file__).with_name("js")
CACHE = ROOT / ".local" / "npm"
LONGEST = 300.0
"""Seconds of the whole table; it takes 15 on a computer of its own."""
SAID = {"PASS": "works", "REFUSED": "refused", "FAIL": "fails"}


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder with the client, fetched once for each lock."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = CACHE / hashlib.sha256(lock).hexdigest()[:16]
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as making:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, making)
            npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(npm, cwd=making, check=True, timeout=LONGEST)
            Path(making, "node_modules").rename(folder)
    return folder


def test_the_javascript_client_gets_what_it_expects_or_a_clear_refusal(connection: str, packages: Path) -> None:
    parts = dict(part.split("=", 1) for part in connection.rstrip(";").split(";"))
    environment = {
        **os.environ,
        "NODE_PATH": str(packages),
        "ENDPOINT": parts["AccountEndpoint"],
        "KEY": parts["AccountKey"],
    }
    ran = subprocess.run(
        ["node", HERE / "table.cjs"], env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert ran.returncode == 0, ran.stderr
    checks: list[dict[str, Any]] = [json.loads(line) for line in ran.stdout.splitlines()]
    failed = [check for check in checks if check["verdict"] == "FAIL"]
    assert not failed, "\n".join(map(str, failed))
    compare("cosmos-javascript", {check["name"]: SAID[check["verdict"]] for check in checks})
