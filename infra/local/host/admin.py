"""The host's admin routes that development tools use, for callers on this machine only and without a key.

The real host asks for its master key (https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http);
here being on the same machine is enough, and any other caller gets the 401 that a missing key would.
"""

import ipaddress
import time
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.host.timers import Timer
from infra.local.host.worker import Function

type Endpoint = Callable[[Request], Awaitable[Response]]


def admin_routes(functions: Sequence[Function], timers: Sequence[Timer]) -> list[Route]:
    """Build /admin/functions, /admin/functions/{name} and /admin/host/status."""
    started = time.monotonic()
    by_name = {function.name.lower(): function for function in functions}
    timer_of = {timer.function.name.lower(): timer for timer in timers}

    async def list_functions(_: Request) -> Response:
        return JSONResponse([_described(function) for function in functions])

    async def get_function(request: Request) -> Response:
        function = by_name.get(request.path_params["name"].lower())
        return JSONResponse(_described(function)) if function else Response(status_code=404)

    async def run_function(request: Request) -> Response:
        name = request.path_params["name"].lower()
        if name not in by_name:
            return Response(status_code=404)
        if name not in timer_of:
            detail = f"{by_name[name].name}: only timer functions are run by hand on this host"
            return JSONResponse({"message": detail}, status_code=501)
        timer_of[name].fire()
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
