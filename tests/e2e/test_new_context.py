"""`dev.py new context` makes a context that runs and passes its tests at once, in a repository of its own here."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.new_context import Named, NotPossible, new_context
from infra.sql import collected
from tests.support.scratch import checked, copied, described, passed, ran, snapshotted
from tests.support.stack import running_stack

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of this repository, with a new context in it."""
    root = copied(tmp_path_factory.mktemp("scratch") / "repository")
    new_context(root, Named("suppliers", "supplier"))
    snapshotted(root)
    ran(root, "-m", "infra.cost", "--write")
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    subprocess.run(["git", *IDENTITY, "commit", "--quiet", "--message", "all"], cwd=root, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(collected.SETTING, raising=False)  # its statements are of tables that this repository has not
        yield root
    shutil.rmtree(root)


def test_lint_types_and_import_rules_hold_for_it(repository: Path) -> None:
    checked(repository, "suppliers")


def test_its_own_tests_pass_and_those_that_list_what_there_is(repository: Path) -> None:
    passed(
        repository,
        *("tests/unit/suppliers", "tests/integration/suppliers"),
        "tests/unit/platform/test_rights.py",
        "tests/unit/platform/test_api_page.py",
        "tests/unit/platform/test_personal_fields.py",
        "tests/integration/platform/test_sides.py",
        "tests/integration/platform/test_rules.py",
        "tests/infra/test_pipelines.py::test_every_area_is_mutated_at_night",
        "tests/mutation/test_mutate.py::test_the_rules_of_every_context_are_in_an_area",
        "tests/infra/test_package.py::test_microsofts_worker_finds_every_function_in_it",
    )


def test_the_deployment_and_its_estimate_have_what_it_declares(repository: Path) -> None:
    described(repository)


def test_the_simulation_runs_it_and_keeps_every_promise(repository: Path) -> None:
    ran(repository, "-m", "tests.simulation", "--seeds", "30")


@pytest.mark.parametrize(
    ("file", "right", "wrong", "found"),
    [
        ("repository.py", '{"name": supplier.name}', '{"name": supplier.name[1:]}', "in the tables"),
        ("views/supplier_details.py", '"value": event.name', '"value": str(id(recorded))', "suppliers shows"),
    ],
)
def test_the_simulation_finds_a_fault_that_is_put_into_it(
    repository: Path, file: str, right: str, wrong: str, found: str
) -> None:
    path = repository / "shared" / "suppliers" / file
    before = path.read_text(encoding="utf-8")
    assert right in before
    path.write_text(before.replace(right, wrong), encoding="utf-8")
    try:
        with pytest.raises(AssertionError, match=found):
            ran(repository, "-m", "tests.simulation", "--seeds", "10")
    finally:
        path.write_text(before, encoding="utf-8")


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
        ("a" * 31, "supplier", "longer than 30"),
        ("suppliers", "class", "means something in Python"),
        ("match", "supplier", "means something in Python"),
        ("filters", "filter", "means something in Python"),
        ("user", "member", "means something in T-SQL"),
        ("guest", "member", "means something in T-SQL"),
        ("ordering", "parcel", "shared/ordering is there already"),
        ("contexts", "parcel", r"shared/contexts\.py is there already"),
        ("support", "parcel", "tests/unit/support is there already"),
        ("buyers", "customer", "the topic customer-events is there already"),
        ("buyers", "customer", "the function post_customer is there already"),
        ("orders", "purchase", "the container orders is there already"),
        ("orders", "purchase", r"the role Orders\.Write is there already"),
        ("products", "ware", "the path /products is there already"),
        ("docs", "doc", "the path /docs is there already"),
        ("ops", "op", "the path /ops is there already"),
        ("health", "illness", "the path /health is there already"),
        ("inventory", "shelf", "the path /inventory is there already"),
        ("lines", "item", "the class AddItem is there already"),
        ("columns", "row", "the templates use row in another sense"),
        ("parts", "context", "the templates use Context in another sense"),
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


def test_an_app_that_cannot_be_imported_has_names_that_nobody_knows(repository: Path) -> None:
    app = repository / "function_app.py"
    before = app.read_text(encoding="utf-8")
    app.write_text("import nothing_of_this_name", encoding="utf-8")
    try:
        with pytest.raises(NotPossible, match="the app cannot be imported"):
            new_context(repository, Named("carriers", "carrier"))
        assert not (repository / "shared" / "carriers").exists()
    finally:
        app.write_text(before, encoding="utf-8")
