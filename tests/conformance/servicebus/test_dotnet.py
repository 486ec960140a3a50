"""The engine as Microsoft's .NET client meets it, which the Functions host, and so `func start`, listens with.

`dotnet-servicebus` is a program with a table of named checks. It is not of this repository: where a computer does not
have it, this module is left out, and the summary of the run says so (see conftest.py beside this file).
"""

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from servicebus_engine.running import Engine, running
from tests.conformance.results import compare, told
from tests.support.clients import run_dotnet, tool

PROGRAM: Final = tool("dotnet-servicebus") or Path("dotnet-servicebus")

GROUPS: Final = {
    "sending": ("send:",),
    "receiving": ("dead-letter:", "abandon:", "lock:", "ttl:", "receive:"),
    "sessions": ("session:",),
    "processors": ("processor: 5,100",),
    "processors in trouble": ("processor: S", "processor: C", "processor: a", "processor: the", "processor without"),
    "robustness": ("rules:", "robustness: 100", "robustness: clients", "robustness (last"),
    "restart": ("robustness: the engine is killed",),
}
"""Texts that the names of a group's checks contain; a group is a test, so that they can run beside each other."""

LEFT_OUT: Final = {
    "TransactionScope": "refused: transactions, with a sentence (test_odd_frames.py)",
    "rules:": "refused: rules are changed in the configuration alone, with a sentence",
    "idle for 5.5 minutes": "left out: it waits for longer than all the others together; run it by hand",
}
"""Checks that are not run, by a text of their name, with what becomes of them and the reason."""

TOPOLOGY: Final = PROGRAM.resolve().with_name("topology.json")


AT_ONCE: Final = 3
"""Groups that run beside each other, each on an engine of its own: most of them wait most of the time."""


@pytest.fixture(scope="module")
def checks(servicebus_engine_python: Path) -> Iterator[dict[str, Future[str]]]:
    """What each group says, once it has run."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield {
            group: threads.submit(run_group, group, servicebus_engine_python) for group in GROUPS if group != "restart"
        }


def run_group(group: str, python: Path) -> str:
    """Run the checks of a group on an engine with the entities that they use."""
    with running(TOPOLOGY, python=python) as engine:
        return run_dotnet(PROGRAM, engine.connection_string, *arguments(group), timeout=600)


def listed(*arguments: str) -> list[str]:
    """Return the names of the checks that these arguments choose."""
    command = [str(PROGRAM), "--list", *arguments]
    environment = {"SERVICEBUS_CONNECTION": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=x;SharedAccessKey=y"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


def arguments(group: str) -> list[str]:
    """Return what chooses the checks of a group."""
    only = [part for text in GROUPS[group] for part in ("--only", text)]
    return only + [part for text in LEFT_OUT for part in ("--skip", text)]


def test_every_check_is_run_by_one_test_or_left_out_by_name() -> None:
    skipped = {text: [name for name in listed() if text in name] for text in LEFT_OUT}
    run = [name for group in GROUPS for name in listed(*arguments(group)) if name]
    assert all(len(names) == 1 for names in skipped.values()), skipped
    assert sorted(run + [name for names in skipped.values() for name in names]) == sorted(listed())
    left_out = {name: LEFT_OUT[text].partition(":")[0] for text, [name] in skipped.items()}
    compare("servicebus-dotnet", left_out | dict.fromkeys(run, "works"))


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "restart"])
def test_the_checks_of_the_dotnet_client_pass(checks: dict[str, Future[str]], group: str) -> None:
    said = checks[group].result()
    assert " 0 failed" in said
    compare("servicebus-dotnet", told(said), whole=False)


def test_the_dotnet_client_loses_nothing_when_the_engine_is_killed_and_started_again(
    servicebus_engine_python: Path, tmp_path: Path
) -> None:
    engine = Engine(TOPOLOGY, tmp_path / "data", tmp_path, servicebus_engine_python)
    process = tmp_path / "pid"
    process.write_text(str(engine.process.pid))
    start = (
        f"{{ {servicebus_engine_python} -m servicebus_engine --port {engine.port} --config {TOPOLOGY}"
        f" --health-port none --data {tmp_path / 'data'}"
        f" </dev/null >{tmp_path / 'again.log'} 2>&1 & echo $! >{process}; }}"
    )
    try:
        sets = ["--set", f"engine={start}", "--set", f"engine-pid={process}"]
        said = run_dotnet(PROGRAM, engine.connection_string, *arguments("restart"), *sets, timeout=300)
    finally:
        engine.kill()
        subprocess.run(["/bin/kill", "-9", process.read_text().strip()], check=False)
    compare("servicebus-dotnet", told(said), whole=False)
