"""What a service's processes take of the processors; a second says less where they share a core."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import psutil

PARTS = {
    "tests.bench.slow_worker": "worker",
    "tests.bench.slow_host": "host",
    "servicebus_engine": "Service Bus engine",
    "tests.bench.slow_cosmos": "Cosmos engine",
}
"""Tandem's processes, by the module that each runs."""

PEER = {"tests.bench.peers.crud": "all"}


def taken(parts: Mapping[str, str]) -> Counter[str]:
    """Give the seconds of a processor that each of these parts has taken since it began."""
    seconds: Counter[str] = Counter()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times, command = process.cpu_times(), process.cmdline()
            for module, part in parts.items():
                seconds[part] += (times.user + times.system) * (module in command)
    return seconds


def a_request(seconds: Counter[str], requests: int) -> str:
    """Write what a request takes: milliseconds of a processor, and of that each part, if there are several."""
    each = [f"{part} {seconds[part] * 1000 / requests:.1f}" for part in seconds]
    return f"{seconds.total() * 1000 / requests:.1f} ms{f' ({", ".join(each)})' if len(each) > 1 else ''}"
