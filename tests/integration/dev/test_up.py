"""`dev.py up`: one command starts everything, and one Ctrl-C ends every process of it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from azure.cosmos import CosmosClient
from sqlalchemy.engine import make_url

from infra.local import connections, ports
from infra.local import stack as running
from infra.local.demo import __main__ as demo
from infra.local.ports import LOOPBACK, choose, is_free
from infra.local.up import _differences, _parser, _plan
from infra.sql.migrate import migrate
from tests.support.processes import is_alive
from tests.support.stack import ROOT, Stack, running_stack

FREE = ("--port", "0", "--servicebus-port", "0", "--cosmos-port", "0", "--payments-port", "0")
NAMES = {"host", "servicebus", "cosmos", "payments"}


ENDS_WITHIN = 600.0
"""Seconds after which a command that ends by itself is taken to hang. It takes one or two; on a machine with ten times
as much to do as it has cores, and a disk that is as busy, imports alone have taken more than a minute."""


def up(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`dev.py up`, when it is expected to end by itself."""
    return ended_by_itself([sys.executable, "-m", "infra.local.up", *arguments], ROOT)


def ended_by_itself(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Wait until a command that was given in a folder has ended, however long a busy machine needs for it."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=ENDS_WITHIN)


def eventually(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as stack:
        yield stack


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--port", "functions host"),
        ("--servicebus-port", "Service Bus engine"),
        ("--cosmos-port", "Cosmos engine"),
        ("--payments-port", "payment provider"),
    ],
)
def test_a_taken_port_is_named_with_the_option_that_changes_it(
    option: str, name: str, listener: socket.socket, tmp_path: Path
) -> None:
    port = listener.getsockname()[1]
    ended = up(*FREE, option, str(port), "--data", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == f"Port {port} ({name}) is taken: free it, or choose another with {option} PORT.\n"
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [("--port", "--servicebus-port"), ("--port", "--cosmos-port"), ("--servicebus-port", "--cosmos-port")],
)
def test_a_port_that_is_named_twice_is_refused_with_both_options(first: str, second: str, tmp_path: Path) -> None:
    port = str(choose(0, "any", "--any"))
    ended = up(*FREE, first, port, second, port, "--data", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == f"Port {port} is named twice, by {first} and by {second}: choose two ports.\n"
    assert not (tmp_path / "stack.json").exists()


def test_a_free_port_is_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "CANDIDATES", range(20_000, 20_003))
    monkeypatch.setattr(ports, "is_free", lambda _port: True)
    assert {choose(0, "any", "--any", {20_000, 20_002}) for _ in range(20)} == {20_001}


@pytest.mark.parametrize(
    "wrong",
    [["--port", "seven"], ["--port", "65536"], ["--setting", "novalue"], ["--bogus"], ["--data", ".", "--ephemeral"]],
)
def test_a_wrong_option_is_answered_with_the_usage(wrong: list[str]) -> None:
    ended = up(*wrong)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: dev.py up")


def test_a_second_stack_on_the_same_data_is_refused_and_the_first_one_named(stack: Stack) -> None:
    ended = up(*FREE, "--data", stack.data)
    assert ended.returncode == 1
    assert "already running" in ended.stderr
    assert stack.base_url in ended.stderr
    assert set(stack.pids) == NAMES


def test_a_data_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = up(*FREE, "--data", tmp_path / "file")
    assert ended.returncode == 1
    assert "cannot be used for the data" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_running_stack_can_be_found_by_its_data_folder(stack: Stack, tmp_path: Path) -> None:
    found = running.find(stack.data)
    assert found is not None
    assert found.base_url == stack.base_url
    shutil.copy(stack.data / "stack.json", tmp_path)
    assert running.find(tmp_path) is None, "what a killed stack left behind was taken for a running one"


