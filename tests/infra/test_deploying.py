"""infra/deploy.sh against a stand-in for az that behaves as az does when things go wrong; everything else is real."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from pathlib import Path
from shutil import which
from threading import Thread
from typing import Any

import pytest

from tests.infra.snapshots import DEV
from tests.support.pages import sections

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("az_stand_in.py")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NOW = f"{datetime.now(UTC):%Y-%m}-01"
USERS = {
    "commandUser": "id-commands=00000000-0000-0000-0000-000000000001",
    "viewUser": "id-views=00000000-0000-0000-0000-000000000002",
}
LOOKED_UP = {
    *("account get-access-token", "account show", "group exists", "deployment group list", "functionapp function list"),
    *("functionapp list", "storage blob exists", "storage blob download", "rest"),
}
RULES = DEV.outputs["subscriptionRules"]
EVERYTHING = "order-events/order-views=1=1"
FUNCTIONS = "get_order project_order relay_order_events"
NO_ROLE_YET = "ERROR: \nYou do not have the required permissions needed to perform this operation.\nDepending on ..."
NO_STORAGE_YET = (
    "ERROR: Zip deployment failed. {'status': 3}. These are the deployment logs: \n[BlobUploadFailedException: Failed "
    "to upload blob to storage account: Response status code does not indicate success: 403 (This request is not "
    "authorized to perform this operation using this permission.).]"
)
NO_RIGHT_YET = (
    "ERROR: (AuthorizationFailed) The client 'x' with object id 'x' does not have authorization to perform action 'y' "
    "over scope 'z' or the scope is invalid. If access was recently granted, please refresh your credentials."
)
NO_RIGHT_ON_THE_HUB = (
    "ERROR: (LinkedAuthorizationFailed) The client 'x' with object id 'x' has permission to perform action "
    "'Microsoft.Network/virtualNetworks/virtualNetworkPeerings/write' on scope 'y'; however, it does not have "
    "permission to perform action(s) 'Microsoft.Network/virtualNetworks/peer/action' on the linked scope(s) 'z' ..."
)
NO_BUDGETS = [
    'ERROR: Not Found({"error":{"code":"NotFound","message":"Cost management data is not supported for x"}})',
    'ERROR: Forbidden({"error":{"code":"RBACAccessDenied","message":"The client does not have authorization to ..."}})',
    'ERROR: Bad Request({"error":{"message":"Subscription x is not associated with a valid offer type."}})',
]
BUSY = [
    'ERROR: {"code": "DeploymentFailed", "details": [{"code": "RetryableError", "message": "A retryable error ..."}]}',
    "ERROR: (ReferencedResourceNotProvisioned) Cannot proceed with operation because resource x used by resource y ...",
    "ERROR: (AnotherOperationInProgress) Another operation on this or dependent resource is in progress.",
    "ERROR: (StorageAccountOperationInProgress) An operation is currently performing on this storage account that ...",
    "ERROR: (BadRequest) Please retry as possibly multiple shared RU collection creates are competing",
]
ACTIVE = (
    "ERROR: (DeploymentActive) The deployment with resource id 'x' cannot be saved, because this would overwrite an "
    "existing deployment which is still active. Please see https://aka.ms/arm-deploy for usage details."
)
UNDER_WAY = "ERROR: There may be an ongoing deployment. Please track your deployment in https://..."
BUILD_FAILED = (
    "ERROR: Zip deployment failed. {'status': 3}. These are the deployment logs: \n[pip: no matching distribution]"
)
AFTER_ACCEPTANCE = [
    "ERROR: Failed to fetch host key to check for function app status",
    "ERROR: Failed to retrieve deployment status. Please try again in a few minutes.",
    "ERROR: Timeout reached by the command, however, the deployment operation\n   is still on-going. Navigate to ...",
    "ERROR: Deployment was partially successful. These are the deployment logs:\n[]",
    "ERROR: Deployment was successful but the app appears to be unhealthy. Please check the app logs.",
]
CLOSED_NETWORK = (
    "ERROR: \nThe request may be blocked by network rules of storage account. Please check network rule set ..."
)


@dataclass
class Azure:
    """What the stand-in knows, and the app that it deploys: that answers on a port of this computer."""

    state: Path
    paths: list[str] = field(default_factory=list)
    healthy: bool = True
    """Whether a newly made package works."""
    good: set[str] = field(default_factory=lambda: {"good"})
    """Releases that always work: the last good one."""
    good_fails: int = 0
    """How many questions the last good one answers with an error, though."""
    answers_after: float = 0
    """Seconds that an answer of the app's health takes."""
    old_answers: int = 0
    """How many questions the release before still answers, while a new one takes its place instance by instance."""

    def tell(self, **changes: Any) -> None:
        """Tell the stand-in how to behave."""
        file = self.state / "azure.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**known, **changes}))

    def last_good(self, release: str = "good") -> bytes:
        """Keep a package that worked, and let it run."""
        with zipfile.ZipFile(self.state / "last-good.zip", "w") as package:
            package.writestr("release.txt", release)
        (self.state / "deployed.zip").write_bytes((self.state / "last-good.zip").read_bytes())
        return (self.state / "last-good.zip").read_bytes()

    def let_run(self, release: str, when: str = "deployed") -> None:
        """Let another release run than the scripts have deployed: at once, or `meanwhile`, as they are refused."""
        with zipfile.ZipFile(self.state / f"{when}.zip", "w") as package:
            package.writestr("release.txt", release)

    def runs(self) -> str | None:
        """Name the release that runs."""
        if not (self.state / "deployed.zip").exists():
            return None
        with zipfile.ZipFile(self.state / "deployed.zip") as package:
            return package.read("release.txt").decode().strip()

    def calls(self) -> list[list[str]]:
        """What az was asked: the arguments of each call."""
        log = self.state / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def commands(self) -> list[str]:
        """What was asked to be done, in order; not what was only looked up."""
        done = (" ".join(takewhile(lambda word: not word.startswith("-"), call)) for call in self.calls())
        return [command for command in done if command not in LOOKED_UP]

    def deploy(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the script as a person would."""
        binaries = self.state / "bin"
        return subprocess.run(
            [ROOT / "infra" / "deploy.sh", *arguments],
            env={
                "PATH": f"{binaries}:{os.environ['PATH']}",
                "HOME": str(self.state),
                "AZ_STAND_IN": str(self.state),
                "PYTHON": str(binaries / "python"),
                "SMOKE_SECONDS": "60",
                "SMOKE_PAUSE": "0.1",
                "ROLE_SECONDS": "60",
                "ROLE_PAUSE": "0",
                "ROLL_BACK_FROM": "good",  # what tests call the last good release is no commit
                **settings,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def runbook_finds(self) -> list[str]:
        """What the runbook's first block makes of this environment: the app, where its API begins, and the rules."""
        call, *_ = (section for section in sections(OPERATIONS) if section.heading == "How to call")
        [block] = call.blocks("azurecli")
        ran = subprocess.run(
            ["bash", "-c", block + 'echo "$app"; echo "$api"; output subscriptionRules'],
            env={"PATH": f"{self.state / 'bin'}:{os.environ['PATH']}", "AZ_STAND_IN": str(self.state)},
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout.splitlines()


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    there = Azure(tmp_path)

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there.paths.append(self.path)
            release = there.runs()
            if self.path == "/admin/host/status":  # as App Service answers where authentication is on
                return self.answer(401, None)
            if self.path == "/api/health/live":  # as the app answers, however it is
                return self.answer(503 if release is None else 200, release)
            time.sleep(there.answers_after)
            if there.old_answers:
                there.old_answers -= 1
                return self.answer(200, "old")
            works = release is not None and (release in there.good or there.healthy)
            if release == "good" and there.good_fails:
                there.good_fails -= 1
                works = False
            return self.answer(200 if works else 503, release)

        def answer(self, status: int, release: str | None) -> None:
            self.send_response(status)
            if release:
                self.send_header("X-Release", release)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        (tmp_path / "bin").mkdir()
        executable(tmp_path / "bin" / "az", f'exec "{sys.executable}" -I -S "{STAND_IN}" "$@"')
        executable(  # the app's public name leads here
            tmp_path / "bin" / "curl",
            f'exec "{which("curl")}" "${{@/https:\\/\\/func-tandem.example.com/http://127.0.0.1:{server.server_port}}}"',
        )
        # granting takes Azure SQL; it is taken down instead, and migrations go to a SQLite file. Finding a package's
        # functions takes seconds, and test_package.py sees that done; so does a look at rules that keep nothing away
        executable(
            tmp_path / "bin" / "python",
            f'case "$*" in "-m infra.functions "*) tr " " "\\n" <<<"{FUNCTIONS}"; exit ;; esac\n'
            f'[[ "$*" != *" {EVERYTHING}" ]] || exit 0\n'
            f'echo "$* to ${{SqlConnection:-}} as ${{AZURE_TOKEN_CREDENTIALS:-}}" >>"{tmp_path}/python.log"\n'
            f'[[ "$*" == "-m infra.sql.access "* ]] || exec "{sys.executable}" "$@"',
        )
        outputs = {
            "functionApp": "func-tandem",
            "apiUrl": f"http://127.0.0.1:{server.server_port}/api",
            "sqlUrl": f"sqlite:///{tmp_path}/tandem.db",
            "storageAccount": "sttandem",
            "releasesContainer": "releases",
            "subscriptionRules": EVERYTHING,
            **USERS,
        }
        for name in ("outputs.json", "lasting.json", "all-outputs.json"):
            (tmp_path / name).write_text(json.dumps(outputs))
        (tmp_path / "group").touch()
        (tmp_path / "functions").write_text(FUNCTIONS)
        there.tell(
            deployments=[],
            refused={},
            afterwards={},
            passing={},
            slow=0,
            after="",
            assertion=5,
            minutes=0,
            tokens=[],
            subscription="mine",
        )
        yield there
        server.shutdown()


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


def committed() -> str:
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def later(folder: Path, file: str | None = None, onto: str = "HEAD") -> tuple[str, dict[str, str]]:
    """Commit onto the checkout's last commit, a new file if one is named; gives the commit and the settings to find it.

    The repository stays as it is: git keeps the new objects in the folder.
    """

    def git(*arguments: str, said: str = "") -> str:
        ran = subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            env=os.environ | known,
            input=said,
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout.strip()

    known: dict[str, str] = {}
    objects = git("rev-parse", "--path-format=absolute", "--git-path", "objects")
    (folder / "objects").mkdir(exist_ok=True)
    known = {"GIT_OBJECT_DIRECTORY": str(folder / "objects"), "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
    known |= {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    tree = git("rev-parse", "HEAD^{tree}")
    if file:
        known["GIT_INDEX_FILE"] = str(folder / "index")
        git("read-tree", "HEAD")
        blob = git("hash-object", "-w", "--stdin", said="new")
        git("update-index", "--add", "--cacheinfo", f"100644,{blob},{file}")
        tree = git("write-tree")
        del known["GIT_INDEX_FILE"]
    return git("commit-tree", tree, "-p", onto, "-m", "later"), known


def checked_out(folder: Path, commit: str) -> dict[str, str]:
    """Give the settings for which that commit is the checkout's last one."""
    command = ["git", "rev-parse", "--path-format=absolute", "--git-path", "shallow"]
    shallow = Path(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip())
    (folder / "git" / "refs").mkdir(parents=True)
    (folder / "git" / "HEAD").write_text(commit)
    if shallow.exists():  # the checkout of a pipeline begins with its last commit
        (folder / "git" / "shallow").write_text(shallow.read_text())
    return {"GIT_DIR": str(folder / "git")}


@pytest.mark.parametrize("clone", ["fetched", "not fetched"])
def test_an_older_checkout_does_not_touch_what_a_later_release_runs_on(azure: Azure, clone: str) -> None:
    """Its rules would keep events away from that release, and its database refuses only after them."""
    release, known = later(azure.state)
    azure.let_run(release)
    ran = azure.deploy("dev", **(known if clone == "fetched" else {}))
    assert ran.returncode == 1
    assert f"{release} runs, and is no part of this checkout" in ran.stderr
    assert azure.commands() == ["deployment group what-if"]
    azure.let_run(committed())
    assert azure.deploy("dev", "infrastructure").returncode == 0


@pytest.mark.parametrize(
    ("stage", "command", "said"),
    [
        ("infrastructure", "deployment group create", ACTIVE),
        ("application", "functionapp deployment source config-zip", UNDER_WAY),
    ],
)
def test_a_checkout_that_became_older_while_it_waited_is_refused(
    azure: Azure, stage: str, command: str, said: str
) -> None:
    """What it waits for may be the deployment of a later release."""
    release, known = later(azure.state)
    azure.let_run(committed())
    azure.let_run(release, "meanwhile")
    azure.good = {release}
    azure.tell(passing={command: [1, said]})
    ran = azure.deploy("dev", stage, **known)
    assert ran.returncode == 1
    assert f"{release} runs, and is no part of this checkout" in ran.stderr
    assert "what ran before still runs" not in ran.stderr
    assert azure.commands() == [command]
    assert azure.runs() == release


def test_an_older_package_is_refused_unless_somebody_says_what_they_go_back_from(azure: Azure) -> None:
    """Also over a migration: a package leaves the database as it is."""
    release, known = later(azure.state, "infra/sql/migrations/versions/9999_later.py")
    azure.let_run(release)
    ran = azure.deploy("dev", "application", **known)
    assert ran.returncode == 1
    assert f"{release} runs, and is no part of this checkout" in ran.stderr
    assert azure.commands() == []
    assert azure.deploy("dev", "application", ROLL_BACK_FROM=release, **known).returncode == 0
    assert azure.runs() == committed()


def test_what_somebody_else_has_deployed_meanwhile_is_not_taken_back(azure: Azure) -> None:
    azure.last_good()
    azure.let_run("later", "meanwhile")
    azure.healthy = False
    azure.tell(passing={"functionapp deployment source config-zip": [1, BUILD_FAILED]})
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "somebody else has deployed later meanwhile: that stays" in ran.stderr
    assert azure.runs() == "later"


def test_a_release_that_came_while_the_way_back_was_waited_for_stays(azure: Azure) -> None:
    azure.last_good()
    azure.let_run("later", "meanwhile")
    azure.healthy = False
    azure.tell(afterwards={"functionapp deployment source config-zip": UNDER_WAY})
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0", ROLE_SECONDS="5")
    assert ran.returncode == 1
    assert "somebody else has deployed later meanwhile: that stays" in ran.stderr
    assert azure.commands() == ["functionapp deployment source config-zip"] * 2
    assert azure.runs() == "later"
    assert "does not work either" not in ran.stderr


def test_a_bad_package_gives_way_though_azure_does_not_tell_what_runs(azure: Azure) -> None:
    azure.last_good()
    azure.healthy = False
    azure.tell(afterwards={"functionapp list": "ERROR: Too Many Requests(x)"})
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "Too Many Requests" in ran.stderr
    assert azure.runs() == "good"


def test_whoever_says_what_they_go_back_from_does(azure: Azure) -> None:
    release, known = later(azure.state)
    azure.let_run(release)
    assert azure.deploy("dev", "infrastructure", ROLL_BACK_FROM="another", **known).returncode == 1
    for said in (release, "any"):
        assert azure.deploy("dev", "infrastructure", ROLL_BACK_FROM=said, **known).returncode == 0
    assert azure.commands() == ["deployment group create"] * 2


def test_nobody_goes_back_over_a_migration_that_the_database_would_refuse_afterwards(azure: Azure) -> None:
    release, known = later(azure.state, "infra/sql/migrations/versions/9999_later.py")
    azure.let_run(release)
    ran = azure.deploy("dev", "infrastructure", ROLL_BACK_FROM=release, **known)
    assert ran.returncode == 1
    assert f"{release} has brought migrations that this checkout lacks" in ran.stderr
    assert azure.commands() == []


def test_templates_alone_go_back_over_a_migration_and_all_stages_do_not(azure: Azure) -> None:
    """The runbook brings the good release's templates before its package, and leaves the database as it is."""
    release, known = later(azure.state, "infra/sql/migrations/versions/9999_later.py")
    azure.let_run(release)
    known |= {"DATABASE_STAYS": "true"}
    assert azure.deploy("dev", "infrastructure", **known).returncode == 1
    known |= {"ROLL_BACK_FROM": release}
    assert azure.deploy("dev", "infrastructure", "database", **known).returncode == 1
    assert azure.commands() == []
    assert azure.deploy("dev", "infrastructure", **known).returncode == 0
    assert azure.commands() == ["deployment group create"]


def test_an_app_that_does_not_say_its_release_is_deployed_to(azure: Azure) -> None:
    """It is new, or broken, and a deployment is what mends it."""
    azure.let_run("")
    ran = azure.deploy("dev", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert "it is not known which release runs" in ran.stdout
    executable(azure.state / "bin" / "curl", "exit 6")
    assert azure.deploy("dev", "infrastructure").returncode == 0


def test_azd_asks_whether_a_later_release_runs(azure: Azure) -> None:
    assert azure.deploy("dev", "forward").returncode == 0
    azure.let_run(later(azure.state)[0])
    assert azure.deploy("dev", "forward").returncode == 1
    (azure.state / "group").unlink()
    assert azure.deploy("dev", "forward").returncode == 0


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
    assert stages == [
        "what",
        "infrastructure",
        "it",
        "migrations",
        "access",
        "it",
        "package",
        "what",
        "deploying",
        "smoke",
        "done:",
    ]
    asked = [*["/api/health/live"] * 3, "/admin/host/status", "/api/health/ready", "/api/openapi.json"]
    assert azure.paths == asked
    assert azure.runs() == committed()
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


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "sqlite:///{state}/tandem.db"])
def test_the_firewall_is_open_for_a_laptop_only_while_it_migrates(azure: Azure, url: str) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    (azure.state / "outputs.json").write_text(json.dumps({**outputs, "sqlUrl": url.format(state=azure.state)}))
    azure.deploy("dev", "database", CLIENT_ADDRESS="198.51.100.7")
    assert azure.commands() == ["sql server firewall-rule create", "sql server firewall-rule delete"]
    opened = next(call for call in azure.calls() if "create" in call)
    assert [opened[opened.index(f"--{end}-ip-address") + 1] for end in ("start", "end")] == ["198.51.100.7"] * 2


def test_what_it_publishes_is_the_package(azure: Azure) -> None:
    azure.deploy("dev", "application")
    with zipfile.ZipFile(azure.state / "deployed.zip") as package:
        assert {"function_app.py", "host.json", "requirements.txt"} < set(package.namelist())


@pytest.mark.parametrize("stage", ["application", "rules"])
def test_a_release_that_takes_what_a_deployed_rule_keeps_away_is_not_published(azure: Azure, stage: str) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    narrow = RULES.replace("'StockNotKeptV1'", "'StockNotKeptV1', 'ProductRenamedV1'")
    (azure.state / "outputs.json").write_text(json.dumps({**outputs, "subscriptionRules": narrow}))
    ran = azure.deploy("dev", stage)
    assert ran.returncode == 1
    assert "keeps away what this release takes: ProductRenamedV1 from product-events/product-views." in ran.stderr
    assert azure.commands() == []


def test_a_release_that_ignores_more_than_a_deployed_rule_keeps_away_is_published(azure: Azure) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    wide = "; ".join(f"{each.partition('=')[0]}=1=1" for each in RULES.split("; "))
    (azure.state / "outputs.json").write_text(json.dumps({**outputs, "subscriptionRules": wide}))
    assert azure.deploy("dev", "rules").returncode == 0


def test_a_package_that_fails_its_smoke_test_gives_way_to_the_last_good_one(azure: Azure) -> None:
    azure.healthy = False
    kept = azure.last_good()
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="1")
    assert ran.returncode == 1
    assert "/health/ready: curl: (22)" in ran.stderr
    assert "good works again" in ran.stderr
    assert azure.runs() == "good"
    assert (azure.state / "last-good.zip").read_bytes() == kept
    assert azure.paths.count("/api/health/ready") > 2  # more than once in vain, once well


def test_a_package_that_people_have_taken_out_does_not_come_back_when_the_next_one_fails(azure: Azure) -> None:
    """They go back at once, from anywhere, and the package that passed its smoke test and was bad is still kept."""
    azure.last_good()
    before, known = later(azure.state)
    azure.let_run(before)
    azure.healthy, azure.good = False, {before}
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0", ROLL_BACK_FROM=before, **known)
    assert ran.returncode == 1
    assert f"{before} runs, and is not the last good package" in ran.stdout
    assert f"{before} works again" in ran.stderr
    assert azure.runs() == before
    with zipfile.ZipFile(azure.state / "deployed.zip") as package:
        assert {"function_app.py", "host.json", "requirements.txt"} < set(package.namelist())


@pytest.mark.parametrize(
    ("comes", "refused"),
    [
        ("the same release once more", {}),
        ("the next one", {}),
        ("the next one", {"functionapp deployment source config-zip": [1, BUILD_FAILED]}),
    ],
)
def test_a_package_whose_job_was_cut_off_is_not_gone_back_to(
    azure: Azure, comes: str, refused: dict[str, list[object]]
) -> None:
    """It has not passed, and nothing has turned it back: the next that fails gives way to the one that did pass."""
    kept = azure.last_good(committed())
    cut_off, known = later(azure.state)
    azure.let_run(cut_off)
    azure.healthy, azure.good = False, {committed()}
    azure.tell(passing=refused)
    release = cut_off if comes == "the same release once more" else later(azure.state, onto=cut_off)[0]
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0", **known, **checked_out(azure.state, release))
    assert ran.returncode == 1
    assert azure.runs() == committed(), ran.stderr
    assert f"{committed()} works again" in ran.stderr
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_nothing_is_gone_back_to_where_what_runs_cannot_be_made_again(azure: Azure) -> None:
    kept = azure.last_good()
    azure.let_run("0" * 40)
    azure.healthy = False
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0", ROLL_BACK_FROM="any")
    assert ran.returncode == 1
    assert "there is nothing: what fails its smoke test stays" in ran.stderr
    assert "the new package does not work, and there is none to go back to" in ran.stderr
    assert azure.runs() == committed()
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_a_first_package_that_fails_is_reported_and_does_not_become_the_last_good_one(azure: Azure) -> None:
    azure.healthy = False
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "the new package does not work, and there is none to go back to" in ran.stderr
    assert not (azure.state / "last-good.zip").exists()


def test_the_smoke_test_waits_until_the_new_release_answers(azure: Azure) -> None:
    azure.old_answers = 1
    assert azure.deploy("dev", "application").returncode == 0
    assert azure.paths.count("/api/health/ready") == 2


@pytest.mark.parametrize(("environment", "seconds"), [("dev", 300), ("prod", 900)])
def test_an_update_instance_by_instance_has_longer_until_the_new_release_answers(
    azure: Azure, environment: str, seconds: int
) -> None:
    ran = azure.deploy(environment, "application", SMOKE_SECONDS="")
    assert ran.returncode == 0, ran.stderr
    assert f"for {seconds} s at most" in ran.stdout


def test_a_release_that_never_answers_has_failed_though_the_one_before_is_well(azure: Azure) -> None:
    azure.old_answers = 1
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert f"another release than {committed()} answers" in ran.stderr


def test_a_function_that_the_platform_does_not_know_fails_the_smoke_test(azure: Azure) -> None:
    (azure.state / "functions").write_text("get_order")
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "the platform does not know these functions: project_order relay_order_events" in ran.stderr
    synced = [call for call in azure.calls() if call[0] == "rest"]
    assert [word for call in synced for word in call if "syncfunctiontriggers" in word]


# --- what az does on the first day, and the right end of each


def test_az_calls_the_app_unhealthy_because_authentication_is_on_and_the_smoke_test_decides(azure: Azure) -> None:
    ran = azure.deploy("dev", "application")
    assert "the app appears to be unhealthy" in ran.stderr
    assert ran.returncode == 0
    assert azure.commands() == ["functionapp deployment source config-zip", "storage blob upload"]


@pytest.mark.parametrize("said", AFTER_ACCEPTANCE)
def test_what_az_says_after_azure_has_taken_a_package_does_not_decide_either(azure: Azure, said: str) -> None:
    azure.tell(after=said)
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 0, ran.stderr
    assert azure.runs() == committed()
    azure.healthy = False
    kept = azure.last_good()
    assert azure.deploy("dev", "application", SMOKE_SECONDS="0").returncode == 1
    assert azure.runs() == "good"
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_a_token_that_is_needed_late_was_fetched_in_time(azure: Azure) -> None:
    azure.tell(passing={"storage blob exists": [1, NO_ROLE_YET]})  # waiting takes longer than the sign-in is good for
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 0, ran.stderr
    assert "AADSTS700024" not in ran.stderr


def test_a_sign_in_that_is_too_old_is_said_at_once_and_nothing_is_deployed(azure: Azure) -> None:
    azure.tell(minutes=60)
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert ran.stderr.count("AADSTS700024") == 1
    assert "sign in again, and run the stage again" in ran.stderr
    assert azure.commands() == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("deployment group create", NO_RIGHT_YET),
        ("rest", NO_RIGHT_YET),
        ("storage blob exists", NO_ROLE_YET),
        ("storage blob upload", NO_ROLE_YET),
        ("functionapp deployment source config-zip", NO_STORAGE_YET),
        ("functionapp deployment source config-zip", UNDER_WAY),
    ],
)
def test_what_a_role_given_minutes_ago_does_not_allow_yet_is_waited_for(azure: Azure, command: str, said: str) -> None:
    azure.tell(passing={command: [2, said]})
    ran = azure.deploy("dev", "infrastructure", "application")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("once more in 0 s") == 2
    assert azure.runs() == committed()
    assert (azure.state / "last-good.zip").exists()


