"""Made-up requests, good and bad, to every operation: no answer may be other than described."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

from shared.contexts import ABOUT
from shared.frame.http.openapi import document
from tests.e2e.contract.story import tell
from tests.support.api import client
from tests.support.app import app_globals
from tests.support.stack import running_stack

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
LIMIT = 1_500
"""Seconds; it takes a fifth of that beside other tests on two processors."""


ELSEWHERE = {"getOrderPayment", "getProcess"}
"""Queries that no made-up request gets an answer of, for nobody pays here. Of all others some are answered."""
EXPECTED = "read-model-behind"
"""Why made-up queries get 503: they ask for versions that never come."""


def run_against(url: str, token: str, answers: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Let schemathesis make up requests; each line of `answers` is an operation, a status, and a problem's code."""
    return subprocess.run(
        [SCHEMATHESIS, "--config-file", CONFIG, "--no-color", "run", url, *options],
        cwd=CONFIG.parent,
        env=os.environ | {"TOKEN": token, "ANSWERS": str(answers)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def unproven(answers: Path, described: dict[str, Any]) -> list[str]:
    """Why the answers prove little, for as described as they are, an API that serves nothing may give them, too."""
    lines = [line.split(" ") for line in answers.read_text(encoding="utf-8").splitlines()]
    served = {operation for operation, status, _ in lines if status.startswith("2")}
    queries = {item["get"]["operationId"] for item in described["paths"].values() if "get" in item}
    refused = sum(status == "503" and code != EXPECTED for _, status, code in lines)
    few = [f"{refused} of {len(lines)} were refused for now"] if refused > len(lines) / 100 else []
    return [*few, *(f"{operation} answered nothing" for operation in sorted(queries - served - ELSEWHERE))]


def test_no_made_up_request_is_answered_other_than_described(tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    with running_stack() as stack:  # of its own: it rebuilds read models and discards dead letters, too
        with client(stack) as http:
            tell(http)  # the examples name what there is now, so that requests get past "not found"
            described = http.get("/api/openapi.json").json()
        run = run_against(f"{stack.base_url}/api/openapi.json", stack.token(), answers)
    assert run.returncode == 0, run.stdout + run.stderr
    assert unproven(answers, described) == []


def test_an_api_that_serves_nothing_is_found_out_though_it_answers_as_described(tmp_path: Path) -> None:
    described = document(app_globals()["routes"], ABOUT)
    with unavailable(described) as base_url:
        run = run_against(f"{base_url}/api/openapi.json", "t", tmp_path / "answers", "--phases", "examples")
    assert run.returncode == 0, run.stdout + run.stderr
    few, *unanswered = unproven(tmp_path / "answers", described)
    assert few.endswith("were refused for now")
    assert "getOrder answered nothing" in unanswered


@contextmanager
def unavailable(described: dict[str, Any]) -> Iterator[str]:
    """Serve a description, and for all that it describes the answer that it cannot be had now."""
    problem = {"type": "urn:tandem:problem:read-models-unavailable", "title": "Service Unavailable", "status": 503}
    problem |= {"detail": "The read models do not answer.", "correlationId": str(UUID(int=1))}

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_description = self.path == "/api/openapi.json"
            said = described if is_description else problem | {"instance": self.path.partition("?")[0]}
            body = json.dumps(said).encode()
            self.send_response(200 if is_description else 503)
            self.send_header("Content-Type", "application/json" if is_description else "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "1")
            self.send_header("X-Correlation-Id", str(UUID(int=1)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815 -- as http.server names them

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
