"""docs/extending.md is true: its code blocks, applied in their order, make what it says, and its commands pass."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.new_context import MIGRATIONS, Named, new_context
from infra.sql import collected
from tests.support.scratch import checked, copied, described, passed, ran, snapshotted
from tests.support.stack import running_stack
from tests.support.tools import ROOT

SECTIONS = re.split(r"(?m)^## ", (ROOT / "docs" / "extending.md").read_text(encoding="utf-8"))
BLOCK = re.compile(
    r"^(?:`(?P<path>[\w./]+)`: [^\n]*\n(?:[^\n]+\n)?\n|)```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
"""A block, and the file that the sentence above it begins with; that sentence has two lines at most."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of this repository, with the context that the page begins with."""
    root = copied(tmp_path_factory.mktemp("extending") / "repository")
    new_context(root, Named("suppliers", "supplier"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(collected.SETTING, raising=False)  # its statements are of tables that this repository has not
        yield root


def followed(root: Path, title: str) -> None:
    """Do what a section says."""
    [section] = [each for each in SECTIONS if each.startswith(f"{title}\n")]
    last = max(path.name[:4] for path in (root / MIGRATIONS).glob("[0-9]*.py"))
    numbers = {"NEXT": f"{int(last) + 1:04}", "LAST": last}
    blocks = list(BLOCK.finditer(section))
    assert len(blocks) == section.count("\n```") / 2, "a block has no file that it is for"
    for block in blocks:
        path, text = block["path"], block["text"]
        for name, number in numbers.items():
            path, text = path and path.replace(name, number), text.replace(name, number)
        match block["kind"]:
            case "sh":
                for line in text.splitlines():
                    run(root, line)
            case "diff":
                change(root / path, text)
            case _:
                assert not (root / path).exists()
                (root / path).write_text(text, encoding="utf-8")


def change(path: Path, diff: str) -> None:
    """Apply the hunks of a diff; what each leaves and takes away stands in the file exactly once."""
    text = path.read_text(encoding="utf-8")
    for hunk in diff.split("@@\n"):
        lines = [line or " " for line in hunk.splitlines()]
        before, after = ("".join(f"{line[1:]}\n" for line in lines if line[0] in kinds) for kinds in (" -", " +"))
        assert text.count(before) == 1, f"{path.name} has {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


def run(root: Path, line: str) -> None:
    """Run a command of dev.py, with this repository's packages."""
    match shlex.split(line):
        case ["python3", "dev.py", "snapshot"]:
            snapshotted(root)
        case [".venv/bin/python", "-m", *module]:
            ran(root, "-m", *module)
        case ["python3", "dev.py", "check"]:
            checked(root, "suppliers")
        case ["python3", "dev.py", "test", *arguments]:
            passed(root, *arguments)
        case ["python3", "dev.py", "simulate", *arguments]:
            ran(root, "-m", "tests.simulation", *arguments)
        case _:
            pytest.fail(f"no test runs {line}")


def test_a_command_a_view_and_a_version_of_an_event_are_added_as_the_page_says(repository: Path) -> None:
    for title in ("Add a command", "Add a view", "Add a version of an event"):
        followed(repository, title)
    passed(repository, "tests/infra/test_package.py::test_microsofts_worker_finds_every_function_in_it")
    described(repository)
    with running_stack(code=repository) as stack:
        headers = {"Authorization": f"Bearer {stack.token('Suppliers.Write', 'Suppliers.Read')}"}
        with httpx.Client(base_url=f"{stack.base_url}/api", headers=headers, timeout=30) as client:
            supplier = client.post("/suppliers", json={"name": "The first"}).headers["Location"].removeprefix("/api")
            assert client.post(f"{supplier}/rename", json={"name": "The second"}).status_code == 204
            assert client.post(f"{supplier}/close", json={"reason": "bankrupt"}).status_code == 204
            shown = client.get(supplier, params={"minVersion": 3}).json()
            assert (shown["name"], shown["isClosed"]) == ("The second", True)
            renames = client.get(f"{supplier}/renames", params={"minVersion": 3}).json()
            assert (renames["firstName"], renames["renamed"]) == ("The first", 1)
            refused = client.post(f"{supplier}/close", json={"reason": "again"})
            assert (refused.status_code, refused.json()["type"]) == (409, "urn:tandem:problem:supplier-already-closed")
            assert "SupplierRenamedV2" in client.get("/asyncapi.json").text


def test_modules_are_run_by_the_repository_s_own_python() -> None:
    page = "".join(SECTIONS)
    assert ".venv/bin/python -m " in page
    assert not re.findall(r".*(?<!\.venv/bin/)\bpython3? -m .*", page)
