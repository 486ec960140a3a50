"""Caches for the times that the Functions worker reads of each Service Bus message.

`azure.functions` reads EnqueuedTimeUtc and ExpiresAtUtc by `strptime`, and tries up to fourteen formats on each. Python
caches only the last five or six compiled formats, so each message compiled all of them again: 0.35 ms of a processor, a
fifth of the time that dispatching an event took. Trying them takes 0.05 ms for each time all the same, and many times
are alike: messages without a time to live expire at the end of time, and all copies of an event came at the same time.
"""

import _strptime  # type: ignore[import-not-found]  # private to Python, so typeshed leaves it out
from functools import lru_cache
from typing import Any

from azure.functions import meta

FORMATS = 32
"""More than the sixteen that `azure.functions.meta` knows."""

TIMES = 256
"""Times that are remembered: those of the messages that are under way."""


def keep_time_formats() -> None:
    """Raise the limit of Python's cache. The limit is a private name: without it, this function does nothing."""
    _strptime._CACHE_MAX_SIZE = FORMATS  # noqa: SLF001 -- there is no other way to say it


def remember_times() -> None:
    """Let `azure.functions` read a time once. Its function is private: without it, this function does nothing."""
    converter: Any = meta._BaseConverter  # noqa: SLF001 -- there is no other way to reach it
    if hasattr(converter, "_parse_datetime"):
        converter._parse_datetime = staticmethod(lru_cache(TIMES)(converter._parse_datetime))  # noqa: SLF001
