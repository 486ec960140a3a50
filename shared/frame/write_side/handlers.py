"""What a handler's signature says: the input that it decides on, the repositories that it needs, what it answers.

A context may have several kinds of aggregates in one log. No list says which command is about which: a handler does.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, get_args

from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork


def arguments_for(handler: Callable[..., Any], work: UnitOfWork, metadata: Metadata) -> Sequence[Any]:
    """Make what a handler gets behind its first argument: the unit of work itself, or repositories bound to it."""
    return [work if kind is UnitOfWork else kind(work, metadata) for kind in _kinds(handler)[1:]]


def input_of(handler: Callable[..., Any], position: int = 0) -> Any:
    """Give the class of a handler's input, which is the parameter at this position; `self` does not count."""
    return _kinds(handler)[position]


def answer_of(handler: Callable[..., Any]) -> Any:
    """Give the class of what a query's handler answers: without its ETag, if it gives one."""
    answer = _signature(_function(handler)).return_annotation
    return get_args(answer)[0] if get_args(answer) else answer


def _kinds(handler: Callable[..., Any]) -> Sequence[Any]:
    kinds = _annotations(_function(handler))
    return kinds[1:] if inspect.ismethod(handler) else kinds


def _function(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Give a method's function: the caches below must not keep the object that a method is bound to."""
    return handler.__func__ if inspect.ismethod(handler) else handler


@cache
def _annotations(function: Callable[..., Any]) -> Sequence[Any]:
    return [parameter.annotation for parameter in _signature(function).parameters.values()]


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function, eval_str=True)
