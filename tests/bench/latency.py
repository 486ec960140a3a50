"""The same latency for every store: so many seconds for each round trip, injected at the stores' doors.

Cosmos DB is reached through a proxy that hands each request on later. SQL waits before each request that Azure SQL
would get (tests/support/counting.py).
One thing is different there: SQLite has one lock for all writers, which it would hold while a transaction waits, and
transactions of different orders would wait for one another, which they do not on a database with row locks. So what is
to be waited for while it is held is waited for right after, before the connection is used again. Tandem and its peer
are treated alike.
"""

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from tests.support.counting import hearing_requests, writes

SETTING = "BENCH_DELAY"
"""The environment variable that names the file."""
CHUNK = 65_536


_SECONDS = struct.Struct("d")
_HEARING = ExitStack()
"""What is heard of, for as long as the process lives."""


class Delay:
    """Seconds for one round trip, which all processes of the bench read from one file, in a microsecond or two."""

    def __init__(self, file: Path) -> None:
        """Open the file, which has to be there: a figure without the delay that it tells of means nothing."""
        self.file = file
        self._open = os.open(file, os.O_RDWR)

    @classmethod
    def new(cls, file: Path) -> Self:
        """Make the file; no delay yet."""
        file.write_bytes(_SECONDS.pack(0))
        return cls(file)

    @property
    def seconds(self) -> float:
        """How long it is now."""
        (seconds,) = _SECONDS.unpack(os.pread(self._open, _SECONDS.size, 0))
        return float(seconds)

    def set(self, seconds: float) -> None:
        """Let it be so long from now on."""
        os.pwrite(self._open, _SECONDS.pack(seconds), 0)


def delay_sql() -> None:
    """Delay the SQL of this process, by what the file in the environment says."""
    delay_engines(sa.Engine, Delay(Path(os.environ[SETTING])))


def delay_engines(engines: sa.Engine | type[sa.Engine], delay: Delay, *, alone: bool = False) -> None:
    """Delay the SQL of one engine, or of all.

    Args:
        engines: which.
        delay: by what.
        alone: nobody else waits for SQLite's lock, so that each request is waited for where it is sent.
    """

    def round_trip(_engine: sa.Engine, connection: sa.Connection | None) -> None:
        if connection is not None and not alone and _holds_lock(connection):
            connection.info["owed"] = connection.info.get("owed", 0) + 1
        else:
            time.sleep(delay.seconds)

    _pay_when_given_back(engines, delay)
    _HEARING.enter_context(hearing_requests(engines, round_trip))


def _holds_lock(connection: sa.Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    return writes(connection) or driver.in_transaction


def _pay_when_given_back(engines: sa.Engine | type[sa.Engine], delay: Delay) -> None:
    met: set[sa.Pool] = set()

    def pay(_connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
        time.sleep(delay.seconds * record.info.pop("owed", 0))

    @sa.event.listens_for(engines, "engine_connect")
    def _meet(connection: sa.Connection) -> None:
        # not before, so that whoever gives up a lock when a connection is given back has done so
        if connection.engine.pool not in met:
            met.add(connection.engine.pool)
            sa.event.listen(connection.engine.pool, "checkin", pay)


@asynccontextmanager
async def delayed_door(port: int, delay: Delay) -> AsyncIterator[int]:
    """Listen on a free port of this machine, which leads to the other one, but later; gives the port."""
    inside: set[asyncio.Task[None]] = set()

    async def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            inside.add(task)
            task.add_done_callback(inside.discard)
        with suppress(ConnectionError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_forward(reader, far_writer, delay), _forward(far_reader, writer, None))

    server = await asyncio.start_server(come_in, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in inside:
            task.cancel()
        await asyncio.gather(*inside, return_exceptions=True)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: Delay | None) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await reader.read(CHUNK):
            if delay is None:
                writer.write(data)
            else:
                loop.call_later(delay.seconds, writer.write, data)
    finally:
        loop.call_later(delay.seconds if delay else 0, writer.close)
