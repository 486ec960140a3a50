"""The same latency for every store: so many seconds for each round trip, injected at the stores' doors.

The Cosmos engine looks at each request later (slow_cosmos.py). SQL waits before each request that Azure SQL would get
(tests/support/counting.py).
One thing is different there: SQLite has one lock for all writers, which it would hold while a transaction waits, and
transactions of different orders would wait for one another, which they do not on a database with row locks. So what is
to be waited for while it is held is waited for right after, before the connection is used again. Tandem and its peer
are treated alike.
"""

import mmap
import os
import struct
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from tests.support.counting import hearing_requests, writes

SETTING = "BENCH_DELAY"
"""The environment variable that names the file."""

_SECONDS = struct.Struct("d")
_HEARING = ExitStack()
"""What is heard of, for as long as the process lives."""


class Delay:
    """Seconds for one round trip, which all processes of the bench read from one file, without a system call."""

    def __init__(self, file: Path) -> None:
        """Open the file, which has to be there: a figure without the delay that it tells of means nothing."""
        self.file = file
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _SECONDS.size)

    @classmethod
    def new(cls, file: Path) -> Self:
        """Make the file; no delay yet."""
        file.write_bytes(_SECONDS.pack(0))
        return cls(file)

    @classmethod
    def of_environment(cls) -> Self:
        """Give the delay that the process was started with."""
        return cls(Path(os.environ[SETTING]))

    @property
    def seconds(self) -> float:
        """How long it is now."""
        (seconds,) = _SECONDS.unpack(self._shared)
        return float(seconds)

    def set(self, seconds: float) -> None:
        """Let it be so long from now on."""
        self._shared[:] = _SECONDS.pack(seconds)


def delay_sql() -> None:
    """Delay the SQL of this process, by what the file in the environment says."""
    delay_engines(sa.Engine, Delay.of_environment())


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
