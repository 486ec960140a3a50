"""Stands in for `az` where there is no Azure: takes down what it is asked, and fails as az 2.91 does.

What it prints is az's own text, from its source (command_modules/appservice/custom.py, storage/__init__.py, core/auth).
Its state is the folder AZ_STAND_IN: calls.jsonl (one list of arguments a line), outputs.json (what the deployment
tandem put out, if there is one), lasting.json (what it last put out in a deployment that failed or runs after it
leaves alone), budget (the day that the budget began with, if there is one), group (exists if the
resource group does), functions (the names that the platform knows), deployed.zip, meanwhile.zip (what somebody else
deploys while a command is refused, if anything), last-good.zip, and azure.json:

- refused: commands that fail for good, as their first words, with what az says
- afterwards: commands that fail for good once a package was taken, likewise
- passing: commands that are refused so many times, with what az says
- slow: seconds that a refused command takes
- deployments: others than tandem, each with its name, tags, timestamp and outputs
- after: what az says after Azure has taken a package, in place of asking the app's host
- subscription: the one that it is signed in to
- assertion: minutes that the sign-in is good for another token; deploying a package takes six, and so does waiting
"""

import json
import os
import re
import shutil
import sys
import time
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any

ARM, SITES, STORAGE = (
    "https://management.core.windows.net/",
    "https://appservice.azure.com",
    "https://storage.azure.com",
)
COMMANDS = {
    "account get-access-token": "",
    "account show": "",
    "group exists": ARM,
    "group create": ARM,
    "rest": ARM,
    "deployment group what-if": ARM,
    "deployment group create": ARM,
    "deployment group list": ARM,
    "sql server firewall-rule create": ARM,
    "sql server firewall-rule delete": ARM,
    "functionapp deployment source config-zip": SITES,
    "functionapp function list": ARM,
    "functionapp list": ARM,
    "storage blob exists": STORAGE,
    "storage blob upload": STORAGE,
    "storage blob download": STORAGE,
}
"""What is known, and for which resource it needs a token."""
LATE = "ERROR: AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-11-28T10:10:00Z"
UNHEALTHY = "ERROR: Deployment was successful but the app appears to be unhealthy. Please check the app logs."


