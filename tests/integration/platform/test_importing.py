"""Importing the app connects to nothing, takes no SDK along, and only the settings read the environment."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

REFUSE_TO_CONNECT = """
import socket, sqlite3, sys
def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "sqlite3.connect"}:
        print("it connects:", event, arguments, file=sys.stderr)
        raise SystemExit(3)
sys.addaudithook(refuse)
"""

SETTINGS = {
    "sqlite": {
        "SqlConnection": "sqlite:////nowhere/tandem.db",
        "CosmosConnection": "AccountEndpoint=http://127.0.0.1:1/;AccountKey=a2V5;",
        "ServiceBusConnection": (
            "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=eA==;UseDevelopmentEmulator=true"
        ),
    },
    "identity": {
        "SqlConnection": "sqlite:////nowhere/tandem.db",
        "CosmosConnection__accountEndpoint": "https://tandem.documents.azure.com/",
        "ServiceBusConnection__fullyQualifiedNamespace": "tandem.servicebus.windows.net",
    },
}


SDKS = ("aiohttp", "azure.cosmos", "azure.identity", "azure.monitor", "azure.servicebus", "requests")
"""Packages that are imported when somebody connects; together they take longer than the app."""


def run(code: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", REFUSE_TO_CONNECT + code],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", SETTINGS)
def test_importing_the_app_and_asking_for_its_functions_connects_to_nothing(kind: str) -> None:
    done = run("import function_app; print(len(function_app.app.get_functions()))", SETTINGS[kind])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 1))",
        "import sqlite3; sqlite3.connect(':memory:')",
        "from shared.frame.sql.engines import sql_engine; sql_engine('sqlite:////tmp/x.db', 'ordering').connect()",
    ],
)
def test_a_connection_would_be_noticed(code: str) -> None:
    assert run(code, SETTINGS["sqlite"]).returncode == 3


def sdks_after(code: str, settings: dict[str, str]) -> set[str]:
    """The SDKs that are there once the code has run."""
    done = run(f"{code}; import sys; print(*sys.modules)", settings)
    assert done.returncode == 0, done.stderr
    return set(SDKS) & set(done.stdout.split())


@pytest.mark.parametrize("kind", SETTINGS)
def test_importing_the_app_takes_no_sdk_along_that_a_cold_start_would_wait_for(kind: str) -> None:
    assert sdks_after("import function_app", SETTINGS[kind]) == set()


def test_what_is_loaded_is_out_of_the_way_of_full_collections() -> None:
    done = run("import gc, function_app; print(gc.get_freeze_count(), len(gc.get_objects()))", SETTINGS["sqlite"])
    frozen, looked_at = map(int, done.stdout.split())
    assert frozen > 10 * looked_at


@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_would_be_noticed(sdk: str) -> None:
    assert sdk in sdks_after(f"import {sdk}", SETTINGS["sqlite"])


def readers(folder: Path) -> set[str]:
    """The modules that name os.environ or os.getenv, or take them from os."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            attribute = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
            imported = (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and any(name.name in {"environ", "environb", "getenv"} for name in node.names)
            )
            if attribute or imported:
                found.add(path.relative_to(folder).as_posix())
    return found


def test_only_the_settings_read_the_environment() -> None:
    assert readers(ROOT / "shared") == {"frame/platform/settings.py"}


@pytest.mark.parametrize("code", ["import os\nos.environ['X']", "import os\nos.getenv('X')", "from os import environ"])
def test_another_reader_of_the_environment_would_be_noticed(code: str, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(code)
    assert readers(tmp_path) == {"planted.py"}
