"""The frame knows no word of the shop: its names are those of any system, and it imports nothing that is the shop's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    """All that a module gives a name, or calls by one: whatever text is in its syntax, but for literals."""
    for node in ast.walk(ast.parse(source)):
        for field, value in ast.iter_fields(node):
            texts = value if isinstance(value, list) else [value]
            if field in {"annotation", "returns"} or (field == "args" and _is_cast(node)):
                yield from _quoted(texts)
            if not isinstance(node, ast.Constant):
                yield from (name for text in texts if isinstance(text, str) for name in text.split("."))


def _quoted(types: list[Any]) -> Iterator[str]:
    """The names in types that stand in quotes."""
    for type_ in types:
        for node in ast.walk(type_) if isinstance(type_, ast.AST) else ():
            match node:
                case ast.Constant(value=str(text)) if re.fullmatch(r"[\w.\[\], |]+", text):
                    yield from names(text)
                case _:
                    pass


def _is_cast(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast"


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
        "import shared.catalog",
        "from shared.roles import customer",
        "try: ...\nexcept KeyError as product: ...",
        "match it:\n    case {'a': order}: ...",
        "match it:\n    case [*orders]: ...",
        "match it:\n    case {**prices}: ...",
        "match it:\n    case Thing(customer_id=1): ...",
        "match it:\n    case Thing() as stock: ...",
        "def f[Order](a): ...",
        "class Box[**Product]: ...",
        "type Price = int",
        "global orders",
        "def f(a: 'list[Order]') -> None: ...",
        "def f() -> 'Order | None': ...",
        "a: 'Order' = b",
        "a = cast('Order', b)",
    ],
)
def test_a_word_of_the_shop_is_seen(line: str) -> None:
    assert any(map(shops_words, names(line)))


def statuses_of_ours(source: str) -> bool:
    """Whether a module speaks of 503, in whatever way Python can write it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr="SERVICE_UNAVAILABLE") | ast.Constant(value=503 | "503" | "SERVICE_UNAVAILABLE"):
                return True
            case ast.alias(name="SERVICE_UNAVAILABLE"):
                return True
            case _:
                pass
    return False


def test_a_503_is_made_in_one_place_and_described_beside_it() -> None:
    making = {
        str(path.relative_to(SHARED)) for path in SHARED.rglob("*.py") if statuses_of_ours(path.read_text("utf-8"))
    }
    assert making - {STATUSES_OF_STORES} == {
        "frame/http/problems.py",
        "frame/http/openapi.py",
        "frame/http/openapi_parts.py",
    }


STATUSES_OF_STORES = "frame/messaging/retries.py"
"""Reads what Cosmos DB answers, and answers nothing."""


@pytest.mark.parametrize(
    "line",
    [
        "Problem(HTTPStatus.SERVICE_UNAVAILABLE, 'x')",
        "func.HttpResponse(status_code=503)",
        "HTTPStatus['SERVICE_UNAVAILABLE']",
        "HTTPStatus(503)",
        "{'503': None}",
        "from http.HTTPStatus import SERVICE_UNAVAILABLE as LATER",
    ],
)
def test_a_503_is_seen(line: str) -> None:
    assert statuses_of_ours(line)


def test_text_about_a_503_makes_none() -> None:
    assert not statuses_of_ours('"""Raises SERVICE_UNAVAILABLE, a 503."""\n# 503\nn = 5030')
