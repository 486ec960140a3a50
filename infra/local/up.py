"""Start the whole system on this computer and keep it running until Ctrl-C: `python3 dev.py up`."""

import argparse
import asyncio
import http
import http.client
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.local import connections, issuer
from infra.local.payments import KEY, SECRET
from infra.local.ports import LOOPBACK, PortTakenError, choose
from infra.local.processes import Program, ProgramFailedError, keep_running, run
from infra.local.screen import Screen, command, complain, one_line, told
from infra.local.stack import AlreadyRunningError, Stack, given_path, lock

USUAL_PORT = 7071
"""The functions host's, where Core Tools' listens as well unless it is told otherwise."""
READY_WITHIN = 120.0
"""Seconds until a host that is not ready counts as failed: a cold disk and a first import take their time."""
READY_POLL = 0.05
"""Seconds between two looks at the host's health."""

FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""glibc gives the host's many threads heaps of their own, and what is free in one is no use to the others: it grew by
several MiB in ten minutes of steady work. Other C libraries do not know the name."""

TRY_NEXT = """\
Ready at {base_url} in {seconds:.1f} s. Try, in another terminal:

  token=$(python3 dev.py token --data {data})
  curl -i {base_url}/api/customers -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \\
       -d '{{"name": "Ada Lovelace", "email": "ada@example.com"}}'
  curl -i {base_url}/api/products -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \\
       -d '{{"name": "Teapot", "description": "Holds a litre", "unitPrice": "24.90",
            "currency": "EUR", "category": "kitchen"}}'
  python3 dev.py demo                  a shop at work

  API: {base_url}/api/docs    Data: {data}    End everything: Ctrl-C
"""


ENGINES_READY = """\
The engines are ready in {seconds:.1f} s, the tables and the containers are made. Now, in another terminal:

  cp local.settings.sample.json local.settings.json{differences}
  source .venv/bin/activate && func start{port}

  Data: {data}    End everything: Ctrl-C
"""


class UnusableFolderError(Exception):
    """The folder for the data cannot be made."""


class NotReadyError(Exception):
    """The functions host runs and does not become ready."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the stack and answer with the exit code."""
    options = _parser().parse_args(arguments)
    screen = Screen()
    try:
        with _data_folder(options) as data, lock(data):
            return asyncio.run(_until_signalled(options, data, screen))
    except (AlreadyRunningError, PortTakenError, UnusableFolderError, issuer.KeyFileError) as error:
        complain(error)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py up", description=__doc__)
    parser.add_argument(
        "--port", type=_port, default=USUAL_PORT, help="of the functions host (%(default)s); 0: a free one"
    )
    parser.add_argument("--servicebus-port", type=_port, default=5672, help="of the Service Bus engine (%(default)s)")
    parser.add_argument("--cosmos-port", type=_port, default=8081, help="of the Cosmos engine (%(default)s)")
    parser.add_argument("--payments-port", type=_port, default=12111, help="of the payment provider (%(default)s)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--data", type=given_path, default=Path(".local"), help="folder of the data, kept (%(default)s)")
    place.add_argument("--ephemeral", action="store_true", help="start with no data and leave none")
    parser.add_argument("--engines-only", action="store_true", help="leave the functions host to Core Tools")
    parser.add_argument(
        *("--setting", "-s"),
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set or replace a setting of the host; may be repeated",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004 -- the largest port there is
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


@contextmanager
def _data_folder(options: argparse.Namespace) -> Iterator[Path]:
    if options.ephemeral:
        data = Path(tempfile.mkdtemp(prefix="tandem-"))
        try:
            yield data
        finally:
            shutil.rmtree(data, ignore_errors=True)  # Windows may still hold a file; it lies in the temporary folder
    else:
        data = options.data.resolve()
        try:
            str(data).encode()  # a name that is no text has no place in a setting
            data.mkdir(parents=True, exist_ok=True)
        except (OSError, UnicodeEncodeError) as error:
            raise UnusableFolderError(f"{data} cannot be used for the data: {error}") from error
        yield data


async def _until_signalled(options: argparse.Namespace, data: Path, screen: Screen) -> int:
    """Run the stack as a task that the first signal cancels; the stack then ends its processes in order."""
    stack = asyncio.create_task(_run_stack(options, data, screen))
    loop = asyncio.get_running_loop()
    hang_up = signal.Signals["SIGBREAK" if sys.platform == "win32" else "SIGHUP"]
    nohup = signal.getsignal(hang_up) is signal.SIG_IGN
    for number in [signal.SIGINT, signal.SIGTERM, *([] if nohup else [hang_up])]:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(_end_once, stack, screen))
    try:
        await stack
    except asyncio.CancelledError:
        return 0
    except ExceptionGroup as group:
        failures, others = group.split((ProgramFailedError, NotReadyError))
        if others or not failures:
            raise
        for failure in _leaves(failures):
            complain(failure)
    return 1


def _end_once(stack: asyncio.Task[None], screen: Screen) -> None:
    if not stack.cancelling():  # ending takes a few seconds at most: an impatient second Ctrl-C must not cut it short
        screen.say("up", "ending")
        stack.cancel()


