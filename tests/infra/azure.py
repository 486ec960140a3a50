"""The Azure of tests: a stand-in for az that behaves as az does when things go wrong, and the app that it deploys."""

import json
import os
import subprocess
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from tests.infra.snapshots import DEV
from tests.support.pages import sections

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("az_stand_in.py")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
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
UNDER_WAY = "ERROR: There may be an ongoing deployment. Please track your deployment in https://..."
CLOSED_NETWORK = (
    "ERROR: \nThe request may be blocked by network rules of storage account. Please check network rule set ..."
)


def this_month() -> str:
    """Give the first day of the month, with which a new budget begins; a run may last into the next one."""
    return f"{datetime.now(UTC):%Y-%m}-01"


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
