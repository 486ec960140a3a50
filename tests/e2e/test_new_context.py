"""`dev.py new context` makes a context that runs and passes its tests at once, in a repository of its own here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from infra.local.new_context import Named, NotPossible, new_context
from infra.sql import collected
from tests.support.stack import ROOT, running_stack

LINT = "from importlinter.cli import lint_imports_command as lint; lint()"
MADE = ("shared/suppliers", "tests/unit/suppliers", "tests/integration/suppliers")
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of this repository, with a new context in it."""
    root = tmp_path_factory.mktemp("scratch") / "repository"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    new_context(root, Named("suppliers", "supplier"))
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    subprocess.run(["git", *IDENTITY, "commit", "--quiet", "--message", "all"], cwd=root, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(collected.SETTING, raising=False)  # its statements are of tables that this repository has not
        yield root
    shutil.rmtree(root)


def ran(root: Path, *command: str, environment: Mapping[str, str] = {}) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def test_lint_types_and_import_rules_hold_for_it(repository: Path) -> None:
    ran(repository, "-m", "ruff", "check", "--no-cache", ".")
    ran(repository, "-m", "ruff", "format", "--no-cache", "--check", ".")
    ran(repository, "-m", "mypy", "function_app.py", *MADE)
    engines = os.pathsep.join(str(folder) for folder in (repository / "engines").iterdir())
    ran(repository, "-c", LINT, "--no-cache", environment={"PYTHONPATH": engines})


def test_its_own_tests_pass_and_those_that_list_what_there_is(repository: Path) -> None:
    lists = [
        *MADE[1:],
        "tests/unit/platform/test_rights.py",
        "tests/unit/platform/test_api_page.py",
        "tests/infra/test_package.py::test_microsofts_worker_finds_every_function_in_it",
    ]
    ran(repository, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *lists)


def test_it_runs(repository: Path) -> None:
    with running_stack(code=repository) as stack:
        headers = {"Authorization": f"Bearer {stack.token('Suppliers.Write', 'Suppliers.Read')}"}
        with httpx.Client(base_url=f"{stack.base_url}/api", headers=headers, timeout=30) as client:
            added = client.post("/suppliers", json={"name": "The first"})
            assert (added.status_code, added.headers["ETag"]) == (201, '"1"')
            supplier = added.headers["Location"].removeprefix("/api")
            assert client.post(f"{supplier}/rename", json={"name": "The second"}).status_code == 204
            shown = client.get(supplier, params={"minVersion": 2}).json()
            assert shown == added.json() | {"name": "The second", "version": 2}
            refused = client.post(f"{supplier}/rename", json={"name": "The second"})
            assert (refused.status_code, refused.json()["type"]) == (
                409,
                "urn:tandem:problem:supplier-name-unchanged",
            )


@pytest.mark.parametrize(
    ("name", "one", "why"),
    [
        ("Suppliers", "supplier", "no name"),
        ("suppliers/x", "supplier", "no name"),
        ("news", "news", "another name"),
        ("ordering", "order", "there already"),
    ],
)
def test_what_cannot_be_made_is_told_and_nothing_is_written(repository: Path, name: str, one: str, why: str) -> None:
    with pytest.raises(NotPossible, match=why):
        new_context(repository, Named(name, one))
    status = ["git", "status", "--porcelain"]
    assert subprocess.run(status, cwd=repository, capture_output=True, text=True, check=True).stdout == ""


def test_a_file_without_a_place_for_its_entry_is_named_and_nothing_is_written(repository: Path) -> None:
    roles = repository / "infra" / "app-roles.json"
    before = roles.read_text(encoding="utf-8")
    roles.write_text(json.dumps([]), encoding="utf-8")
    try:
        with pytest.raises(NotPossible, match=r"infra/app-roles\.json has 0 places"):
            new_context(repository, Named("carriers", "carrier"))
        assert not (repository / "shared" / "carriers").exists()
    finally:
        roles.write_text(before, encoding="utf-8")
