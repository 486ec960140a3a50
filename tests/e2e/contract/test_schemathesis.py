"""Made-up requests, good and bad, to every operation: no answer may be other than described."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.contract.story import tell
from tests.support.api import client
from tests.support.stack import running_stack

CONFIG = Path(__file__).with_name("schemathesis.toml")
LIMIT = 600
"""Seconds; it takes a tenth of that on a machine that has nothing else to do."""


def test_no_made_up_request_is_answered_other_than_described() -> None:
    with running_stack() as stack:  # of its own: it rebuilds read models and discards dead letters, too
        with client(stack) as http:
            tell(http)  # the examples name what there is now, so that requests get past "not found"
        schemathesis = Path(sys.executable).with_name("schemathesis")
        run = subprocess.run(
            [schemathesis, "--config-file", CONFIG, "--no-color", "run", f"{stack.base_url}/api/openapi.json"],
            cwd=CONFIG.parent,
            env=os.environ | {"TOKEN": stack.token()},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert run.returncode == 0, run.stdout + run.stderr
