"""The function app inside Microsoft's own worker library, driven through its exported functions.

``azure-functions-runtime`` is what Azure runs for Python 3.13 and later. There the messages are protobuf, which the
proxy worker hands over in ``request.properties["protos"]``; the library only constructs and reads them, so here plain
classes with the same field names (of FunctionRpc.proto) stand in for them.
"""

import json
import logging
import os
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime

from infra.local.host.settings import SettingsError, substitute

log = logging.getLogger("host.worker")


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

    def __getattr__(self, name: str) -> None:
        if name.startswith("__") or name == "TypedData":  # the library asks "is this a module or a TypedData?"
            raise AttributeError(name)

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 -- protobuf's name
        """Answer for the two oneofs that the library asks about, TypedData.data and ParameterBinding.rpc_data."""
        return next((field for field in vars(self) if field != "name"), None)


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


def text_data(value: str) -> Any:
    """Wrap a string as TypedData."""
    return protos.TypedData(string=value)


def json_data(value: object) -> Any:
    """Wrap a value as the JSON text that the host sends for everything but strings and bytes."""
    return protos.TypedData(json=json.dumps(value))


def bytes_data(value: bytes) -> Any:
    """Wrap bytes as TypedData."""
    return protos.TypedData(bytes=value)


async def load(app_dir: Path) -> list[Function]:
    """Import the app and index its functions, leaving out those that a setting disables.

    Raises:
        WorkerError: The app does not import, or the worker refuses a function.
        SettingsError: There is no app, a setting is missing, or the app needs what this host does not serve.
    """
    script = app_dir / os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
    if not script.is_file():
        raise SettingsError(f"there is no {script.name} in {app_dir}")
    os.chdir(app_dir)
    sys.path.insert(0, str(app_dir))
    runtime.start_threadpool_executor()
    started = await runtime.worker_init_request(
        _request(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(app_dir)))
    )
    if started.result.status != protos.StatusResult.Success:
        raise WorkerError(started.result.exception.stack_trace)
    if "HttpUri" in started.capabilities:
        raise SettingsError("the app uses HTTP streaming (azurefunctions-extensions-http-*): not supported here")
    answer = await runtime.functions_metadata_request(_request())
    functions = [
        Function(meta.name, meta.function_id, [json.loads(binding) for binding in meta.raw_bindings])
        for meta in answer.function_metadata_results or []
        if not _disabled(meta.name) and not _refuse_retries(meta)
    ]
    substitute({function.name: function.bindings for function in functions}, os.environ)
    _refuse_other_bindings(functions)
    return functions


async def invoke(
    function: Function,
    data: Any,
    *,
    invocation_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    traceparent: str = "",
    tracestate: str = "",
) -> Any:
    """Run a function once and return its ``$return`` as TypedData, or None when it has no return value.

    Raises:
        FunctionFailed: The function raised, or its input or output could not be converted.
    """
    trace = SimpleNamespace(trace_parent=traceparent, trace_state=tracestate, attributes={})
    answer = await runtime.invocation_request(
        _request(
            invocation_request=SimpleNamespace(
                invocation_id=invocation_id or str(uuid.uuid4()),
                function_id=function.function_id,
                input_data=[protos.ParameterBinding(name=function.trigger["name"], data=data)],
                trigger_metadata=metadata or {},
                trace_context=trace,
                retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
            )
        )
    )
    if answer.result.status != protos.StatusResult.Success:
        error = answer.result.exception
        raise FunctionFailed(error.stack_trace or error.message, error.message)
    return answer.return_value


def stop(limit: float) -> bool:
    """End the thread pool; False when functions still run on it after a limit in seconds."""
    stopping = threading.Thread(target=runtime.stop_threadpool_executor, daemon=True)
    stopping.start()
    stopping.join(limit)
    return not stopping.is_alive()


def _request(**parts: object) -> SimpleNamespace:
    return SimpleNamespace(request=SimpleNamespace(**parts), properties={"host": "127.0.0.1", "protos": protos})


def _disabled(name: str) -> bool:
    """Apply https://learn.microsoft.com/azure/azure-functions/disable-function."""
    settings = (f"AzureWebJobs.{name}.Disabled", f"AzureWebJobs__{name}__Disabled")
    return any(os.environ.get(setting, "").lower() in {"1", "true"} for setting in settings)


def _refuse_retries(meta: Any) -> bool:
    if meta.retry_options is not None:
        raise SettingsError(f"{meta.name}: a retry policy is not supported by this host")
    return False


def _refuse_other_bindings(functions: list[Function]) -> None:
    served = {"httptrigger", "timertrigger", "servicebustrigger", "http"}
    others = [
        f"{function.name}: {binding['type']}"
        for function in functions
        for binding in function.bindings
        if binding["type"].lower() not in served
    ]
    if others:
        raise SettingsError(
            "this host serves HTTP, timer and Service Bus triggers and HTTP output only, not " + "; ".join(others)
        )
