"""The frame knows no word of the shop: its names are those of any system, and it imports nothing that is the shop's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
FRAME = ("kernel", "frame")
WORDS = frozenset(
    "basket billing buyer cart catalog catalogue customer customers discount inventory invoice order ordering orders "
    "payment payments price prices product products purchase rating ratings refund reservation seller shipment "
    "shipping shop sku stock supplier voucher warehouse".split()
)
OTHERWISE = frozenset({"order_by"})
"""What SQLAlchemy calls something."""


def names(source: str) -> Iterator[str]:
    """All that a module gives a name, or calls by one."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name) | ast.alias(asname=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case ast.ImportFrom(module=str(name)):
                yield from name.split(".")
            case _:
                pass


def shops_words(name: str) -> frozenset[str]:
    """The words of the shop in a name, as PEP 8 joins words."""
    if name in OTHERWISE:
        return frozenset()
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return WORDS & {word.lower() for word in words}


@pytest.mark.parametrize("room", FRAME)
def test_no_name_of_the_frame_is_a_word_of_the_shop(room: str) -> None:
    found = {
        f"{path.relative_to(SHARED)}: {name}"
        for path in SHARED.joinpath(room).rglob("*.py")
        for name in (*names(path.read_text(encoding="utf-8")), path.stem)
        if shops_words(name)
    }
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        "def wait_for_order(container): ...",
        "class AfterOrder: ...",
        "metadata.customer_id",
        "ORDERS_WRITE = 1",
        "admit(customers=True)",
        "from shared.catalog.events import Added",
        "import stuff as product",
        "def f(*, unit_price): ...",
    ],
)
def test_a_word_of_the_shop_is_seen(line: str) -> None:
    assert any(map(shops_words, names(line)))


def test_a_503_is_made_in_one_place_and_described_beside_it() -> None:
    making = {
        str(path.relative_to(SHARED))
        for path in SHARED.rglob("*.py")
        if "SERVICE_UNAVAILABLE" in path.read_text(encoding="utf-8")
    }
    assert making == {"frame/http/problems.py", "frame/http/openapi.py", "frame/http/openapi_parts.py"}
