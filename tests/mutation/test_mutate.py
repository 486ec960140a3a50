"""`dev.py mutate` finds what no test notices, and takes the page's word for what may stay so."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.areas import AREAS
from tests.mutation.survivors import PAGE, explained
from tests.support.stack import ROOT

SOURCE = '''\
def charged(quantity: int) -> int:
    """What so many cost: ten each, and a hundred for the way of fewer than three."""
    return quantity * 10 + (100 if quantity < 3 else 0)
'''
TESTS = """\
from shared.tiny import charged

def test_a_few_cost_the_way():
    assert charged(1) == 110

def test_many_do_not():
    assert charged(9) == 90
"""
MISSING = """
def test_three_are_many():
    assert charged(3) == 30
    assert charged(2) == 120
"""
EXPLANATION = """\
# Mutation

### `shared/tiny.py`

Nobody has said what three are.

```diff
-    return quantity * 10 + (100 if quantity < 3 else 0)
+    return quantity * 10 + (100 if quantity <= 3 else 0)
+    return quantity * 10 + (100 if quantity < 4 else 0)
```
"""
BOUNDARY = ("<= 3", "< 4")
"""What stands in the place of `< 3` when nobody has said what three are."""


def test_the_rules_of_every_context_are_in_an_area() -> None:
    rules = {f"{path.relative_to(ROOT).as_posix()}/*" for path in (ROOT / "shared").glob("*/domain")}
    assert "shared/payments/domain/*" in rules
    assert rules <= {source for area in AREAS.values() for source in area.sources}


def mutate(folder: Path, tests: str, page: str = "") -> subprocess.CompletedProcess[str]:
    """`dev.py mutate` in a folder that has one small module, its tests and a page of explanations."""
    for name, text in (("shared/tiny.py", SOURCE), ("tests/test_tiny.py", tests), (PAGE, page)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "shared" / "__init__.py").touch()
    command = [sys.executable, "-m", "tests.mutation", "shared/tiny.py", "--tests", "tests/test_tiny.py"]
    return subprocess.run(
        [*command, "--root", folder, "--jobs", "2"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def test_a_missing_assertion_lets_a_change_survive_and_it_is_shown(tmp_path: Path) -> None:
    ended = mutate(tmp_path, TESTS)
    assert ended.returncode == 1, ended.stderr
    for change in BOUNDARY:
        was, now = (f"return quantity * 10 + (100 if quantity {each} else 0)" for each in ("< 3", change))
        assert f"\nshared/tiny.py (survived)\n-    {was}\n+    {now}\n" in ended.stdout
    assert "shared/tiny.py: 2 changes are not noticed, 0 of them explained" in ended.stdout


def test_with_the_assertion_nothing_survives(tmp_path: Path) -> None:
    ended = mutate(tmp_path, TESTS + MISSING)
    assert (ended.returncode, ended.stdout) == (0, "shared/tiny.py: 0 changes are not noticed, 0 of them explained\n")
    assert "of " in ended.stderr, "it tells how far it is"


def test_what_the_page_explains_may_survive(tmp_path: Path) -> None:
    ended = mutate(tmp_path, TESTS, EXPLANATION)
    assert (ended.returncode, ended.stdout) == (0, "shared/tiny.py: 2 changes are not noticed, 2 of them explained\n")


def test_tests_that_fail_anyway_are_no_result(tmp_path: Path) -> None:
    ended = mutate(tmp_path, "def test_wrong():\n    assert False\n")
    assert ended.returncode == 2
    assert "mutmut ended without a result" in ended.stderr


@pytest.mark.parametrize("name", AREAS)
def test_every_area_names_files_and_tests_that_are_there(name: str) -> None:
    for source in AREAS[name].sources:
        assert list(ROOT.glob(source)), source
    for test in AREAS[name].tests:
        assert (ROOT / test.partition("::")[0]).exists(), test


def test_the_page_explains_only_changes_of_files_that_are_there() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert all((ROOT / source).is_file() for source in explained(page))
    for source, changes in explained(page).items():
        text = " ".join((ROOT / source).read_text(encoding="utf-8").split())
        for was, _ in changes:
            assert " ".join(was.split()) in text, f"{source} has no such line any more: {was}"
