"""Microsoft's .NET client: a table of checks, which is a program of its own.

It runs against the laptop's engine alone, which is restarted in between.
"""

import base64
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from cosmos_engine.running import Engine
from tests.conformance.results import compare
from tests.support.tools import found

KEY = base64.b64encode(b"a key of the test's own").decode()
"""One check asks that any key be taken, with a changed letter of the emulator's, which the engine no longer does: this
key has no such letter. That another key is refused, test_admission.py and the table of the JavaScript client show."""
LONGEST = 300.0
"""Seconds; it takes 40 on a computer of its own."""
SAID = (("PASS", "works"), ("REFUSED", "refused"))


def test_the_net_client_gets_what_it_expects_or_a_clear_refusal(cosmos_engine_python: Path, tmp_path: Path) -> None:
    tool = found("dotnet-cosmos")
    assert tool is not None
    wish, granted, restart = (tmp_path / name for name in ("wish", "granted", "restart.sh"))
    restart.write_text(f"touch '{wish}'; while [ ! -e '{granted}' ]; do sleep 0.1; done")
    engine = Engine(tmp_path / "data", key=KEY, python=cosmos_engine_python)
    try:
        environment = {**os.environ, "COSMOS_CONNECTION": engine.connection_string, "RESTART_CMD": str(restart)}
        with (tmp_path / "table").open("w") as table, subprocess.Popen([tool], env=environment, stdout=table) as ran:
            deadline = time.monotonic() + LONGEST
            while ran.poll() is None and time.monotonic() < deadline:
                if wish.exists():
                    wish.unlink()
                    engine.stop()
                    port = int(engine.endpoint.rstrip("/").rpartition(":")[2])
                    engine = Engine(tmp_path / "data", port, KEY, python=cosmos_engine_python)
                    granted.touch()
                with suppress(subprocess.TimeoutExpired):
                    ran.wait(0.2)
            ran.kill()
    finally:
        engine.stop()
    verdicts: dict[str, dict[str, str]] = {"PASS": {}, "FAIL": {}, "REFUSED": {}}
    for line in (tmp_path / "table").read_text(encoding="utf-8").splitlines():
        verdict, _, rest = line.partition(" ")
        if verdict in verdicts and " | expected " in rest:
            verdicts[verdict][rest.strip().partition(" | ")[0]] = line
    assert not verdicts["FAIL"], "\n".join(verdicts["FAIL"].values())
    works, refused = (dict.fromkeys(verdicts[verdict], said) for verdict, said in SAID)
    compare("cosmos-dotnet", works | refused)
