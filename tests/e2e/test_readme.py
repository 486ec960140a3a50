"""What the README says is so: its commands work, its links lead somewhere, its table has the API's routes."""

import json
import re
import subprocess
import sys

import httpx

from tests.support.stack import ROOT, Stack

README = (ROOT / "README.md").read_text(encoding="utf-8")

STRICT = """\
set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body --retry 5 --retry-all-errors --retry-delay 1 "$@"; }
"""
"""A failing request fails the script; it is tried again, since news between contexts takes a moment."""


def test_the_example_order_is_placed_and_shown(stack: Stack) -> None:
    [script] = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    script = script.replace("http://127.0.0.1:7071", stack.base_url)
    script = script.replace("python3 dev.py token", f"{sys.executable} -m infra.local.tokens --data {stack.data}")
    ran = subprocess.run(
        ["bash", "-c", STRICT + script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    order = json.loads(ran.stdout[ran.stdout.rindex('{"orderId"') :])
    assert (order["status"], order["customerName"], order["total"]) == ("Submitted", "Ada Lovelace", "49.80")


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 15
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_operation_of_the_api_is_in_its_table(stack: Stack) -> None:
    table = README[README.index("## The API") : README.index("- **Commands**")]
    paths = httpx.get(f"{stack.base_url}/api/openapi.json", timeout=30).json()["paths"]
    for path, operations in paths.items():
        route = path.removeprefix("/api")
        *_, last = route.split("/")
        for method in operations:
            named = f"`{method.upper()} {route}" in table or f"`/{last}`" in table or f"`{route}`" in table
            assert named, f"{method.upper()} {route}"
