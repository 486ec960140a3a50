"""Run a function app on a laptop: ``python -m infra.local.host --app . --port 7071 --host 127.0.0.1``.

A development host in place of ``func start``: Microsoft's own worker library in a process of its own, HTTP and timer
triggers, and Service Bus triggers from the development engine or the emulator. As under Core Tools no function key is
asked for; the admin routes need none either and answer loopback callers only.

When it is stopped, it begins no new invocation, and gives running ones 30 seconds, as the real host does (measured);
SHUTDOWN_SECONDS sets another time.
"""

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Collection, Iterator
from datetime import timedelta
from pathlib import Path

import uvicorn
import uvicorn.loops.auto
from starlette.routing import Router

from infra.local import issuer
from infra.local.host.admin import admin_routes
from infra.local.host.admission import BoundedHead, admitting
from infra.local.host.http import HttpTriggers
from infra.local.host.routes import Route, RouteTable, route_of
from infra.local.host.rpc import Function, WorkerError
from infra.local.host.servicebus import ServiceBusPump
from infra.local.host.settings import HostOptions, SettingsError, load_local_settings, log_levels, read_host_json
from infra.local.host.subscriptions import Subscription, subscription_of
from infra.local.host.timers import Timer, finish_all
from infra.local.host.workers import MODULE, Worker

log = logging.getLogger("host")

GRACE = timedelta(seconds=float(os.environ.get("SHUTDOWN_SECONDS", "30")))
"""How long running invocations get to finish when the host stops."""
_BACKLOG = 2048
"""Connections that may wait to be accepted."""
_KEEP_ALIVE = 130
"""Seconds that an idle connection stays open, Kestrel's default."""


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers: the host stops its triggers together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(
    listener: socket.socket, options: HostOptions, worker: Worker, key: str | None, names: Collection[str]
) -> int:
    """Load the app and serve its triggers until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a stop that was asked for, 1 when a part of the host failed.

    Raises:
        SettingsError: A setting is missing, or the app needs a feature that this host lacks.
        WorkerError: The app does not load.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))  # loops have no handlers on Windows
    functions = await worker.start()
    try:
        return await _serve(functions, listener, options, worker, key, names, stop)
    finally:
        if not await worker.stop(timedelta(0)):
            log.warning("functions that did not end within %d s are cut off", GRACE.total_seconds())


async def _serve(
    functions: list[Function],
    listener: socket.socket,
    options: HostOptions,
    worker: Worker,
    key: str | None,
    names: Collection[str],
    stop: asyncio.Event,
) -> int:
    routes = [route_of(each, options.http.route_prefix) for each in _triggered(functions, "httptrigger")]
    timers = [Timer(each, worker.invoke) for each in _triggered(functions, "timertrigger")]
    subscriptions = [subscription_of(each, options.service_bus) for each in _triggered(functions, "servicebustrigger")]
    triggers = HttpTriggers(RouteTable(routes), options.http, worker.invoke, key)
    app = Router(
        admin_routes(functions, timers, worker.invoke), default=triggers
    )  # a Mount passes over paths with a line break in them
    server = _Server(
        uvicorn.Config(
            admitting(app, names),
            http=BoundedHead,
            ws="none",  # a request for an upgrade is answered without one
            proxy_headers=False,  # no proxy is in front, so such headers would be the caller's own claims
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=[("server", "Kestrel")],
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=int(GRACE.total_seconds()),
        )
    )
    host, port = listener.getsockname()[:2]
    base = f"http://{host}:{port}"
    _announce(base, routes, timers, subscriptions)

    listener.listen(_BACKLOG)
    pump = ServiceBusPump(subscriptions, options.service_bus, worker.invoke)
    pumping = asyncio.create_task(pump.run())
    ticking = [asyncio.create_task(timer.run()) for timer in timers]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    log.info("listening on %s", base)
    waits = [asyncio.create_task(stop.wait()), *ticking]
    await asyncio.wait([*waits, pumping, serving], return_when=asyncio.FIRST_COMPLETED)

    log.info("stopping" if stop.is_set() else "stopping, as a part of the host has failed")
    server.should_exit = True
    for task in waits:
        task.cancel()
    await asyncio.gather(serving, pump.stop(GRACE), finish_all(timers, GRACE))
    for error in await asyncio.gather(*waits, pumping, return_exceptions=True):
        if isinstance(error, Exception):
            raise error
    return 0 if stop.is_set() else 1


def _triggered(functions: list[Function], kind: str) -> list[Function]:
    return [function for function in functions if function.trigger["type"].lower() == kind]


def _announce(base: str, routes: list[Route], timers: list[Timer], subscriptions: list[Subscription]) -> None:
    for route in routes:
        log.info("%s: [%s] %s/%s", route.function.name, ",".join(sorted(route.methods)) or "*", base, route.template)
    for timer in timers:
        log.info("%s: timerTrigger %s", timer.function.name, timer.function.trigger["schedule"])
    for each in subscriptions:
        log.info("%s: serviceBusTrigger %s%s", each.function.name, each.path, " (sessions)" if each.sessions else "")
    if not (routes or timers or subscriptions):
        log.warning("the app has no functions")


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.host", description="Run a function app on a laptop.")
    parser.add_argument("--app", type=Path, default=Path(), help="folder of function_app.py (default: this one)")
    parser.add_argument("--port", type=int, default=7071, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        type=str.lower,
        help="a name, beside localhost, by which it may be called; may be given again (default: none)",
    )
    parser.add_argument("--worker", default=MODULE, help="module that the worker's process runs (default: %(default)s)")
    parser.add_argument(
        "--issuer-key", type=Path, help="file with the key of the tokens that are taken (default: none are)"
    )
    arguments = parser.parse_args()
    app_dir = arguments.app.resolve()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("azure", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)  # the worker library logs every invocation at INFO
    try:
        options = read_host_json(app_dir)
        logging.getLogger().setLevel(options.log_level)
        load_local_settings(app_dir)
        for category, level in log_levels(os.environ).items():
            logging.getLogger(category).setLevel(level)
        issuer_key = arguments.issuer_key and issuer.read_key(arguments.issuer_key)
        listener = _bind(arguments.host, arguments.port)
        worker = Worker(app_dir, options.log_level, options.function_timeout, arguments.worker)
        with asyncio.Runner(loop_factory=uvicorn.loops.auto.auto_loop_factory()) as runner:
            code = runner.run(run(listener, options, worker, issuer_key, arguments.name))
    except (SettingsError, issuer.KeyFileError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        if error.filename is None:  # it is no file that the user could mend
            raise
        print(f"{error.filename} cannot be used: {error.strerror}", file=sys.stderr)
    except WorkerError as error:
        print(f"{app_dir.name} failed to load\n{error}", file=sys.stderr)
    else:
        return code
    return 1


def _bind(host: str, port: int) -> socket.socket:
    """Bind the port before the app is loaded, but refuse connections until the app can answer."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would let two processes share the port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise SettingsError(f"port {port} on {host} {reason}") from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
