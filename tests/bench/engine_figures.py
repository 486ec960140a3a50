"""The figures on the engines' own pages: `.venv/bin/python -m tests.bench.engine_figures`, on an idle computer.

Each engine runs from its wheel, alone in its environment, on a folder. Microsoft's Python client cannot ask for all
that an engine can give, so beside what came through it in a second stands what a second of the engine's core gives,
which a loaded computer changes little.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
from azure.cosmos.aio import CosmosClient
from azure.cosmos.partition_key import PartitionKey
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from cosmos_engine.running import Engine as Cosmos
from servicebus_engine.running import Engine as ServiceBus
from tests.support.alone import python_of

STARTS = 5
COUNT = 4_000
WORKERS = 32
SIZE = 1_000
"""Bytes of a message or of an item's text."""
QUEUE: dict[str, Any] = {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": [{"Name": "q"}]}]}}


type Start = Callable[[Path, Path], Cosmos | ServiceBus]
type Use = Callable[[str, psutil.Process], Coroutine[Any, Any, None]]


def main() -> None:
    """Measure both, and print."""
    with tempfile.TemporaryDirectory() as folder:
        kinds: list[tuple[str, Start, Use]] = [
            ("cosmos", _cosmos, _use_cosmos),
            ("servicebus", _servicebus, _use_servicebus),
        ]
        for name, start, use in kinds:
            python, seconds = python_of(name), []
            for number in range(STARTS):
                place = Path(folder) / f"{name}-{number}"
                place.mkdir()
                begin = time.monotonic()
                engine = start(place, python)
                seconds.append(time.monotonic() - begin)
                if number < STARTS - 1:
                    engine.stop()
            process = psutil.Process(engine.process.pid)
            print(f"{name}: starts in {statistics.median(seconds):.2f} s (median of {STARTS})")
            print(f"{name}: {process.memory_info().rss / 1e6:.0f} MB at rest")
            asyncio.run(use(engine.connection_string, process))
            print(f"{name}: {process.memory_info().rss / 1e6:.0f} MB after that")
            engine.stop()


def _cosmos(place: Path, python: Path) -> Cosmos:
    return Cosmos(place, python=python)


def _servicebus(place: Path, python: Path) -> ServiceBus:
    return ServiceBus(QUEUE, place / "data", place, python)


async def _use_cosmos(connection: str, process: psutil.Process) -> None:
    async with CosmosClient.from_connection_string(connection) as client:
        database = await client.create_database("d")
        container = await database.create_container("c", PartitionKey("/pk"))

        async def create(number: int) -> None:
            await container.create_item({"id": str(number), "pk": str(number % 100), "text": "x" * SIZE})

        async def read(number: int) -> None:
            await container.read_item(str(number), str(number % 100))

        async def query(number: int) -> None:
            found = container.query_items("SELECT TOP 10 * FROM c ORDER BY c.id DESC", partition_key=str(number % 100))
            assert [item async for item in found]

        await _rate("items created", create, process)
        await _rate("point reads", read, process)
        await _rate("queries of 10 in a partition of 40", query, process)


async def _use_servicebus(connection: str, process: psutil.Process) -> None:
    async with ServiceBusClient.from_connection_string(connection) as client:
        senders = asyncio.Queue[ServiceBusSender]()
        for _ in range(WORKERS):  # none is made for several tasks
            senders.put_nowait(client.get_queue_sender("q"))

        async def send(_number: int) -> None:
            sender = await senders.get()
            await sender.send_messages(ServiceBusMessage("x" * SIZE))
            senders.put_nowait(sender)

        await _rate("messages sent one by one", send, process)
        async with client.get_queue_receiver("q", prefetch_count=200) as receiver:
            arriving = aiter(receiver)

            async def receive(_number: int) -> None:
                await receiver.complete_message(await anext(arriving))

            await _rate("messages received and completed", receive, process, workers=1)  # a receiver is for one task
        while not senders.empty():
            await senders.get_nowait().close()


async def _rate(
    what: str, act: Callable[[int], Awaitable[None]], process: psutil.Process, workers: int = WORKERS
) -> None:
    """Do it for all numbers, so many at a time; print how many in a second, and in a second of the engine's core."""
    numbers = iter(range(COUNT))

    async def work() -> None:
        for number in numbers:
            await act(number)

    used, begin = sum(process.cpu_times()[:2]), time.monotonic()
    await asyncio.gather(*(work() for _ in range(workers)))
    seconds, core = time.monotonic() - begin, sum(process.cpu_times()[:2]) - used
    print(
        f"  {what}: {COUNT / seconds:,.0f} a second through the client, {COUNT / core:,.0f} in one of the engine's core"
    )


if __name__ == "__main__":
    main()
