"""Starting and stopping: what is wrong is said in plain words, and nothing is lost on the way out."""

import json
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import httpx
import psutil
import pytest

from tests.support.host import HostProcess, running_host_process, started_host

HEAD = """
import asyncio, os, time
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""
HELLO = """
@app.route(route="hello")
async def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(os.environ.get("GREETING", "none") + os.getcwd())
"""
EMULATOR = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true;"
AZURE = "Endpoint=sb://name.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=b"


def write_app(folder: Path, code: str, **files: object) -> Path:
    """Write an app, and JSON files: ``local_settings`` becomes local.settings.json."""
    (folder / "function_app.py").write_text(HEAD + dedent(code))
    for name, document in files.items():
        path = folder / f"{name.replace('_', '.')}.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


def ended(app_dir: Path, settings: dict[str, str] | None = None, *arguments: str) -> tuple[int, str]:
    with started_host(app_dir, settings or {}, *arguments) as host:
        return host.process.wait(60), host.log


def queue_trigger(**options: object) -> str:
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    return f"""
        @app.service_bus_queue_trigger(arg_name="msg", queue_name="q", connection="BUS"{given})
        async def take(msg: func.ServiceBusMessage) -> None:
            pass
        """


def test_settings_come_from_local_settings_unless_the_environment_has_them(tmp_path: Path) -> None:
    values = {"IsEncrypted": False, "Values": {"GREETING": "from file ", "FUNCTIONS_WORKER_RUNTIME": "python"}}
    app_dir = write_app(
        tmp_path, HELLO, local_settings=values, host={"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}
    )
    with running_host_process(app_dir, {}) as host:
        assert httpx.get(f"{host.url}/hello").text == f"from file {tmp_path}"
    with running_host_process(app_dir, {"GREETING": "from environment "}) as host:
        assert httpx.get(f"{host.url}/hello").text == f"from environment {tmp_path}"


def test_all_missing_settings_are_named_at_once(tmp_path: Path) -> None:
    code = """
        @app.timer_trigger(schedule="%FIRST%", arg_name="timer")
        def one(timer: func.TimerRequest) -> None: ...

        @app.route(route="%SECOND%/%FIRST%")
        def two(req: func.HttpRequest) -> str: ...
        """
    exit_code, log = ended(write_app(tmp_path, code))
    assert exit_code == 1
    assert log == "settings that bindings refer to are missing: FIRST (used by one, two); SECOND (used by two)\n"


def test_an_app_that_does_not_import_ends_the_host_with_its_own_traceback(tmp_path: Path) -> None:
    code, log = ended(write_app(tmp_path, "def broken():\n    raise KeyError('lost')\nbroken()\n"))
    assert code == 1
    assert re.search(r'function_app.py", line \d+, in broken\n.*\nKeyError: \'lost\'\n$', log)


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    assert ended(tmp_path) == (1, f"there is no function_app.py in {tmp_path}\n")


def test_a_taken_port_is_one_line_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = ended(write_app(tmp_path, HELLO), {}, "--port", str(port))
    assert outcome == (1, f"port {port} on 127.0.0.1 is already in use\n")


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"local_settings": {"IsEncrypted": True, "Values": {"A": "x"}}}, "local.settings.json is encrypted"),
        ({"local_settings": {"Values": {"A": {"B": 1}}}}, "these Values must be strings: A"),
        ({"local_settings": {"ConnectionStrings": {"A": "x"}}}, "ConnectionStrings is not supported"),
        ({"local_settings": {"Values": {"FUNCTIONS_WORKER_RUNTIME": "node"}}}, "runs python apps only"),
        ({"local_settings": "{"}, "local.settings.json is not valid JSON"),
        ({"host": {"version": "1.0"}}, '"version" must be "2.0"'),
        ({"host": {"version": "2.0", "extensions": {"http": {"routePrefx": "x"}}}}, "does not know routePrefx"),
        (
            {"host": {"version": "2.0", "extensions": {"http": {"maxConcurrentRequests": 0}}}},
            "maxConcurrentRequests must be a positive whole number",
        ),
        ({"host": {"version": "2.0", "functionTimeout": "soon"}}, "functionTimeout must be hh:mm:ss or -1"),
        (
            {"host": {"version": "2.0", "extensions": {"serviceBus": {"sessionIdleTimeout": "soon"}}}},
            "sessionIdleTimeout must be hh:mm:ss",
        ),
        (
            {"host": {"version": "2.0", "extensions": {"serviceBus": {"autoCompleteMessages": False}}}},
            "autoCompleteMessages: false is not supported",
        ),
    ],
)
def test_a_file_that_is_not_right_is_one_line(tmp_path: Path, files: dict[str, object], complaint: str) -> None:
    code, log = ended(write_app(tmp_path, HELLO, **files))
    assert code == 1
    assert complaint in log
    assert log.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "settings", "complaint"),
    [
        (
            """
            @app.blob_trigger(arg_name="blob", path="a/b", connection="X")
            def copy(blob: func.InputStream) -> None: ...
            """,
            {},
            "not copy: blobTrigger",
        ),
        (
            """
            @app.route(route="x")
            @app.queue_output(arg_name="out", queue_name="q", connection="X")
            def put(req: func.HttpRequest, out: func.Out[str]) -> str: ...
            """,
            {},
            "not put: queue",
        ),
        (
            """
            @app.timer_trigger(schedule="* * * * * *", arg_name="timer")
            @app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:01")
            def again(timer: func.TimerRequest) -> None: ...
            """,
            {},
            "again: a retry policy is not supported",
        ),
        (queue_trigger(cardinality="many"), {"BUS": EMULATOR}, "take: cardinality many is not supported"),
        (queue_trigger(), {}, "take: the setting BUS, its Service Bus connection, is missing"),
        (queue_trigger(), {"BUS__fullyQualifiedNamespace": "x"}, "take: BUS is identity-based"),
        (queue_trigger(), {"BUS": AZURE}, "take: BUS lacks UseDevelopmentEmulator=true"),
        (queue_trigger(), {"BUS": "UseDevelopmentEmulator=true"}, "take: BUS has no valid Endpoint"),
    ],
)
def test_what_is_not_served_is_refused_by_function(
    tmp_path: Path, code: str, settings: dict[str, str], complaint: str
) -> None:
    exit_code, log = ended(write_app(tmp_path, code), settings)
    assert exit_code == 1
    assert complaint in log
    assert "Traceback" not in log


def test_a_disabled_function_is_left_out(tmp_path: Path) -> None:
    code = HELLO + HELLO.replace("hello", "other")
    with running_host_process(write_app(tmp_path, code), {"AzureWebJobs.other.Disabled": "true"}) as host:
        assert httpx.get(f"{host.url}/api/hello").status_code == 200
        assert httpx.get(f"{host.url}/api/other").status_code == 404


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_running_requests_finish_and_exits_with_zero(tmp_path: Path, sent: signal.Signals) -> None:
    code = """
        @app.route(route="hold")
        async def hold(req: func.HttpRequest) -> str:
            print("holding", flush=True)
            while not os.path.exists("go"):
                await asyncio.sleep(0.005)
            return "held"
        """
    with running_host_process(write_app(tmp_path, code), {}) as host, ThreadPoolExecutor() as pool:
        held = pool.submit(httpx.get, f"{host.url}/api/hold", timeout=30)
        host.wait_for_log("holding")
        host.process.send_signal(sent)
        host.wait_for_log("stopping")
        (tmp_path / "go").touch()
        assert held.result().text == "held"
        assert host.process.wait(30) == 0


def test_a_worker_does_not_outlive_its_host_however_that_ended(tmp_path: Path) -> None:
    code = """
        @app.route(route="process")
        def process(req: func.HttpRequest) -> str:
            return str(os.getpid())

        @app.route(route="block")
        async def block(req: func.HttpRequest) -> str:
            print("blocking", flush=True)
            time.sleep(60)
        """
    with running_host_process(write_app(tmp_path, code), {}) as host, ThreadPoolExecutor() as pool:
        worker = psutil.Process(int(httpx.get(f"{host.url}/api/process").text))
        assert worker.pid != host.process.pid
        blocked = pool.submit(httpx.get, f"{host.url}/api/block", timeout=30)
        host.wait_for_log("blocking")
        host.process.kill()
        worker.wait(20)
        assert isinstance(blocked.exception(), httpx.TransportError)


def test_a_host_that_has_stopped_leaves_its_port_free(tmp_path: Path) -> None:
    with running_host_process(write_app(tmp_path, HELLO), {}) as host:
        assert httpx.get(f"{host.url}/api/hello").status_code == 200
        assert host.stop() == 0
        again = _port(host)
    with socket.create_server(("127.0.0.1", again)):
        pass


def _port(host: HostProcess) -> int:
    return int(host.url.rsplit(":", 1)[1])
