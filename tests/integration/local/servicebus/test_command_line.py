"""Starting and stopping, and the faults that are the user's."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from servicebus_engine.running import Engine
from servicebus_engine.topology import read_topology
from tests.integration.local.servicebus.topology import config, queue, sql_rule, topic
from tests.support.servicebus import CONFIG, REPOSITORY, running_engine


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(sent: signal.Signals, tmp_path: Path) -> None:
    with running_engine(data=tmp_path / "made" / "on demand") as engine:
        engine.process.send_signal(sent)
        assert engine.process.wait(10) == 0
        assert "Traceback" not in engine.log


def test_a_taken_port_is_named_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "servicebus_engine", "--port", str(port), "--data", str(tmp_path)]
        command += ["--config", str(CONFIG), "--health-port", "none"]
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_laptops_own_configuration_starts() -> None:
    with running_engine(CONFIG) as engine:
        assert engine.stop() == 0


@pytest.mark.parametrize(
    ("configuration", "complaint"),
    [
        (config(queue("q", EnablePartitioning=True)), r"Queues\.'q'\.Properties\.EnablePartitioning: Extra inputs"),
        (config(queue("q", LockDuration="soon")), r"'q'\.Properties\.LockDuration"),
        (config(queue("q", MaxDeliveryCount=0)), r"'q'\.Properties\.MaxDeliveryCount"),
        (config(queue("q"), queue("Q")), "'Q' is used twice"),
        (config(queue("q", ForwardTo="nowhere")), "'q' forwards to 'nowhere', which leads to no queue or topic"),
        (config(queue("q", ForwardTo="r"), queue("r", ForwardTo="q")), "forwards in a circle"),
        (
            config(topics=(topic("t", {"Name": "s", "Rules": [sql_rule("quantity > ")]}),)),
            "topic 't', subscription 's': rule 'rule': 'quantity > ' is not a valid expression",
        ),
        (
            config(topics=(topic("t", {"Name": "s", "Rules": [sql_rule("quantity * 2 > 4")]}),)),
            r"rule 'rule': '\[?quantity\]? \* 2' is not supported",
        ),
        (
            config(
                topics=(
                    topic(
                        "t",
                        {
                            "Name": "s",
                            "Rules": [
                                {
                                    "Name": "r",
                                    "Properties": {
                                        "FilterType": "Sql",
                                        "SqlFilter": {"SqlExpression": "1=1"},
                                        "Action": {"SqlExpression": "SET sys.Label = 'x'"},
                                    },
                                }
                            ],
                        },
                    ),
                )
            ),
            r"'r'\.Properties\.Action: Extra inputs",
        ),
        ({"UserConfig": {"Namespaces": []}}, "Namespaces"),
    ],
)
def test_a_configuration_that_cannot_be_honoured_is_refused(configuration: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RuntimeError, match=complaint) as refused, running_engine(configuration):
        pass
    assert "ended with code 1" in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"missing\.json"), running_engine(tmp_path / "missing.json"):
        pass


COMMENTED = """{
  // the official emulator's own file has comments
  "UserConfig": {"Namespaces": [{"Name": "sbemulatorns", /* of both
    kinds */ "Queues": [{"Name": "a//b"}]}]} // and this is none: "//"
}"""


def test_a_configuration_may_have_comments_as_the_official_emulators_own_file_has(tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    path.write_text(COMMENTED, encoding="utf-8")
    [queue_of_it] = read_topology(path).queues
    assert queue_of_it.name == "a//b"


def test_health_is_answered_on_its_port_and_on_the_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "servicebus_engine", "--port", "0", "--health-port", "0", "--config", str(CONFIG)]
    with subprocess.Popen([*command, "--data", ":memory:"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as engine:
        try:
            assert engine.stderr is not None
            addresses = [engine.stderr.readline().split()[-1] for _ in range(2)]
            for address in addresses:
                healthy = httpx.get(f"http://{address}/health")
                assert healthy.json() == {"status": "healthy", "message": "Service is healthy."}
                assert httpx.get(f"http://{address}/healthy").status_code == 501
            assert len(set(addresses)) == 2
        finally:
            engine.terminate()


def test_an_engine_ends_with_what_started_it(tmp_path: Path) -> None:
    engine = Engine(CONFIG, None, tmp_path)
    assert engine.process.stdin is not None
    engine.process.stdin.close()  # what the system does when a process dies
    assert engine.process.wait(10) == 0