@pytest.mark.parametrize("said", BUSY)
def test_what_is_still_being_changed_is_waited_for(azure: Azure, said: str) -> None:
    azure.tell(passing={"deployment group create": [1, said]})
    ran = azure.deploy("dev", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert azure.commands() == ["deployment group create", "deployment group create"]


def test_a_role_that_never_comes_ends_the_deployment_before_a_package_is_sent(azure: Azure) -> None:
    azure.tell(refused={"storage blob exists": NO_ROLE_YET})
    ran = azure.deploy("dev", "application", ROLE_SECONDS="1")
    assert ran.returncode == 1
    assert ran.stderr.count("required permissions") > 1
    assert azure.commands() == []


def test_it_waits_for_a_role_by_the_clock_and_not_by_how_often_it_asked(azure: Azure) -> None:
    """A deployment of the infrastructure takes minutes before it is refused: twenty of them took hours."""
    azure.tell(refused={"deployment group create": NO_RIGHT_YET}, slow=1.5)
    ran = azure.deploy("dev", "infrastructure", ROLE_SECONDS="2")
    assert ran.returncode == 1
    assert 1 < azure.commands().count("deployment group create") <= 3


def test_a_right_on_something_that_is_only_named_is_not_waited_for(azure: Azure) -> None:
    azure.tell(refused={"deployment group create": NO_RIGHT_ON_THE_HUB})
    ran = azure.deploy("dev", "infrastructure")
    assert ran.returncode == 1
    assert "LinkedAuthorizationFailed" in ran.stderr
    assert azure.commands() == ["deployment group create"]


def test_the_smoke_test_goes_by_the_clock_however_long_an_answer_takes(azure: Azure) -> None:
    azure.healthy = False
    azure.answers_after = 1.5
    azure.deploy("dev", "application", SMOKE_SECONDS="8")
    assert 1 < azure.paths.count("/api/health/ready") <= 6  # eight seconds of answers that take a second and a half


@pytest.mark.parametrize("command", ["storage blob exists", "storage blob download"])
def test_a_closed_network_is_not_waited_for_nor_taken_for_a_first_deployment(azure: Azure, command: str) -> None:
    azure.last_good()
    azure.tell(refused={command: CLOSED_NETWORK})
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert ran.stderr.count("network rules") == 1
    assert "config-zip" not in str(azure.commands())


def test_a_package_that_azure_does_not_take_leaves_what_runs(azure: Azure) -> None:
    kept = azure.last_good()
    azure.tell(refused={"functionapp deployment source config-zip": BUILD_FAILED})
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert "the new package was not taken by Azure; what ran before still runs" in ran.stderr
    assert azure.commands() == ["functionapp deployment source config-zip"]
    assert azure.runs() == "good"
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_a_package_that_is_not_taken_but_breaks_what_runs_gives_way_to_the_last_good_one(azure: Azure) -> None:
    azure.last_good()
    azure.good_fails = 1
    azure.tell(passing={"functionapp deployment source config-zip": [1, BUILD_FAILED]})
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "the new package was not taken by Azure: back to good" in ran.stderr
    assert "good works again" in ran.stderr
    assert azure.runs() == "good"


@pytest.mark.parametrize("refused", [{}, {"functionapp deployment source config-zip": BUILD_FAILED}])
def test_a_last_good_package_that_does_not_help_is_said_and_kept(azure: Azure, refused: dict[str, str]) -> None:
    kept = azure.last_good()
    azure.healthy, azure.good_fails = False, 9
    azure.tell(refused=refused)
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "good does not work either" in ran.stderr
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_a_package_that_works_but_is_not_kept_fails_the_stage_and_stays(azure: Azure) -> None:
    azure.tell(refused={"storage blob upload": CLOSED_NETWORK})
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert "the new package works, but is not kept to go back to" in ran.stderr
    assert azure.runs() == committed()


def test_a_budget_keeps_the_month_that_it_began_with_even_after_a_deployment_that_failed(azure: Azure) -> None:
    azure.tell(refused={"deployment group create": "ERROR: (Conflict) something else"})
    assert azure.deploy("dev", "infrastructure").returncode == 1
    assert (azure.state / "budget").read_text() == NOW
    assert set(json.loads((azure.state / "outputs.json").read_text()).values()) == {None}

    (azure.state / "budget").write_text("2026-02-01")  # and a month passes
    azure.tell(refused={})
    ran = azure.deploy("dev", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert (azure.state / "budget").read_text() == "2026-02-01"


@pytest.mark.parametrize("said", NO_BUDGETS)
def test_a_subscription_that_takes_no_budget_gets_everything_else(azure: Azure, said: str) -> None:
    azure.tell(refused={"rest": said})
    ran = azure.deploy("dev", "preview", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert "Azure takes no budget in this subscription now" in ran.stderr
    assert not (azure.state / "budget").exists()
    assert azure.commands() == ["deployment group what-if", "deployment group create"]
    assert azure.deploy("dev", "budget").stdout == "none\n"  # azd's

    (azure.state / "budget").write_text("2026-02-01")  # it had one, and the charges were hidden since
    assert azure.deploy("dev", "infrastructure").returncode == 0
    assert (azure.state / "budget").read_text() == "2026-02-01"


@pytest.mark.parametrize(
    "said", ["Bad Gateway(x)", 'Service Unavailable({"error":{"code":"503"}})', "Too Many Requests(x)"]
)
def test_a_budget_that_cannot_be_read_stays_as_it_is_and_no_deployment_waits_for_it(azure: Azure, said: str) -> None:
    azure.tell(refused={"rest": f"ERROR: {said}"})
    (azure.state / "budget").write_text("2026-02-01")
    ran = azure.deploy("dev", "preview", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert "Azure does not tell the budget: one that is there stays" in ran.stderr
    assert azure.commands() == ["deployment group what-if", "deployment group create"]
    assert (azure.state / "budget").read_text() == "2026-02-01", "another month would have been refused"


@pytest.mark.parametrize("stage", ["database", "application"])
def test_outputs_that_a_failed_deployment_left_out_are_said_and_not_used(azure: Azure, stage: str) -> None:
    outputs = azure.state / "outputs.json"
    outputs.write_text(json.dumps(dict.fromkeys(json.loads(outputs.read_text()))))
    ran = azure.deploy("dev", stage)
    assert ran.returncode == 1
    assert "Run the stage infrastructure again" in ran.stderr
    assert azure.commands() == []
    assert not (azure.state / "python.log").exists()


def test_a_group_that_cannot_be_looked_for_is_not_taken_for_a_missing_one(azure: Azure) -> None:
    azure.tell(refused={"group exists": "ERROR: (InternalServerError) try later"})
    for stage in ("preview", "infrastructure"):
        ran = azure.deploy("dev", stage)
        assert ran.returncode == 1
        assert "there is no resource group" not in ran.stdout
    assert azure.commands() == []


@pytest.mark.parametrize(
    ("refused", "done"),
    [
        ("deployment group what-if", []),
        ("deployment group create", ["deployment group what-if"]),
        ("deployment group list", ["deployment group what-if", "deployment group create"]),
    ],
)
def test_it_stops_at_the_first_stage_that_fails(azure: Azure, refused: str, done: list[str]) -> None:
    azure.tell(refused={refused: "ERROR: no"})
    assert azure.deploy("dev").returncode == 1
    assert [command for command in azure.commands() if command != refused] == done
    assert not (azure.state / "python.log").exists()


def test_nothing_happens_where_az_is_signed_in_to_another_subscription(azure: Azure) -> None:
    ran = azure.deploy("dev", AZURE_SUBSCRIPTION_ID="another")
    assert ran.returncode == 1
    assert "az account set --subscription another" in ran.stderr
    assert azure.commands() == []
    assert [call[:2] for call in azure.calls()] == [["account", "show"]]
    assert azure.deploy("dev", "preview", AZURE_SUBSCRIPTION_ID="mine").returncode == 0


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
    first = azure.deploy("dev")
    azure.tell(minutes=0, tokens=[])  # signed in again
    second = azure.deploy("dev")
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert azure.commands()[4:] == azure.commands()[:4]


def test_azd_gets_the_budgets_month_and_a_smoke_test_of_what_it_deployed(azure: Azure) -> None:
    (azure.state / "budget").write_text("2026-02-01")
    assert azure.deploy("dev", "budget").stdout == "2026-02-01\n"
    (azure.state / "group").unlink()
    assert azure.deploy("prod", "budget").stdout == f"{NOW}\n"
    assert azure.deploy("dev", "application").returncode == 0
    assert azure.deploy("dev", "check").returncode == 0
    azure.healthy = False
    assert azure.deploy("dev", "check").returncode == 1


def test_azd_names_its_deployments_itself_and_puts_their_outputs_into_the_environment(azure: Azure) -> None:
    (azure.state / "outputs.json").write_text("{}")
    outputs = json.loads((azure.state / "all-outputs.json").read_text())
    ran = azure.deploy("dev", "database", "application", "check", **outputs)
    assert ran.returncode == 0, ran.stderr


def by_azd(outputs: dict[str, str], day: str) -> dict[str, Any]:
    """Describe a deployment as azd makes it."""
    tags = {"azd-env-name": "dev", "azd-layer-name": ""}
    return {"name": "dev-1764490000", "tags": tags, "timestamp": f"{day}T08:06:40.123456+00:00", "outputs": outputs}


def test_what_azd_has_deployed_is_found_by_the_stages_and_by_the_runbook(azure: Azure) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    (azure.state / "outputs.json").unlink()  # nobody but azd has deployed here
    module = {
        "name": "app",
        "tags": None,
        "timestamp": "2099-01-01T00:00:00+00:00",
        "outputs": {"apiUrl": "of a module"},
    }
    azure.tell(deployments=[by_azd(outputs, "2026-11-30"), module])
    ran = azure.deploy("dev", "database", "application")
    assert ran.returncode == 0, ran.stderr
    assert azure.runs() == committed()
    assert azure.runbook_finds() == ["func-tandem", "https://func-tandem.example.com/api", EVERYTHING]


def test_the_runbook_finds_the_app_and_its_rules_though_the_last_deployment_failed(azure: Azure) -> None:
    """Who was woken up by a deployment that failed has nothing else to go by, and it left no outputs."""
    assert azure.deploy("dev", "infrastructure", "application").returncode == 0
    azure.tell(refused={"deployment group create": "ERROR: (Conflict) something else"}, minutes=0)
    assert azure.deploy("dev", "infrastructure").returncode == 1
    assert azure.runbook_finds() == ["func-tandem", "https://func-tandem.example.com/api", EVERYTHING]
    assert azure.deploy("dev", "check").returncode == 0


def test_the_runbook_knows_an_environment_that_the_templates_of_before_made(azure: Azure) -> None:
    """They had no module whose outputs stay."""
    assert azure.deploy("dev", "infrastructure", "application").returncode == 0
    (azure.state / "lasting.json").unlink()
    assert azure.runbook_finds() == ["func-tandem", "https://func-tandem.example.com/api", EVERYTHING]
    assert azure.deploy("dev", "check").returncode == 0


def test_the_runbook_says_so_where_nothing_is_known_in_place_of_doing_nothing(azure: Azure) -> None:
    (azure.state / "lasting.json").unlink()
    (azure.state / "outputs.json").unlink()
    with pytest.raises(subprocess.CalledProcessError) as nothing:
        azure.runbook_finds()
    assert nothing.value.stderr.endswith("NOT DONE: no deployment in rg-tandem-prod has put out subscriptionRules\n")
    assert "no deployment of the infrastructure has put out functionApp" in azure.deploy("dev", "check").stderr


def test_the_newest_deployment_counts_whoever_made_it(azure: Azure) -> None:
    """Rules of an older one would let a release through that Service Bus keeps events from."""
    outputs = json.loads((azure.state / "outputs.json").read_text())
    narrow = RULES.replace("'StockNotKeptV1'", "'StockNotKeptV1', 'ProductRenamedV1'")
    azure.tell(deployments=[by_azd({**outputs, "subscriptionRules": narrow}, "2020-01-01")])
    assert azure.deploy("dev", "rules").returncode == 0
    azure.tell(deployments=[by_azd({**outputs, "subscriptionRules": narrow}, "2099-01-01")])
    assert azure.deploy("dev", "rules").returncode == 1
    azure.tell(deployments=[by_azd({}, "2099-01-01")])  # it failed
    assert "Run the stage infrastructure again" in azure.deploy("dev", "rules").stderr


@pytest.mark.parametrize("arguments", [[], ["staging"], ["dev", "everything"]])
def test_what_it_does_not_know_is_refused_before_anything_happens(azure: Azure, arguments: list[str]) -> None:
    ran = azure.deploy(*arguments)
    assert ran.returncode == 2
    assert ran.stderr
    assert azure.calls() == []
