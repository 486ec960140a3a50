"""Stands in for the `az` that infra/bootstrap.sh calls, and refuses to make twice what Azure and Entra refuse to.

Its state is the folder AZ_STAND_IN: calls.jsonl (one list of arguments a line) and entra.json. `refused` there has how
often a command is to be refused yet, and with what.
"""

import json
import os
import sys
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

IDENTITY = {"principalId": "principal-of-{}", "clientId": "client-of-{}"}
ANSWERS = {
    "ad signed-in-user show": "me",
    "ad group create": "group-id",
    "ad app create": "api-id",
    "ad sp show": "sp-id",
    "account show": "account-id",
}


def main(arguments: list[str]) -> str:
    """Do as az would; gives what it prints."""
    folder = Path(os.environ["AZ_STAND_IN"])
    with (folder / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    file = folder / "entra.json"
    state: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    command = " ".join(takewhile(lambda word: not word.startswith("-"), arguments))
    left, refusal = state.get("refused", {}).get(command, [0, ""])
    if left:
        state["refused"][command] = [left - 1, refusal]
        file.write_text(json.dumps(state))
        sys.exit(f"ERROR: {refusal}")
    said = answer(command, dict(pairwise(arguments)), state)
    file.write_text(json.dumps(state))
    return said


def add(state: dict[str, Any], kind: str, name: str) -> None:
    """Make something that cannot be made twice."""
    if name in state.setdefault(kind, []):
        sys.exit(f"ERROR: {kind} {name} already exists")
    state[kind].append(name)


def answer(command: str, options: dict[str, str], state: dict[str, Any]) -> str:  # noqa: C901  # a case for each command
    """Do one command."""
    match command:
        case "group exists":
            return str(options["--name"] in state.get("group", [])).lower()
        case "group create":
            add(state, "group", options["--name"])
        case "group show":
            return f"/subscriptions/s/resourceGroups/{options['--name']}"
        case "identity federated-credential create":
            state.setdefault("trusted", {})[options["--identity-name"]] = options["--subject"]
        case "ad group member check":
            return str(options["--member-id"] in state.get("members", [])).lower()
        case "ad group member add":
            add(state, "members", options["--member-id"])
        case "ad app show":
            return str(state.get("scope", ""))
        case "rest" if options["--method"] == "patch" and "oauth2PermissionScopes" in options["--body"]:
            scope = json.loads(options["--body"])["api"]["oauth2PermissionScopes"][0]
            state["consented by"] = scope["type"]
            if state.setdefault("scope", scope["id"]) != scope["id"]:
                sys.exit("ERROR: CannotDeleteOrUpdateEnabledEntitlement")
        case "rest" if options["--method"] == "patch":
            state["without consent"] = [
                each["appId"] for each in json.loads(options["--body"])["api"]["preAuthorizedApplications"]
            ]
        case "rest" if options["--method"] == "post":
            given = json.loads(options["--body"])
            add(state, "roles", f"{given['principalId']} {given['appRoleId']}")
        case "rest" if options["--method"] == "get":
            given = [role.split() for role in state.get("roles", [])]
            return "\n".join(role for who, role in given if f"principalId=='{who}'" in options["--query"])
        case "sql server list":
            return str(state.get("server", ""))
        case "lock create":
            state.setdefault("locks", {})[f"{options['--resource-type']}/{options['--resource']}"] = options[
                "--lock-type"
            ]
        case "ad sp create":
            add(state, "principals", options["--id"])
        case "ad sp list":
            return "\n".join(state.get("principals", []))
        case "identity show":
            return IDENTITY[options["--query"]].format(options["--name"].rpartition("-")[2])
        case "role definition create":
            made = json.loads(options["--role-definition"])
            if made["Name"] in state.setdefault("definitions", {}):  # a tenant has one role of a name
                sys.exit(
                    "ERROR: (RoleDefinitionWithSameNameExists) A custom role with the same name already exists in ..."
                )
            state["definitions"][made["Name"]] = made["AssignableScopes"]
        case "role definition list":
            asked, scope = options["--name"], options["--scope"]
            return asked if scope in state.get("definitions", {}).get(asked, []) else ""
        case "role assignment create":  # one that is there stays as it is, and is told
            key = f"{options['--assignee-object-id']} {options['--role']}"
            made = {"id": key, "condition": options.get("--condition")}
            return json.dumps(state.setdefault("assignments", {}).setdefault(key, made))
        case "role assignment update":
            assignment = json.loads(options["--role-assignment"])
            state["assignments"][assignment["id"]] = assignment
        case _:
            return ANSWERS.get(command, "")
    return ""


if __name__ == "__main__":
    print(main(sys.argv[1:]))  # noqa: T201  # it is a command
