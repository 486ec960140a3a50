"""infra/deploy.sh against a stand-in for az that takes down what it is asked; everything else is real."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("az_stand_in.py")
LAST_GOOD = b"the last good package"
USERS = {
    "commandUser": "id-commands=00000000-0000-0000-0000-000000000001",
    "viewUser": "id-views=00000000-0000-0000-0000-000000000002",
}


@dataclass
class Azure:
    """What the stand-in knows, and the app that it deploys: that answers on a port of this computer."""

    state: Path
    paths: list[str]
    healthy: bool = True
    """Whether a newly made package works; the last good one always does."""

    def refuse(self, command: str) -> None:
        """Let a command of az fail."""
        (self.state / "refused.json").write_text(json.dumps(command))

    def calls(self) -> list[list[str]]:
        """What az was asked: the arguments of each call."""
        log = self.state / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def commands(self) -> list[str]:
        """What was asked to be done, in order; not what was only looked up."""
        done = (" ".join(takewhile(lambda word: not word.startswith("-"), call)) for call in self.calls())
        return [command for command in done if command not in {"group exists", "deployment group show"}]

    def deploy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script as a person would."""
        binaries = self.state / "bin"
        return subprocess.run(
            [ROOT / "infra" / "deploy.sh", *arguments],
            env={
                "PATH": f"{binaries}:{os.environ['PATH']}",
                "HOME": str(self.state),
                "AZ_STAND_IN": str(self.state),
                "PYTHON": str(binaries / "python"),
                "SMOKE_ATTEMPTS": "2",
                "SMOKE_PAUSE": "0",
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    there = Azure(tmp_path, [])

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there.paths.append(self.path)
            deployed = tmp_path / "deployed.zip"
            works = deployed.exists() and (deployed.read_bytes() == LAST_GOOD or there.healthy)
            self.send_response(200 if works else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        (tmp_path / "bin").mkdir()
        executable(tmp_path / "bin" / "az", f'exec "{sys.executable}" "{STAND_IN}" "$@"')
        # granting takes Azure SQL; it is taken down instead, and migrations go to a SQLite file
        executable(
            tmp_path / "bin" / "python",
            f'echo "$* to $SqlConnection as $AZURE_TOKEN_CREDENTIALS" >>"{tmp_path}/python.log"\n'
            f'[[ "$*" == "-m infra.sql.access "* ]] || exec "{sys.executable}" "$@"',
        )
        outputs = {
            "functionApp": "func-tandem",
            "apiUrl": f"http://127.0.0.1:{server.server_port}/api",
            "sqlUrl": f"sqlite:///{tmp_path}/tandem.db",
            "storageAccount": "sttandem",
            "releasesContainer": "releases",
            **USERS,
        }
        (tmp_path / "outputs.json").write_text(json.dumps(outputs))
        (tmp_path / "group").touch()
        there.refuse("nothing")
        yield there
        server.shutdown()


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


def test_it_previews_deploys_migrates_grants_publishes_and_keeps_what_works_in_this_order(azure: Azure) -> None:
    ran = azure.deploy("dev")
    assert ran.returncode == 0, ran.stderr
    assert azure.commands() == [
        "deployment group what-if",
        "deployment group create",
        "functionapp deployment source config-zip",
        "storage blob upload",
    ]
    stages = [line.partition(": ")[2].split(" ")[0] for line in ran.stdout.splitlines() if line.startswith("---")]
    assert stages == ["what", "infrastructure", "migrations", "access", "package", "deploying", "smoke", "done:"]
    assert azure.paths == ["/api/health/ready", "/api/openapi.json"]
    assert (azure.state / "last-good.zip").read_bytes() == (azure.state / "deployed.zip").read_bytes()


def test_every_call_names_its_group_template_and_identity_and_no_secret(azure: Azure) -> None:
    azure.deploy("dev")
    calls = {" ".join(call[:4]): call for call in azure.calls()}
    create = next(call for call in azure.calls() if call[:3] == ["deployment", "group", "create"])
    assert create[3:] == [
        *("--name", "tandem", "--resource-group", "rg-tandem-dev"),
        *("--parameters", "infra/dev.bicepparam", "--output", "none"),
    ]
    publish = calls["functionapp deployment source config-zip"]
    assert publish[4:8] == ["--resource-group", "rg-tandem-dev", "--name", "func-tandem"]
    assert publish[-4:] == ["--build-remote", "true", "--output", "none"]
    upload = calls["storage blob upload --account-name"]
    assert upload[3:] == [
        *("--account-name", "sttandem", "--container-name", "releases", "--name", "last-good.zip"),
        *("--auth-mode", "login", "--file", upload[upload.index("--file") + 1], "--overwrite", "--output", "none"),
    ]
    assert not any("key" in word or "connection" in word for call in azure.calls() for word in call)


def test_migrations_and_rights_are_done_as_whoever_signed_in_with_az(azure: Azure) -> None:
    azure.deploy("dev", "database")
    to = f"to sqlite:///{azure.state}/tandem.db as AzureCliCredential"
    assert (azure.state / "python.log").read_text().splitlines() == [
        f"-m infra.sql.migrate {to}",
        f"-m infra.sql.access --commands {USERS['commandUser']} --queries {USERS['viewUser']} {to}",
    ]
    assert (azure.state / "tandem.ordering.db").exists()


def test_what_it_publishes_is_the_package(azure: Azure) -> None:
    azure.deploy("dev", "application")
    with zipfile.ZipFile(azure.state / "deployed.zip") as package:
        assert {"function_app.py", "host.json", "requirements.txt"} < set(package.namelist())


def test_a_package_that_fails_its_smoke_test_gives_way_to_the_last_good_one(azure: Azure) -> None:
    azure.healthy = False
    (azure.state / "last-good.zip").write_bytes(LAST_GOOD)
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert "the last good package works again" in ran.stderr
    assert (azure.state / "deployed.zip").read_bytes() == LAST_GOOD
    assert (azure.state / "last-good.zip").read_bytes() == LAST_GOOD
    assert azure.paths.count("/api/health/ready") == 3  # twice in vain, once well


def test_a_first_package_that_fails_is_reported_and_does_not_become_the_last_good_one(azure: Azure) -> None:
    azure.healthy = False
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert "there is none: the new package stays" in ran.stderr
    assert not (azure.state / "last-good.zip").exists()


def test_a_package_that_azure_refuses_fails_the_deployment_without_being_tested(azure: Azure) -> None:
    (azure.state / "last-good.zip").write_bytes(LAST_GOOD)
    azure.refuse("functionapp deployment source config-zip")
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert azure.paths == []
    assert (azure.state / "last-good.zip").read_bytes() == LAST_GOOD


@pytest.mark.parametrize(
    ("refused", "done"),
    [
        ("deployment group what-if", []),
        ("deployment group create", ["deployment group what-if"]),
        ("deployment group show", ["deployment group what-if", "deployment group create"]),
    ],
)
def test_it_stops_at_the_first_stage_that_fails(azure: Azure, refused: str, done: list[str]) -> None:
    azure.refuse(refused)
    assert azure.deploy("dev").returncode == 1
    assert [command for command in azure.commands() if command != refused] == done
    assert not (azure.state / "python.log").exists()


def test_nothing_is_published_when_the_migrations_fail(azure: Azure) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    (azure.state / "outputs.json").write_text(json.dumps({**outputs, "sqlUrl": "sqlite:////nowhere/at/all.db"}))
    assert azure.deploy("dev", "database", "application").returncode == 1
    assert azure.commands() == []


def test_a_new_environment_gets_a_resource_group_but_not_from_a_preview(azure: Azure) -> None:
    (azure.state / "group").unlink()
    ran = azure.deploy("prod", "preview")
    assert "Everything: there is no resource group rg-tandem-prod yet." in ran.stdout
    assert azure.commands() == []
    azure.deploy("prod", "infrastructure")
    assert azure.commands() == ["group create", "deployment group create"]


def test_running_it_again_does_no_harm(azure: Azure) -> None:
    first, second = azure.deploy("dev"), azure.deploy("dev")
    assert (first.returncode, second.returncode) == (0, 0)
    assert azure.commands()[4:] == azure.commands()[:4]


def test_a_budget_keeps_the_month_that_it_began_with(azure: Azure) -> None:
    outputs = azure.state / "outputs.json"
    azure.deploy("dev", "infrastructure")
    assert json.loads(outputs.read_text())["budgetStart"] == f"{datetime.now(UTC):%Y-%m}-01"
    outputs.write_text(outputs.read_text().replace(f"{datetime.now(UTC):%Y-%m}-01", "2026-02-01"))
    azure.deploy("dev", "infrastructure")
    assert json.loads(outputs.read_text())["budgetStart"] == "2026-02-01"


@pytest.mark.parametrize("arguments", [[], ["staging"], ["dev", "everything"]])
def test_what_it_does_not_know_is_refused_before_anything_happens(azure: Azure, arguments: list[str]) -> None:
    ran = azure.deploy(*arguments)
    assert ran.returncode == 2
    assert ran.stderr
    assert azure.calls() == []
