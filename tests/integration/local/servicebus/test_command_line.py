"""Starting and stopping, and the faults that are the user's."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
        command = [sys.executable, "-m", "infra.local.servicebus", "--port", str(port), "--data", str(tmp_path)]
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
