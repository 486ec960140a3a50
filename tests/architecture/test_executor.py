"""Nothing of the product runs on asyncio's own executor: libraries look up names of servers on it."""

import re
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
BORROWED = re.compile(r"\bto_thread\b|\bset_default_executor\b|\brun_in_executor\(\s*None\b")


@pytest.mark.parametrize(
    "planted",
    ["await asyncio.to_thread(f)", "from asyncio import to_thread", "loop.run_in_executor(\n    None, f)"],
)
def test_the_check_notices_what_it_forbids(planted: str) -> None:
    assert BORROWED.search(planted)


def test_nothing_of_the_product_runs_on_the_default_executor() -> None:
    found = [str(file) for file in SHARED.rglob("*.py") if BORROWED.search(file.read_text(encoding="utf-8"))]
    assert not found
