"""The host's admin routes that development tools use, for callers on this machine only and without a key.

The real host asks for its master key (https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http);
here being on the same machine is enough, and any other caller gets the 401 that a missing key would.
"""

import asyncio
import ipaddress
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from proton import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.host.messages import trigger_input
from infra.local.host.rpc import Function, FunctionFailed, Invoke, bytes_data, protos
from infra.local.host.timers import Timer
from infra.local.host.traces import traceparent_of

log = logging.getLogger("host.admin")

type Endpoint = Callable[[Request], Awaitable[Response]]


def admin_routes(functions: Sequence[Function], timers: Sequence[Timer], invoke: Invoke) -> list[Route]:
    """Build /admin/functions, /admin/functions/{name} and /admin/host/status."""
    started = time.monotonic()
    by_name = {function.name.lower(): function for function in functions}
    timer_of = {timer.function.name.lower(): timer for timer in timers}
    running: set[asyncio.Task[None]] = set()

    async def list_functions(_: Request) -> Response:
        return JSONResponse([_described(function) for function in functions])

    async def get_function(request: Request) -> Response:
        function = by_name.get(request.path_params["name"].lower())
        return JSONResponse(_described(function)) if function else Response(status_code=404)

    async def run_function(request: Request) -> Response:
        name = request.path_params["name"].lower()
        if name not in by_name:
            return Response(status_code=404)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Response(status_code=415)
        try:
            document = json.loads(await request.body() or b"{}")
            given = str(document.get("input") or "")
        except (ValueError, AttributeError):
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        if name in timer_of:
            timer_of[name].fire()
        else:
            task = asyncio.create_task(_run(by_name[name], given, invoke))
            running.add(task)
            task.add_done_callback(running.discard)
        return Response(status_code=202)

    async def status(_: Request) -> Response:
        uptime = int((time.monotonic() - started) * 1000)
        return JSONResponse({"id": "local", "state": "Running", "version": "4.0-local", "processUptime": uptime})

    return [
        Route("/admin/functions", _local(list_functions), methods=["GET"]),
        Route("/admin/functions/{name}", _local(get_function), methods=["GET"]),
        Route("/admin/functions/{name}", _local(run_function), methods=["POST"]),
        Route("/admin/host/status", _local(status), methods=["GET"]),
    ]


async def _run(function: Function, given: str, invoke: Invoke) -> None:
    """Run a function that is no timer with a text as its request's or its message's body."""
    try:
        if function.trigger["type"].lower() == "httptrigger":
            http = protos.RpcHttp(
                method="POST", url="http://localhost/", headers={}, params={}, query={}, body=bytes_data(given.encode())
            )
            await invoke(function, protos.TypedData(http=http), traceparent=traceparent_of(None))
        else:
            message = Message(body=given, id=uuid.uuid4().hex)
            binary = str(function.trigger.get("dataType", "")).lower() in {"binary", "stream"}
            data, metadata = trigger_input(message, uuid.uuid4(), binary=binary)
            await invoke(function, data, metadata=metadata, traceparent=traceparent_of(None))
    except FunctionFailed as failure:
        log.error("%s failed\n%s", function.name, failure)  # noqa: TRY400 -- the text is the traceback


def _local(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        client = request.client
        if client is None or not ipaddress.ip_address(client.host).is_loopback:
            return Response(status_code=401)
        return await endpoint(request)

    return guarded


def _described(function: Function) -> dict[str, object]:
    return {
        "name": function.name,
        "language": "python",
        "isDisabled": False,
        "config": {"name": function.name, "language": "python", "bindings": function.bindings},
    }
