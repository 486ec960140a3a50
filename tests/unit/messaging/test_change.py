"""Changes done in memory are what Cosmos DB would have done."""

from typing import Any

import pytest

from shared.frame.read_side.document_update import Create, Patch, applied
from shared.frame.read_side.shape import Shapes

SHAPES = Shapes(what="A document", today=1, mend="Nothing.")


def patched(document: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    return applied(document, Patch("id", operations, SHAPES))


def test_a_document_is_created_and_changed() -> None:
    document = applied(None, Create({"id": "id", "items": {"a": 1}, "list": ["x", None]}))
    patched(
        document,
        {"op": "set", "path": "/items/b", "value": 2},
        {"op": "remove", "path": "/items/a"},
        {"op": "incr", "path": "/spent", "value": 5},
        {"op": "incr", "path": "/spent", "value": -2},
        {"op": "add", "path": "/list/0", "value": "w"},
        {"op": "remove", "path": "/list/2"},
        {"op": "add", "path": "/list/-", "value": "z"},
    )
    assert document == {"id": "id", "items": {"b": 2}, "list": ["w", "x", "z"], "spent": 3}


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="before it is created"):
        applied(None, Patch("id", [], SHAPES))
    with pytest.raises(ValueError, match="no operation of a projection"):
        patched({"a": 1}, {"op": "move", "path": "/a", "value": 2})