DAMAGED = ["", '{"base_url": "http://127.0.0.1:7', "null", "[]", "{}", '{"other": 1}', "\0" * 100]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_note_is_no_running_stack_and_does_not_hide_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(text, encoding="utf-8")
    assert running.find(tmp_path) is None
    with running.lock(tmp_path):
        assert running.find(tmp_path) is None
        ended = up(*FREE, "--data", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == f"A stack is already running on {tmp_path}: use it or end it.\n"


def test_a_relative_folder_is_one_where_the_command_was_given(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = ended_by_itself([sys.executable, ROOT / "dev.py", "up", *FREE, "--data", "file"], tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert f"{tmp_path / 'file'} cannot be used for the data" in ended.stderr.splitlines()[-1]


def test_the_demo_looks_for_the_stack_and_writes_where_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(running.CALLED_FROM, str(tmp_path))
    options = demo._parser().parse_args(["--data", "here", "--json", "figures.json"])
    assert (options.data, options.json) == (tmp_path / "here", tmp_path / "figures.json")
    assert demo._parser().parse_args([]).data == Path(".local"), "the repository's own folder, without --data"


@pytest.mark.parametrize("name", ["plain", "da ta%20?x#y", "ä€", "a@b:c", "a&b=c;d+e", "100%", "'\"$\\", "new\nline"])
def test_the_sql_files_lie_in_the_folder_whatever_its_name(name: str, tmp_path: Path) -> None:
    url = connections.sql(tmp_path / name)
    assert make_url(url).database == str(tmp_path / name / "tandem.db")
    (tmp_path / name).mkdir()
    migrate(url)
    assert list(tmp_path.iterdir()) == [tmp_path / name]
    assert sorted(tmp_path.rglob("tandem.*.db")) == sorted((tmp_path / name).glob("tandem.*.db")) != []


def test_a_folder_whose_name_is_no_text_is_a_clear_error(tmp_path: Path) -> None:
    ended = up(*FREE, "--data", tmp_path / os.fsdecode(b"\xff"))
    assert ended.returncode == 1
    assert "cannot be used for the data" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_prints_what_to_try_next(stack: Stack) -> None:
    printed = stack.printed()
    assert f"Ready at {stack.base_url} in {stack.seconds_to_ready:.1f} s" in printed
    assert f"curl -i {stack.base_url}/api/customers" in printed
    assert "\033" not in printed, "colours belong on a terminal"


@pytest.mark.parametrize("name", ["cosmos", "servicebus", "payments", "host"])
def test_a_killed_process_is_replaced_and_the_stack_is_ready_again(stack: Stack, name: str) -> None:
    others = {other: pid for other, pid in stack.pids.items() if other != name}
    stack.kill(name)
    stack.wait_ready()
    assert f"{name} ended with exit code -9; starting it again" in stack.printed()
    assert {other: stack.pids[other] for other in others} == others


def test_two_stacks_run_side_by_side_and_no_process_outlives_a_supervisor_that_is_killed(stack: Stack) -> None:
    with running_stack() as other:
        pids = other.pids
        assert not set(stack.ports.values()) & set(other.ports.values())
        assert httpx.get(f"{stack.base_url}/api/health/ready", timeout=30).status_code == httpx.codes.OK
        other.supervisor.kill()
        other.supervisor.wait(15)
        eventually(lambda: not any(is_alive(pid) for pid in pids.values()), f"one of {pids} lives on")
    stack.wait_ready()


def test_sigterm_ends_every_process_and_the_second_start_finds_the_data_of_the_first(tmp_path: Path) -> None:
    ada = {"customerId": "0198b5f0-0000-7000-8000-000000000001", "name": "Ada", "email": "ada@example.com"}
    with running_stack(tmp_path) as stack:
        pids, ports, first = stack.pids, stack.ports, stack.seconds_to_ready
        registered = httpx.post(f"{stack.base_url}/api/customers", json=ada, headers=stack.authorized, timeout=30)
        assert registered.status_code == httpx.codes.CREATED, registered.text
        stack.supervisor.terminate()
        assert stack.supervisor.wait(30) == 0, stack.printed()
        assert not [name for name, pid in pids.items() if is_alive(pid)]
        assert all(is_free(port) for port in ports.values())
        assert not (tmp_path / "stack.json").exists()
        assert "Traceback" not in stack.printed()
    with running_stack(tmp_path) as stack:
        print(f"ready after {first:.1f} s the first time, {stack.seconds_to_ready:.1f} s the second")  # noqa: T201 -- for pytest -s
        again = httpx.post(f"{stack.base_url}/api/customers", json=ada, headers=stack.authorized, timeout=30)
        assert again.status_code == httpx.codes.CONFLICT, again.text


def test_ephemeral_data_is_gone_afterwards(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infra.local.up", *FREE, "--ephemeral"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        assert any(line.startswith("cosmos") for line in supervisor.stdout)
        [data] = tmp_path.glob("tandem-*")
        assert (data / "stack.json").exists()
        supervisor.send_signal(signal.SIGINT)
        supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    assert not list(tmp_path.iterdir())


def test_without_the_host_the_engines_are_prepared_for_core_tools(tmp_path: Path) -> None:
    declared = json.loads((ROOT / "infra" / "local" / "cosmos.json").read_text(encoding="utf-8"))["containers"]
    command = [sys.executable, "-m", "infra.local.up", *FREE, "--engines-only", "--data", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        try:
            assert supervisor.stdout is not None
            assert any("func start" in line for line in supervisor.stdout)
            found = running.find(tmp_path)
            assert found is not None
            assert set(found.pids) == {"servicebus", "cosmos", "payments"}
            with CosmosClient.from_connection_string(found.settings["CosmosConnection"]) as client:
                names = [each["id"] for each in client.get_database_client("orders-db").list_containers()]
            assert names == [container["id"] for container in declared]
        finally:
            supervisor.send_signal(signal.SIGINT)
            supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0


def until_ready_for_core_tools(*arguments: str | Path) -> str:
    """What `--engines-only` says until it has said everything; it is ended then."""
    command = [sys.executable, "-m", "infra.local.up", "--engines-only", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as supervisor:
        assert supervisor.stdout is not None
        said = ""
        for line in supervisor.stdout:
            said += line
            if "End everything" in line:
                break
        supervisor.terminate()
        supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0, said
    return said


def test_engines_are_started_anew_beside_the_host_that_they_are_for(tmp_path: Path, listener: socket.socket) -> None:
    port = str(listener.getsockname()[1])
    said = until_ready_for_core_tools(*FREE, "--port", port, "--data", tmp_path)
    assert f"func start --port {port}\n" in said


def test_core_tools_is_told_every_setting_that_the_sample_has_otherwise(tmp_path: Path) -> None:
    given = ("--port", "7071", "--data", tmp_path, "--setting", f"SqlConnection=sqlite:///{tmp_path}/secret.db")
    said = until_ready_for_core_tools(*FREE, *given)
    assert "func start\n" in said
    assert '"SqlConnection": what --setting says\n' in said
    assert "secret.db" not in said
    found = re.findall(r'^    "(\w+)": ', said, re.MULTILINE)
    assert found == ["SqlConnection", "ServiceBusConnection", "CosmosConnection", "STRIPE_API"]


def test_core_tools_is_told_the_database_of_another_folder_and_nothing_of_the_usual_one(tmp_path: Path) -> None:
    def told(*arguments: str | Path) -> str:
        options = _parser().parse_args(["--engines-only", *map(str, arguments)])
        return _differences(_plan(options, options.data.resolve()), dict(options.setting))

    assert f'"SqlConnection": "{connections.sql(tmp_path)}"' in told(*FREE, "--data", tmp_path)
    assert '"SqlConnection": ' not in told(*FREE)


def test_a_migration_that_fails_ends_everything_and_is_shown(tmp_path: Path) -> None:
    ended = up(*FREE, "--data", tmp_path, "--setting", "SqlConnection=nonsense://")
    assert ended.returncode == 1
    assert "migrate ended with exit code 1; its last lines:\n    " in ended.stderr
    assert "nonsense" in ended.stderr
    assert not (tmp_path / "stack.json").exists()


def test_a_stack_that_cannot_write_its_note_runs_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "stack.json" / "in the way").mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-m", "infra.local.up", *FREE, "--engines-only", "--data", tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "The engines are ready" in line:
                break
        process.terminate()
        said += process.stdout.readlines()
        assert process.wait(30) == 0, "".join(said)
    assert any("stack.json is not up to date: " in line for line in said)
    assert "Traceback" not in "".join(said)
    assert "all ended" in said[-1]
