"""Reads handlers' signatures: the input, the repositories that the handler needs, and its answer.

A context may have several kinds of aggregates in one log. The handler's parameters say which of them a command is
about.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, get_args

from shared.frame.messaging.envelope import Metadata
from shared.frame.write_side.unit_of_work import UnitOfWork


def arguments_for(handler: Callable[..., Any], work: UnitOfWork, metadata: Metadata) -> Sequence[Any]:
    """Make a handler's arguments after the first one: the unit of work itself, or repositories bound to it."""
    return [work if kind is UnitOfWork else kind(work, metadata) for kind in _kinds(handler)[1:]]


def input_of(handler: Callable[..., Any], position: int = 0) -> Any:
    """Give the class of a handler's input, which is the parameter at this position; `self` does not count."""
    return _kinds(handler)[position]


def answer_of(handler: Callable[..., Any]) -> Any:
    """Give the class of a query handler's answer; if the handler also gives a version, without that."""
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
