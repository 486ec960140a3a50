"""What the README says is so: its commands work, its links lead somewhere."""

import json
import re
import subprocess
import sys

from tests.support.stack import ROOT, Stack

README = (ROOT / "README.md").read_text(encoding="utf-8")

STRICT = """\
set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body "$@"; }
"""
"""A failing request fails the script."""


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
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []
