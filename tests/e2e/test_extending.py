"""docs/extending.md is true: its code blocks, applied in their order, make what it says, and its commands pass."""

import json
import re
import shlex
import shutil
import subprocess
import time
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

SHOP = ("ordering", "catalog", "customers", "payments")
OWN_CONTEXTS = '''"""The contexts of this app."""

from shared.frame.http.openapi_parts import About
from shared.suppliers.functions import suppliers

CONTEXTS = (suppliers,)

ABOUT = About("Suppliers", "From whom we buy.", None)
'''

ADDED = (
    "Add a command",
    "Add a view",
    "Add a version of an event",
    "Follow another context",
    "Do something from time to time",
)
"""The sections that add something to the context, in the page's order."""

OF_KITCHEN = "b4726bcb-1348-5968-af63-6ff17f722031"
"""The supplier with which the category `kitchen` begins."""


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


def test_what_the_page_adds_to_a_context_is_added_as_it_says(repository: Path) -> None:
    for title in ADDED:
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
        seller = {"Authorization": f"Bearer {stack.token('Catalog.Write', 'Suppliers.Read')}"}
        with httpx.Client(base_url=f"{stack.base_url}/api", headers=seller, timeout=30) as client:
            teapot = {"name": "Teapot", "unitPrice": "24.90", "currency": "EUR", "category": "kitchen"}
            assert client.post("/products", json=teapot).status_code == 201
            deadline = time.monotonic() + 30
            while (shown := client.get(f"/suppliers/{OF_KITCHEN}", params={"minVersion": 1})).status_code != 200:
                assert time.monotonic() < deadline, shown.text
            assert shown.json()["name"] == "kitchen"


def test_modules_are_run_by_the_repository_s_own_python() -> None:
    page = "".join(SECTIONS)
    assert ".venv/bin/python -m " in page
    assert not re.findall(r".*(?<!\.venv/bin/)\bpython3? -m .*", page)


def without_the_shop(root: Path) -> None:
    """Do what the first table of `Start without the shop` says."""
    for name in SHOP:
        shutil.rmtree(root / "shared" / name)
    (root / "shared" / "story.py").unlink()
    (root / "shared" / "contexts.py").write_text(OWN_CONTEXTS, encoding="utf-8")
    shops = "|".join(SHOP)
    become(root / "infra/sql/migrate.py", rf"from shared\.({shops}) import .*\n", "")
    become(root / "infra/sql/migrate.py", r"^CONTEXTS = .*", "CONTEXTS = (suppliers,)")
    become(root / "infra/sql/access.py", rf'    "({shops})\.\w+": .*\n', "")
    before = "None"
    for migration in sorted((root / MIGRATIONS).glob("[0-9]*.py")):
        text = migration.read_text(encoding="utf-8")
        if "suppliers" not in text and migration.name != "0002_operations.py":
            migration.unlink()
            continue
        migration.write_text(re.sub("(?m)^down_revision = .*", f"down_revision = {before}", text), encoding="utf-8")
        [before] = re.findall("(?m)^revision = (.*)", text)
    topics, containers = root / "infra/local/servicebus.json", root / "infra/local/cosmos.json"
    bus, store = (json.loads(path.read_text(encoding="utf-8")) for path in (topics, containers))
    [namespace] = bus["UserConfig"]["Namespaces"]
    namespace["Topics"] = [topic for topic in namespace["Topics"] if topic["Name"] == "supplier-events"]
    store["containers"] = [
        each for each in store["containers"] if each["id"] in {"suppliers", "suppliers-2", "operations"}
    ]
    topics.write_text(json.dumps(bus), encoding="utf-8")
    containers.write_text(json.dumps(store), encoding="utf-8")


def become(path: Path, pattern: str, text: str) -> None:
    """Replace all places of a file that have this pattern."""
    before = path.read_text(encoding="utf-8")
    after = re.sub(pattern, text, before, flags=re.MULTILINE)
    assert after != before
    path.write_text(after, encoding="utf-8")


def test_a_context_runs_without_the_shop(tmp_path: Path) -> None:
    root = copied(tmp_path / "repository")
    new_context(root, Named("suppliers", "supplier"))
    without_the_shop(root)
    with running_stack(code=root) as stack:
        headers = {"Authorization": f"Bearer {stack.token('Suppliers.Write', 'Suppliers.Read')}"}
        with httpx.Client(base_url=f"{stack.base_url}/api", headers=headers, timeout=30) as client:
            supplier = client.post("/suppliers", json={"name": "The first"}).headers["Location"].removeprefix("/api")
            assert client.get(supplier, params={"minVersion": 1}).json()["name"] == "The first"
            assert client.get("/products").status_code == 404


def test_what_is_of_the_shop_is_listed() -> None:
    [section] = [each for each in SECTIONS if each.startswith("Start without the shop\n")]
    listed = set(re.findall(r"`([\w./-]+)`", section))
    paths = {str(Path(each)) for each in listed if "/" in each or "." in each} - {"dev.py"}
    assert not {each for each in paths if not (ROOT / each).exists()}
    names = rf"shared[./]({'|'.join(SHOP)}|story)\b|\b(order|product|customer|payment)-events\b|\b(STRIPE|stripe)\b"
    found = subprocess.run(
        ["git", "grep", "-lE", names, "--", ":!docs", ":!tests", ":!*.md", ":!*.txt", ":!*.snapshot.json", ":!*.css"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert "shared/contexts.py" in found
    of_the_frame = {"shared/frame/operations/dead_letter_replay.py"}  # an example of its API names a subscription
    assert not {each for each in found if not paths & {each, *map(str, Path(each).parents)}} - of_the_frame
