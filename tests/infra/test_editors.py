"""What VS Code and dev containers read is well formed, and starts only what there is."""

import json
import re

import dev
from tests.infra.tools import ROOT

VSCODE = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (ROOT / ".vscode").glob("*.json")}
CONTAINER = json.loads(
    re.sub(r"(?m)(^|\s)//.*$", "", (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
)


def test_the_tasks_are_commands_of_dev_py_and_run_is_the_first() -> None:
    tasks = {task["label"]: task["command"] for task in VSCODE["tasks"]["tasks"]}
    assert next(iter(tasks.items())) == ("Run", "python3 dev.py up")
    assert [task for task in tasks.values() if task.removeprefix("python3 dev.py ") not in dev.COMMANDS] == []


def test_the_debugger_starts_what_the_command_starts() -> None:
    modules = [configuration["module"] for configuration in VSCODE["launch"]["configurations"]]
    assert modules == [*dev.COMMANDS["up"], dev.COMMANDS["test"][0]]


def test_the_container_has_the_python_that_azure_runs_and_what_the_editor_recommends() -> None:
    assert CONTAINER["image"].endswith(f":{dev.VERSIONS[0]}-bookworm")
    assert CONTAINER["customizations"]["vscode"]["extensions"] == VSCODE["extensions"]["recommendations"]
    features = " ".join(CONTAINER["features"])
    assert "azure-cli" in features
    assert "azd" in features
    assert re.search(r"azure-functions-core-tools@[\d.]+ azurite@[\d.]+$", CONTAINER["onCreateCommand"])
