"""The function app inside Microsoft's own worker library, driven through its exported functions, in this process.

``azure-functions-runtime`` is what Azure runs for Python 3.13 and later. There the proxy worker hands over the classes
of its messages in ``request.properties["protos"]``; here their stand-ins are handed over.
"""

import json
import logging
import os
import sys
import threading
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime

from infra.local.host.rpc import Function, FunctionFailed, Metadata, WorkerError, protos
from infra.local.host.settings import SettingsError, substitute


async def load(app_dir: Path) -> list[Function]:
    """Import the app and index its functions, leaving out those that a setting disables.

    Raises:
        WorkerError: The app does not import, or the worker refuses a function.
        SettingsError: There is no app, a setting is missing, or the app needs a feature that this host lacks.
    """
    script = app_dir / os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
    if not script.is_file():
        raise SettingsError(f"there is no {script.name} in {app_dir}")
    if "COLLECT_STATEMENTS" in os.environ:  # a test run wants to know what the app sends to the database
        logging.getLogger("alembic").setLevel(logging.WARNING)  # which comes along
        from infra.sql import collected  # noqa: PLC0415  # the host has no other business with SQL

        collected.listen()
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
    metadata: Metadata | None = None,
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
                trigger_metadata={
                    name: protos.TypedData(**{kind: text}) for name, (kind, text) in (metadata or {}).items()
                },
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