class State:
    """What the folder holds, between one call and the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.azure: dict[str, Any] = json.loads((folder / "azure.json").read_text())

    def fail(self, said: str, code: int = 1) -> None:
        """End as az does: what was done so far stays."""
        self.keep()
        print(said, file=sys.stderr)  # noqa: T201  # it is a command
        sys.exit(code)

    def keep(self) -> None:
        """Write down what the next call has to know."""
        (self.folder / "azure.json").write_text(json.dumps(self.azure))

    def token(self, resource: str) -> None:
        """Get a token, which is kept for an hour: of those who sign in by OIDC, soon enough or not at all."""
        if resource and resource not in self.azure["tokens"]:
            if self.azure["minutes"] > self.azure["assertion"]:
                self.fail(LATE)
            self.azure["tokens"].append(resource)

    def refuse(self, command: str) -> None:
        """Refuse a command, if it was told to."""
        if command in self.azure["refused"]:
            time.sleep(self.azure["slow"])
            self.let_others_deploy()
            self.fail(self.azure["refused"][command])
        if self.azure["passing"].get(command, [0])[0]:
            self.azure["passing"][command][0] -= 1
            self.azure["minutes"] += 6
            self.let_others_deploy()
            self.fail(self.azure["passing"][command][1])

    def let_others_deploy(self) -> None:
        """Let the package run that somebody else deploys meanwhile, if anybody does."""
        if (others := self.folder / "meanwhile.zip").exists():
            shutil.copy(others, self.folder / "deployed.zip")


def main(arguments: list[str]) -> str:
    """Do as az would; gives what it prints."""
    folder = Path(os.environ["AZ_STAND_IN"])
    with (folder / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    command = next((known for known in COMMANDS if arguments[: len(known.split())] == known.split()), None)
    if command is None:
        sys.exit(f"no such command: {arguments}")
    options = dict(pairwise(arguments))
    state = State(folder)
    state.token(options["--resource"] if command == "account get-access-token" else COMMANDS[command])
    if command != "deployment group create":  # that one fails half-way
        state.refuse(command)
    said = answer(command, options, state)
    state.keep()
    return said


def answer(command: str, options: dict[str, str], state: State) -> str:  # noqa: C901  # a case for each command
    """Do one command, without regard to who asks."""
    folder = state.folder
    match command:
        case "account show":
            return str(state.azure["subscription"])
        case "group exists":
            return str((folder / "group").exists()).lower()
        case "group create":
            (folder / "group").touch()
        case "rest" if "budgets" in options["--url"]:
            # --query and tsv give the value of the one that is there, or nothing
            return (folder / "budget").read_text() + "T00:00:00Z" if (folder / "budget").exists() else ""
        case "deployment group list":
            return put_out(options["--query"], state)
        case "functionapp list":
            return {"[0].name": "func-tandem", "[0].defaultHostName": "func-tandem.example.com"}[options["--query"]]
        case "deployment group create":
            deploy(state)
        case "functionapp deployment source config-zip":
            state.azure["minutes"] += 6
            shutil.copy(options["--src"], folder / "deployed.zip")
            state.azure["refused"] |= state.azure["afterwards"]
            if state.azure["after"]:
                state.fail(state.azure["after"])
            ask_the_host(state)
        case "functionapp function list":
            return "\n".join(f"func-tandem/{name}" for name in (folder / "functions").read_text().split())
        case "storage blob exists":
            return str((folder / "last-good.zip").exists()).lower()
        case "storage blob upload":
            shutil.copy(options["--file"], folder / "last-good.zip")
        case "storage blob download":
            shutil.copy(folder / "last-good.zip", options["--file"])
        case _:
            pass
    return ""


OUTPUT = re.compile(
    r"""sort_by\(\[\?name=='tandem' \|\| tags."azd-env-name"\], """
    r"&properties.timestamp\)\[-1\].properties.outputs.(?P<name>\w+).value"
)
KNOWN = re.compile(
    r"sort_by\(\[\?properties.outputs && \(starts_with\(name, 'lasting-'\) "
    r"""\|\| name=='tandem' \|\| tags."azd-env-name"\)\], """
    r"&properties.timestamp\)\[-1\].properties.outputs.not_null\(known.value.(?P<name>\w+), (?P=name).value\)"
)
"""The two questions that it understands: an output of the template's newest deployment, or of the newest one, or its
module, that has any."""


def put_out(query: str, state: State) -> str:
    """Give that output; nothing, if the deployment failed or there is none."""
    known = KNOWN.fullmatch(query)
    asked = known or OUTPUT.fullmatch(query)
    assert asked, query
    deployments: list[dict[str, Any]] = list(state.azure["deployments"])
    for name in ("outputs", "lasting") if known else ("outputs",):
        if not (file := state.folder / f"{name}.json").exists():
            continue
        outputs = {name: value for name, value in json.loads(file.read_text()).items() if value is not None}
        when = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat()
        deployments.append({"name": "tandem", "tags": None, "timestamp": when, "outputs": outputs})
    ours = [each for each in deployments if each["name"] == "tandem" or "azd-env-name" in (each["tags"] or {})]
    if known:
        ours = [each for each in ours if each["outputs"]]
    newest: dict[str, Any] = max(ours, key=lambda each: each["timestamp"], default={"outputs": {}})
    return str(newest["outputs"].get(asked["name"], ""))


def deploy(state: State) -> None:
    """Make a budget early, and put out what all came to; nothing, if something failed."""
    budget, outputs = state.folder / "budget", state.folder / "outputs.json"
    wanted = os.environ["BUDGET_START"]
    begun = budget.read_text() if budget.exists() else wanted
    if wanted != "none":
        budget.write_text(begun)
    named = json.loads(outputs.read_text())
    outputs.write_text(json.dumps(dict.fromkeys(named)))
    if wanted not in (begun, "none"):
        state.fail("ERROR: (400) Start date cannot be changed for an existing budget.")
    state.refuse("deployment group create")
    for file in (outputs, state.folder / "lasting.json"):
        file.write_text((state.folder / "all-outputs.json").read_text())


def ask_the_host(state: State) -> None:
    """Ask for the host's status, once where az asks fifteen times, with the host's key and without a bearer."""
    host = json.loads((state.folder / "all-outputs.json").read_text())["apiUrl"].split("/")[2]
    connection = HTTPConnection(host)
    connection.request("GET", "/admin/host/status", headers={"x-functions-key": "master"})
    if connection.getresponse().status != HTTPStatus.OK:
        state.fail(UNHEALTHY)


if __name__ == "__main__":
    if said := main(sys.argv[1:]):
        print(said)  # noqa: T201  # it is a command
