"""What a handler decides on: the repositories that its parameters name, all of one unit of work.

A context may have several kinds of aggregates in one log. No list says which command is about which: a handler does.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork


def arguments_for(handler: Callable[..., Any], work: UnitOfWork, metadata: Metadata) -> Sequence[Any]:
    """Make what a handler gets behind its first argument: the unit of work itself, or repositories bound to it."""
    return [work if kind is UnitOfWork else kind(work, metadata) for kind in _kinds(handler)]


@cache
def _kinds(handler: Callable[..., Any]) -> Sequence[Any]:
    _input, *others = inspect.signature(handler, eval_str=True).parameters.values()
    return [other.annotation for other in others]
