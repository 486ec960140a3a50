"""Three SDKs at once on one engine: 5,000 messages in 300 sessions through each, every one once and in order.

The engine halts for half a second now and then, as it does on a computer that is busy.
"""

import asyncio
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from threading import Event
from typing import Any, Final

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import OperationTimeoutError

from servicebus_engine.running import Engine, running
from tests.support.clients import run_dotnet, run_javascript, tool

JAVASCRIPT: Final = Path(__file__).with_name("javascript")
MESSAGES, SESSIONS, WORKERS = 5_000, 300, 32
HALT, BETWEEN_HALTS = 0.5, 2.0
"""Seconds."""
DOTNET_CHECK: Final = "128 sessions at once, prefetch 50"
"""The check of .NET's client that does the same, with 5,100 messages."""


def test_three_sdks_at_once_get_every_message_once_and_in_order(servicebus_engine_python: Path) -> None:
    dotnet = tool("dotnet-servicebus")
    topologies = [JAVASCRIPT / "topology.json", *([dotnet.resolve().with_name("topology.json")] if dotnet else [])]
    with running(together(*topologies), python=servicebus_engine_python) as engine:
        try:
            received = three_crowds(engine, dotnet)
        finally:
            print(engine.log)  # noqa: T201  # pytest shows it if the test fails
        assert "Traceback" not in engine.log
        assert "in on_" not in engine.log
    assert len(received) == SESSIONS
    assert all(numbers == list(range(len(numbers))) for numbers in received.values())
    assert sum(map(len, received.values())) == MESSAGES


def three_crowds(engine: Engine, dotnet: Path | None) -> dict[str, list[int]]:
    """Run the crowd of each SDK, .NET's where it is at hand; returns the numbers that came by session of Python's."""
    connection_string = engine.connection_string
    with ThreadPoolExecutor() as threads, halting(engine.process, threads):
        others = [threads.submit(run_javascript, JAVASCRIPT / "table.cjs", connection_string, "crowd", timeout=400)]
        if dotnet is not None:
            others.append(threads.submit(run_dotnet, dotnet, connection_string, "--only", DOTNET_CHECK, timeout=400))
        received = asyncio.run(python_crowd(connection_string))
        for other in others:
            assert " 0 failed" in other.result()
    return received


@contextmanager
def halting(process: Popen[bytes], threads: ThreadPoolExecutor) -> Iterator[None]:
    """Halt a process for `HALT` seconds every `BETWEEN_HALTS` seconds until the block ends."""
    done = Event()

    def halt() -> None:
        while not done.wait(BETWEEN_HALTS):
            process.send_signal(signal.SIGSTOP)
            done.wait(HALT)
            process.send_signal(signal.SIGCONT)

    halts = threads.submit(halt)
    try:
        yield
    finally:
        done.set()
        halts.result()


def together(*paths: Path) -> dict[str, Any]:
    """Return one configuration with the entities of several, and the queue of Python's crowd."""
    namespaces = [json.loads(path.read_text())["UserConfig"]["Namespaces"][0] for path in paths]
    queues = [queue for namespace in namespaces for queue in namespace["Queues"]]
    queues.append({"Name": "python-crowd", "Properties": {"RequiresSession": True}})
    topics = [topic for namespace in namespaces for topic in namespace["Topics"]]
    return {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": queues, "Topics": topics}]}}


async def python_crowd(connection_string: str) -> dict[str, list[int]]:
    """Send and receive through Python's SDK; returns the numbers that came by session."""
    received: dict[str, list[int]] = {}
    async with ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client:
        async with client.get_queue_sender("python-crowd") as sender:
            for start in range(0, MESSAGES, 200):
                await sender.send_messages(
                    [
                        ServiceBusMessage(str(number // SESSIONS), session_id=f"s{number % SESSIONS}")
                        for number in range(start, start + 200)
                    ]
                )

        async def work() -> None:
            while sum(map(len, received.values())) < MESSAGES:
                receiver = client.get_queue_receiver("python-crowd", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=3)
                try:
                    async with receiver:
                        while batch := await receiver.receive_messages(50, max_wait_time=0.3):
                            for message in batch:
                                received.setdefault(str(message.session_id), []).append(int(str(message)))
                                await receiver.complete_message(message)
                except OperationTimeoutError:
                    continue

        async with asyncio.timeout(400):
            await asyncio.gather(*(work() for _ in range(WORKERS)))
    return received
