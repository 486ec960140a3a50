"""The messages between host and worker: functions, invocations, and values as FunctionRpc.proto has them.

In Azure the messages are protobuf. Microsoft's worker library only constructs and reads them, so here plain classes
with the same field names stand in for them. They travel pickled between two processes of the same code, over pipes
that nobody else holds.
"""

import json
import pickle
import struct
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, Protocol

LENGTH = struct.Struct(">I")
"""The header of each frame: the number of pickled bytes."""


class WorkerError(Exception):
    """The worker refused the app; the text is the app's own traceback."""


class FunctionFailed(Exception):
    """An invocation raised; the text is the traceback from inside the function, the summary the error on one line."""

    def __init__(self, traceback: str, summary: str) -> None:
        super().__init__(traceback)
        self.summary = " ".join(summary.split())


@dataclass(frozen=True, slots=True)
class Function:
    """One indexed function and its bindings after substitution."""

    name: str
    function_id: str
    bindings: list[dict[str, Any]]

    @property
    def trigger(self) -> dict[str, Any]:
        """Its trigger binding; it need not be the first."""
        return next(binding for binding in self.bindings if is_trigger(binding))


class _Stand(SimpleNamespace):
    """A message stand-in: fields that were not given read as None, as absent ones do through protobuf wrappers."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be pickled for the other process, by its name in `protos`."""
        return _made, (type(self).__name__, vars(self))

    def __getattr__(self, name: str) -> None:
        if name.startswith("__") or name == "TypedData":  # the library asks "is this a module or a TypedData?"
            raise AttributeError(name)

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 -- protobuf's name
        """Answer for the two oneofs that the library asks about, TypedData.data and ParameterBinding.rpc_data."""
        return next((field for field in vars(self) if field != "name"), None)


def _made(name: str, fields: Mapping[str, object]) -> Any:
    return getattr(protos, name)(**fields)


def _message(name: str, **constants: object) -> type[_Stand]:
    return type(name, (_Stand,), constants)


protos = SimpleNamespace(
    StatusResult=_message("StatusResult", Failure=0, Success=1, Cancelled=2),
    BindingInfo=_message("BindingInfo", **{"in": 0, "out": 1, "inout": 2, "undefined": 0}),
    RpcHttpCookie=_message(
        "RpcHttpCookie", SameSite=SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})
    ),
    **{
        name: _message(name)
        for name in (
            "FunctionMetadataResponse",
            "InvocationResponse",
            "NullableBool",
            "NullableDouble",
            "NullableString",
            "NullableTimestamp",
            "ParameterBinding",
            "RpcException",
            "RpcFunctionMetadata",
            "RpcHttp",
            "RpcRetryOptions",
            "Timestamp",
            "TypedData",
            "WorkerInitResponse",
            "WorkerMetadata",
        )
    },
)


def is_trigger(binding: Mapping[str, Any]) -> bool:
    """Tell a trigger from an input or an output binding."""
    return str(binding["type"]).lower().endswith("trigger")


type Metadata = Mapping[str, tuple[Literal["string", "json"], str]]
"""Trigger metadata by name: the field of TypedData and its text. A message has some sixteen, each of which would cost
two microseconds to pickle and one to read as an object."""


def text_data(value: str) -> Any:
    """Wrap a string as TypedData."""
    return protos.TypedData(string=value)


def json_data(value: object) -> Any:
    """Wrap a value as the JSON text that the host sends for everything but strings and bytes."""
    return protos.TypedData(json=json.dumps(value))


def bytes_data(value: bytes) -> Any:
    """Wrap bytes as TypedData."""
    return protos.TypedData(bytes=value)


@dataclass(frozen=True, slots=True)
class Call:
    """An invocation, by the function's name: its id changes with the process."""

    number: int
    function: str
    data: Any
    invocation_id: str | None = None
    metadata: Metadata = field(default_factory=dict)
    traceparent: str = ""
    tracestate: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a call: its value, or the traceback and the summary of its failure."""

    number: int
    value: Any = None
    failure: tuple[str, str] | None = None


class Invoke(Protocol):
    """Runs a function once."""

    def __call__(
        self,
        function: Function,
        data: Any,
        *,
        metadata: Metadata | None = None,
        traceparent: str = "",
        tracestate: str = "",
    ) -> Awaitable[Any]:
        """Give the function's ``$return`` as TypedData, or None when it has no return value.

        Raises:
            FunctionFailed: It raised, took longer than functionTimeout, or its worker ended.
        """


def framed(said: object) -> bytes:
    """Write a frame."""
    pickled = pickle.dumps(said)
    return LENGTH.pack(len(pickled)) + pickled


def unframed(pickled: bytes) -> Any:
    """Read the content of a frame."""
    return pickle.loads(pickled)  # noqa: S301 -- from the process that this one has started, or was started by
