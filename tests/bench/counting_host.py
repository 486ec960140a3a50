"""The functions host that counts its Service Bus operations: `python -m tests.bench.counting_host`.

Counted are accepts of sessions, renewals and settlements, and what host and worker took of a processor, start included,
in a file named by OPERATIONS.
"""

import atexit
import json
import os
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from infra.local.host import amqp, links
from infra.local.host.__main__ import main

COUNTS: Counter[str] = Counter()


def count() -> None:
    """Count from now on."""
    attach, request, settle = amqp.Connection.attach, amqp.Connection.request, links.Receiver.settle

    async def counted_attach(self: amqp.Connection, address: str, *, session_wait: float | None = None) -> Any:
        receiver = await attach(self, address, session_wait=session_wait)
        COUNTS["accepts"] += session_wait is not None
        return receiver

    async def counted_request(self: amqp.Connection, address: str, properties: Any, body: Any) -> Any:
        COUNTS["renewals"] += "renew" in str(properties.get("operation"))
        return await request(self, address, properties, body)

    def counted_settle(self: links.Receiver, incoming: links.Incoming, outcome: int) -> Any:
        COUNTS["settlements"] += 1
        return settle(self, incoming, outcome)

    amqp.Connection.attach = counted_attach  # type: ignore[method-assign]
    amqp.Connection.request = counted_request  # type: ignore[method-assign]
    links.Receiver.settle = counted_settle  # type: ignore[method-assign]
    atexit.register(_write)


def _write() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    COUNTS["cpu_milliseconds"] = round(sum(each.ru_utime + each.ru_stime for each in used) * 1000)
    Path(os.environ["OPERATIONS"]).write_text(json.dumps(COUNTS))


if __name__ == "__main__":
    count()
    sys.exit(main())
