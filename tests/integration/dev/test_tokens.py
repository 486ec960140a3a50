"""`dev.py token`: for the stack that runs on a folder, with the roles that are asked for."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest

from infra.local import issuer
from infra.local.stack import Stack, lock
from shared.roles import CUSTOMER, Role
from tests.support.stack import ROOT


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """The folder of a stack, as far as a token needs one."""
    issuer.make_key(tmp_path)
    with lock(tmp_path):
        Stack("http://127.0.0.1:1", str(tmp_path), 1, {}).write(tmp_path)
        yield tmp_path


def token(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.local.tokens", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def claims(data: Path, *arguments: str) -> dict[str, Any]:
    """What a token that was printed says; that it is valid is seen beside it."""
    printed = token("--data", data, *arguments)
    assert printed.returncode == 0, printed.stderr
    found: dict[str, Any] = jwt.decode(printed.stdout.strip(), options={"verify_signature": False})
    issuer.principal(issuer.key_of(data), printed.stdout.strip())
    return found


def test_a_token_has_all_of_the_shops_roles_unless_some_are_asked_for(data: Path) -> None:
    assert set(claims(data)["roles"]) == set(Role)
    assert claims(data, "--roles", "Orders.Read,Ops")["roles"] == ["Ops", "Orders.Read"]
    assert claims(data)["oid"] == claims(data)["oid"], "a retry with a new token is still the same caller's"


def test_a_customers_token_is_theirs_alone(data: Path) -> None:
    customer_id = str(uuid4())
    found = claims(data, "--customer", customer_id)
    assert (found["oid"], found["roles"]) == (customer_id, [CUSTOMER])
    assert CUSTOMER in claims(data, "--customer", customer_id, "--roles", "Orders.Read")["roles"]


def test_the_principal_is_printed_for_core_tools(data: Path) -> None:
    printed = token("--data", data, "--principal", "--roles", "Ops").stdout
    assert {"typ": "roles", "val": "Ops"} in json.loads(base64.b64decode(printed))["claims"]


def test_the_key_is_its_owners_alone_and_outlives_a_restart(tmp_path: Path) -> None:
    file = issuer.make_key(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    key = file.read_text()
    assert len(key) >= 64
    assert issuer.make_key(tmp_path).read_text() == key
    (tmp_path / "other").mkdir()
    assert issuer.make_key(tmp_path / "other").read_text() != key


def test_where_no_stack_runs_there_is_no_token(tmp_path: Path) -> None:
    printed = token("--data", tmp_path)
    assert (printed.returncode, printed.stdout) == (1, "")
    assert printed.stderr == f"No stack runs on {tmp_path}: start one with `python3 dev.py up`.\n"


@pytest.mark.parametrize("wrong", [["--roles", "Owner"], ["--roles", "orders.read"], ["--customer", "Ada"]])
def test_what_is_no_role_or_id_is_answered_with_the_usage(data: Path, wrong: list[str]) -> None:
    printed = token("--data", data, *wrong)
    assert (printed.returncode, printed.stdout) == (2, "")
    assert printed.stderr.startswith("usage: dev.py token")
    if wrong[0] == "--roles":
        assert "there are Orders.Write, Orders.Read" in printed.stderr


def test_a_key_of_before_files_told_their_shape_is_read(data: Path) -> None:
    (data / issuer.KEY_FILE).write_text("ab" * 32)
    assert issuer.key_of(data) == "ab" * 32
    assert issuer.make_key(data).read_text() == "ab" * 32
    assert claims(data)["roles"]


@pytest.mark.parametrize("text", ["half", "tandem-token-key/3 " + "ab" * 32, "é" * 64])
def test_a_key_that_cannot_be_read_is_one_line_that_says_what_to_do(data: Path, text: str) -> None:
    (data / issuer.KEY_FILE).write_text(text)
    with pytest.raises(issuer.KeyFileError):
        issuer.make_key(data)
    printed = token("--data", data)
    assert (printed.returncode, printed.stdout) == (1, "")
    assert "Delete it and start again" in printed.stderr
    assert printed.stderr.count("\n") == 1
