"""Where telemetry goes: to Application Insights where it is named, and nowhere, at no cost, where it is not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ingestion import ingestion, settings

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "SqlConnection": "sqlite:////nowhere/tandem.db",
    "CosmosConnection": "AccountEndpoint=http://127.0.0.1:1/;AccountKey=a2V5;",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=eA==;",
}
REQUEST = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ELSEWHERE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"

SAY_SOMETHING = f"""
import logging
logging.getLogger().setLevel(logging.INFO)
import function_app
from uuid import uuid4
from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.platform import telemetry

def fill(metadata):
    logging.getLogger("shared.kitchen").info("filling for %s", "Ada")
    logging.getLogger("azure.core").info("a request of an SDK")
    logging.getLogger("azure.core").warning("a warning of an SDK")
    return Accepted(uuid4(), 1)

telemetry.command("FillTeapot", Metadata(traceparent="{REQUEST}"), fill)
telemetry.command("EmptyTeapot", Metadata(traceparent="{ELSEWHERE}-00"), lambda _: Accepted(uuid4(), 2))
for _ in range(20):
    telemetry.command("WarmTeapot", Metadata(), lambda _: Accepted(uuid4(), 3))
"""


def run(code: str, telemetry: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | SETTINGS | telemetry,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_place_to_go_nothing_of_azure_monitor_is_even_imported() -> None:
    done = run("import function_app, sys; print(*sys.modules)", {})
    assert done.returncode == 0, done.stderr
    assert "opentelemetry.trace" in done.stdout.split()
    assert re.findall(r"azure\.monitor\S*|opentelemetry\.(?:sdk|instrumentation)\S*|psutil", done.stdout) == []


@pytest.mark.parametrize("nonsense", ["nonsense", "InstrumentationKey=7", "IngestionEndpoint=http://127.0.0.1:1/"])
def test_an_app_whose_telemetry_cannot_be_set_up_runs_and_says_so(nonsense: str, tmp_path: Path) -> None:
    code = "import function_app; print(len(function_app.app.get_functions()))"
    done = run(code, settings(nonsense, tmp_path))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20
    assert "telemetry goes nowhere" in done.stderr


def test_an_app_whose_telemetry_does_not_arrive_runs(tmp_path: Path) -> None:
    nowhere = "InstrumentationKey=00000000-0000-4000-8000-000000000001;IngestionEndpoint=http://127.0.0.1:1/"
    done = run(SAY_SOMETHING + "print('done')", settings(nowhere, tmp_path))
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr


def test_spans_metrics_and_logs_arrive_under_the_apps_name_and_logs_carry_the_trace(tmp_path: Path) -> None:
    with ingestion() as server:
        named = {"WEBSITE_SITE_NAME": "func-tandem", "WEBSITE_AUTH_ENABLED": "True"}
        done = run(SAY_SOMETHING, settings(server.connection_string, tmp_path) | named)
    assert done.returncode == 0, done.stderr

    spans = {item["data"]["baseData"]["name"]: item for item in server.of("RemoteDependencyData")}
    span, logs = spans["FillTeapot"], server.of("MessageData")
    assert span["tags"]["ai.operation.parentId"] == REQUEST.split("-")[2]
    assert {log["data"]["baseData"]["message"] for log in logs} == {"filling for Ada", "a warning of an SDK"}
    assert {item["tags"]["ai.operation.id"] for item in [span, *logs]} == {REQUEST.split("-")[1]}
    assert {log["tags"]["ai.operation.parentId"] for log in logs} == {span["data"]["baseData"]["id"]}
    assert "tandem.command.duration" in server.metrics()
    assert {item["tags"]["ai.cloud.role"] for item in server.items} == {"func-tandem"}


def test_every_trace_is_recorded_however_many_there_are_and_whatever_the_caller_says_of_them(tmp_path: Path) -> None:
    with ingestion() as server:
        done = run(SAY_SOMETHING, settings(server.connection_string, tmp_path))
    assert done.returncode == 0, done.stderr
    names = [item["data"]["baseData"]["name"] for item in server.of("RemoteDependencyData")]
    assert sorted(names) == ["EmptyTeapot", "FillTeapot", *["WarmTeapot"] * 20]
