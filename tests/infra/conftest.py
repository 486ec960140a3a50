"""What tests of deployments share."""

import json
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from threading import Thread

import pytest

from tests.infra.azure import EVERYTHING, FUNCTIONS, STAND_IN, USERS, Azure, executable


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    there = Azure(tmp_path)

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there.paths.append(self.path)
            release = there.runs()
            if self.path == "/admin/host/status":  # as App Service answers where authentication is on
                return self.answer(401, None)
            if self.path == "/api/health/live":  # as the app answers, however it is
                return self.answer(503 if release is None else 200, release)
            time.sleep(there.answers_after)
            if there.old_answers:
                there.old_answers -= 1
                return self.answer(200, "old")
            works = release is not None and (release in there.good or there.healthy)
            if release == "good" and there.good_fails:
                there.good_fails -= 1
                works = False
            return self.answer(200 if works else 503, release)

        def answer(self, status: int, release: str | None) -> None:
            self.send_response(status)
            if release:
                self.send_header("X-Release", release)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        (tmp_path / "bin").mkdir()
        executable(tmp_path / "bin" / "az", f'exec "{sys.executable}" -I -S "{STAND_IN}" "$@"')
        executable(  # the app's public name leads here
            tmp_path / "bin" / "curl",
            f'exec "{which("curl")}" "${{@/https:\\/\\/func-tandem.example.com/http://127.0.0.1:{server.server_port}}}"',
        )
        # granting takes Azure SQL; it is taken down instead, and migrations go to a SQLite file. Finding a package's
        # functions takes seconds, and test_package.py sees that done; so does a look at rules that keep nothing away
        executable(
            tmp_path / "bin" / "python",
            f'case "$*" in "-m infra.functions "*) tr " " "\\n" <<<"{FUNCTIONS}"; exit ;; esac\n'
            f'[[ "$*" != *" {EVERYTHING}" ]] || exit 0\n'
            f'echo "$* to ${{SqlConnection:-}} as ${{AZURE_TOKEN_CREDENTIALS:-}}" >>"{tmp_path}/python.log"\n'
            f'[[ "$*" == "-m infra.sql.access "* ]] || exec "{sys.executable}" "$@"',
        )
        outputs = {
            "functionApp": "func-tandem",
            "apiUrl": f"http://127.0.0.1:{server.server_port}/api",
            "sqlUrl": f"sqlite:///{tmp_path}/tandem.db",
            "storageAccount": "sttandem",
            "releasesContainer": "releases",
            "subscriptionRules": EVERYTHING,
            **USERS,
        }
        for name in ("outputs.json", "lasting.json", "all-outputs.json"):
            (tmp_path / name).write_text(json.dumps(outputs))
        (tmp_path / "group").touch()
        (tmp_path / "functions").write_text(FUNCTIONS)
        there.tell(
            deployments=[],
            refused={},
            afterwards={},
            passing={},
            slow=0,
            after="",
            assertion=5,
            minutes=0,
            tokens=[],
            subscription="mine",
        )
        yield there
        server.shutdown()
