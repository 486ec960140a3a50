"""Stands in for `az` where there is no Azure: takes down what it is asked, and keeps a package and a last good one.

Its state is the folder AZ_STAND_IN: calls.jsonl (one list of arguments a line), outputs.json (what the deployment put
out), refused.json (the command that fails, as its first words), group (exists if the resource group does),
deployed.zip and last-good.zip.
"""

import json
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

COMMANDS = (
    "group exists",
    "group create",
    "deployment group what-if",
    "deployment group create",
    "deployment group show",
    "functionapp deployment source config-zip",
    "storage blob upload",
    "storage blob download",
)


def main(arguments: list[str]) -> str:
    """Do as az would; gives what it prints."""
    state = Path(os.environ["AZ_STAND_IN"])
    with (state / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    command = next((known for known in COMMANDS if arguments[: len(known.split())] == known.split()), None)
    if command is None:
        sys.exit(f"no such command: {arguments}")
    if command == json.loads((state / "refused.json").read_text()):
        sys.exit(f"refused: {command}")
    options = dict(pairwise(arguments))
    match command:
        case "group exists":
            return str((state / "group").exists()).lower()
        case "group create":
            (state / "group").touch()
        case "deployment group show":
            return str(json.loads((state / "outputs.json").read_text())[options["--query"].split(".")[2]])
        case "deployment group create":
            outputs = json.loads((state / "outputs.json").read_text())
            (state / "outputs.json").write_text(json.dumps({**outputs, "budgetStart": os.environ["BUDGET_START"]}))
        case "functionapp deployment source config-zip":
            shutil.copy(options["--src"], state / "deployed.zip")
        case "storage blob upload":
            shutil.copy(options["--file"], state / "last-good.zip")
        case "storage blob download":
            shutil.copy(state / "last-good.zip", options["--file"])
        case _:
            pass
    return ""


if __name__ == "__main__":
    print(main(sys.argv[1:]))  # noqa: T201  # it is a command