def _leaves(group: ExceptionGroup) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _run_stack(options: argparse.Namespace, data: Path, screen: Screen) -> None:
    begin = time.monotonic()
    stack = _plan(options, data)
    settings = {**FEW_ARENAS, **os.environ, **stack.settings}

    def write_down() -> None:
        try:
            stack.write(data)
        except OSError as error:  # others then do not find the stack, which is no reason to end it
            screen.say("up", f"stack.json is not up to date: {told(error)}")

    def on_start(name: str, pid: int) -> None:
        stack.pids[name] = pid
        write_down()

    engines = [
        Program(
            "servicebus",
            "servicebus_engine",
            (
                *("--port", str(stack.ports["servicebus"]), "--health-port", "none"),
                *("--config", "infra/local/servicebus.json"),
                *("--data", str(data / "servicebus")),
            ),
            stack.ports["servicebus"],
        ),
        Program(
            "cosmos",
            "cosmos_engine",
            ("--port", str(stack.ports["cosmos"]), "--data", str(data / "cosmos")),
            stack.ports["cosmos"],
        ),
        Program(
            "payments",
            "infra.local.payments",
            (
                *("--port", str(stack.ports["payments"]), "--data", str(data / "payments")),
                *("--webhook", f"{stack.base_url}/api/payments/webhook"),
            ),
            stack.ports["payments"],
        ),
    ]
    host = Program(
        "host",
        "infra.local.host",
        ("--app", ".", "--port", str(stack.ports["host"]), "--issuer-key", str(issuer.make_key(data))),
        stack.ports["host"],
    )
    screen.say("up", f"data in {data}")
    try:
        async with keep_running(engines, settings, screen.say, on_start) as (servicebus, cosmos, payments):
            async with asyncio.TaskGroup() as preparations:
                preparations.create_task(run(Program("migrate", "infra.sql.migrate"), settings, screen.say))
                preparations.create_task(servicebus.listening())
                preparations.create_task(payments.listening())
                await cosmos.listening()
                await run(Program("containers", "infra.local.containers"), settings, screen.say)
            if options.engines_only:
                screen.show(
                    ENGINES_READY.format(
                        seconds=time.monotonic() - begin,
                        differences=_differences(stack, dict(options.setting)),
                        port="" if options.port == USUAL_PORT else f" --port {stack.ports['host']}",
                        data=shlex.quote(str(data)),
                    )
                )
                await asyncio.Event().wait()
            async with keep_running([host], settings, screen.say, on_start):
                wrong = await _ready(stack.ports["host"])
                stack.seconds_to_ready = time.monotonic() - begin
                write_down()
                screen.show(
                    TRY_NEXT.format(
                        base_url=stack.base_url, seconds=stack.seconds_to_ready, data=shlex.quote(str(data))
                    )
                )
                for each in wrong:
                    complain(each)
                await asyncio.Event().wait()
    finally:
        with suppress(OSError):  # what it says is not believed without the lock
            Stack.forget(data)
        screen.say("up", "all ended")


def _plan(options: argparse.Namespace, data: Path) -> Stack:
    ports = _ports(options)
    settings = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "PYTHON_THREADPOOL_THREAD_COUNT": "16",
        "SqlConnection": connections.sql(data),
        "ServiceBusConnection": connections.service_bus(ports["servicebus"]),
        "CosmosConnection": connections.cosmos(ports["cosmos"]),
        "STRIPE_API": f"http://{LOOPBACK}:{ports['payments']}",
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "RelaySchedule": "*/2 * * * * *",
        "WatchSchedule": "*/15 * * * * *",
        "ErasureGraceHours": "0",
    }
    return Stack(
        f"http://{LOOPBACK}:{ports['host']}", str(data), os.getpid(), ports, settings=settings | dict(options.setting)
    )


def _ports(options: argparse.Namespace) -> dict[str, int]:
    wanted = {
        "host": (options.port, "functions host", "--port"),
        "servicebus": (options.servicebus_port, "Service Bus engine", "--servicebus-port"),
        "cosmos": (options.cosmos_port, "Cosmos engine", "--cosmos-port"),
        "payments": (options.payments_port, "payment provider", "--payments-port"),
    }
    named: dict[int, str] = {}
    for port, _, option in wanted.values():
        if port and port in named:
            raise PortTakenError(f"Port {port} is named twice, by {named[port]} and by {option}: choose two ports.")
        named[port] = option
    ports: dict[str, int] = {}
    for key, (port, name, option) in wanted.items():
        if key == "host" and port and options.engines_only:  # Core Tools' host may run on it already
            ports[key] = port
        else:
            ports[key] = choose(port, name, option, {*named, *ports.values()})
    return ports


def _differences(stack: Stack, given: Mapping[str, str]) -> str:
    """What local.settings.json has to say otherwise than the sample; the values that were given may be secret."""
    sample = json.loads(Path("local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    sample["SqlConnection"] = connections.sql(Path(".local"))  # the sample's, as seen from the repository
    lines = [
        f"    {json.dumps(name)}: {'what --setting says' if name in given else json.dumps(value)}"
        for name, value in stack.settings.items()
        if sample.get(name) != value
    ]
    return "\n".join(["    and write into its Values:", *lines]) if lines else ""


async def _ready(port: int) -> list[str]:
    """Wait until the host is ready; gives what it says is wrong all the same, and what mends it."""
    deadline = time.monotonic() + READY_WITHIN
    status, answer = 0, ""
    while time.monotonic() < deadline:
        status, answer = await asyncio.to_thread(_get, port, "/api/health/ready")
        if status == http.HTTPStatus.OK:
            wrong: list[str] = json.loads(answer)["wrong"]
            return wrong
        await asyncio.sleep(READY_POLL)
    said = f"/api/health/ready says {status} {one_line(answer)}"
    raise NotReadyError(f"The functions host is not ready after {READY_WITHIN:.0f} s: {said}")


def _get(port: int, path: str) -> tuple[int, str]:
    """The status of the answer, 0 while there is none, and its body."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(command(main))
