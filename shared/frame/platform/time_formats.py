"""Room for the formats of times that the Functions worker tries on each Service Bus message.

`azure.functions` reads EnqueuedTimeUtc and ExpiresAtUtc by `strptime`, trying up to fourteen formats on each. Python
keeps the last five or six of them compiled, so all were compiled anew for each message: 0.35 ms of a processor, a
fifth of what dispatching an event took.
"""

import _strptime  # type: ignore[import-not-found]  # private to Python, so typeshed leaves it out

FORMATS = 32
"""More than the sixteen that `azure.functions.meta` knows."""


def keep_time_formats() -> None:
    """Let Python keep them all compiled. Its bound is a private name: should it go, this does nothing any more."""
    _strptime._CACHE_MAX_SIZE = FORMATS  # noqa: SLF001 -- there is no other way to say it
