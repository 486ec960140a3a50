"""Stored documents stay readable: today's code writes what the newest golden file holds, and reads the one before.

A golden file is never changed to make a test pass: a document that has to look different is in another shape, with the
next number, an upcast from the one before, and a golden file of its own (ADR 25). Those of shape 1 were left by commits
e399776 (documents) and 8d4fba0 (control documents).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.catalog.events import (
    BoughtTogetherV1,
    CatalogEvent,
    ProductAddedV1,
    ProductRatedV1,
    ProductRenamedV1,
    StockLevel,
    StockReceivedV1,
    StockRecountedV1,
)
from shared.catalog.views import (
    product_details,
    product_lists,
    product_projection,
    product_ratings,
    related_products,
    stock_level,
)
from shared.frame.messaging.envelope import Recorded
from shared.frame.operations import drift, lag, rebuilding
from shared.frame.operations.rebuilding import Rebuild, Step
from shared.frame.read_side import generations
from shared.frame.read_side.document_update import applied, folded
from shared.frame.read_side.generations import State
from shared.frame.read_side.shape import Shapes, UnreadableShape
from shared.ordering.events import (
    Address,
    OrderCancelledV1,
    OrderCreatedV1,
    OrderEvent,
    OrderLine,
    OrderPaymentChangedV1,
    OrderPaymentStatus,
    OrderStatus,
    OrderSubmittedV2,
)
from shared.ordering.views import customer_summary, order_details
from shared.ordering.views.order_documents import document_of
from tests.support.envelopes import an_envelope

GOLDEN = Path(__file__).parents[1]
ID = UUID(int=1)
AT = datetime(2026, 11, 28, 12, tzinfo=UTC)

KINDS: Mapping[str, tuple[Shapes, Callable[[Any], object]]] = {
    "ordering/order": (order_details.SHAPES, order_details.rendered),
    "ordering/summary": (customer_summary.SHAPES, customer_summary._rendered),
    "catalog/product": (product_details.SHAPES, product_details._rendered),
    "catalog/stock": (stock_level.SHAPES, stock_level.available),
    "catalog/rating": (product_ratings.SHAPES, lambda document: document["rating"]),
    "catalog/entry": (product_lists.SHAPES, product_lists.rendered),
    "catalog/purchase": (related_products.SHAPES, lambda document: document["others"]),
    "operations/generations": (generations.SHAPES, State.of),
    "operations/rebuild": (rebuilding.SHAPES, Rebuild.of),
    "operations/mark": (lag.SHAPES, lag.Mark.of),
    "operations/drift": (drift.SHAPES, drift.Report.of),
}
FORGOTTEN = {"operations/mark", "operations/drift"}
"""What is looked for again where it cannot be read has no upcast."""


def recorded[Event](events: list[Event]) -> list[Recorded[Event]]:
    return [
        Recorded(
            replace(
                an_envelope(type(event).__name__, ID, version), event_id=ID, occurred_at=AT + timedelta(hours=version)
            ),
            event,
        )
        for version, event in enumerate(events, 1)
    ]


ORDER: list[Recorded[OrderEvent]] = recorded(
    [
        OrderCreatedV1(
            order_id=ID,
            customer_id=ID,
            customer_name="Ada",
            customer_version=1,
            currency="EUR",
            total=Decimal("2.50"),
            lines=(OrderLine(1, ID, "Tea", 1, 1, Decimal("2.50")),),
            shipping_address=Address("Street 1", "City", "1", None, None),
        ),
        OrderSubmittedV2(ID, ID, "EUR", Decimal("2.50"), lines=None),
        OrderPaymentChangedV1(ID, ID, 0, OrderPaymentStatus.PENDING, 1, "EUR", Decimal("2.50"), Decimal(0)),
        OrderCancelledV1(ID, ID, "EUR", Decimal("2.50"), OrderStatus.SUBMITTED, "kept"),
    ]
)
PRODUCT: list[Recorded[CatalogEvent]] = recorded(
    [ProductAddedV1(ID, "Tea", "Green", Decimal("2.50"), "EUR", "kitchen"), ProductRenamedV1(ID, "Mate")]
)
RATING: list[Recorded[CatalogEvent]] = recorded([ProductRatedV1(ID, ID, 4, None), ProductRatedV1(ID, ID, 5, 4)])

STOCK: list[Recorded[CatalogEvent]] = recorded(
    [StockReceivedV1(ID, 3, None, StockLevel(3, 0, 0)), StockRecountedV1(ID, 2, "r", StockLevel(2, 0, 0))]
)
PURCHASE: list[Recorded[CatalogEvent]] = recorded([BoughtTogetherV1(ID, ID, (UUID(int=2),))])


def summary() -> dict[str, Any]:
    document = customer_summary.new_summary(ID, "Ada", 1)
    for event in ORDER[:2]:
        patch = customer_summary.project(event)
        assert patch is not None
        applied(document, patch)
    return document


def control(name: str, shapes: Shapes, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": name, "view": "orders", "shape": shapes.today, **content}


def rebuild() -> dict[str, Any]:
    content = asdict(Rebuild(Step.DONE, 2, 1.5, 2.5, "p", 1, 1, 1, 1, 0.5, "w", 1.5))
    del content["etag"]
    return control("rebuild", rebuilding.SHAPES, content)


WRITTEN: Mapping[str, Callable[[], dict[str, Any]]] = {
    "ordering/order": lambda: document_of(ORDER),
    "ordering/summary": summary,
    "catalog/stock": lambda: folded(product_projection.project(each).gate for each in STOCK),
    "catalog/product": lambda: folded(product_projection.project(each).gate for each in PRODUCT),
    "catalog/rating": lambda: folded(product_projection.project(each).gate for each in RATING),
    "catalog/entry": lambda: product_lists.entry_of(
        folded(product_projection.project(each).gate for each in PRODUCT) | {"ratingSum": 9, "ratingCount": 2},
        folded(product_projection.project(each).gate for each in STOCK),
    ),
    "catalog/purchase": lambda: folded(product_projection.project(each).gate for each in PURCHASE),
    "operations/rebuild": rebuild,
}


def golden(kind: str, shape: int) -> dict[str, Any]:
    context, name = kind.split("/")
    document: dict[str, Any] = json.loads((GOLDEN / context / "golden/documents" / f"{name}-{shape}.json").read_text())
    return document


def form(value: Any) -> Any:
    """Names and types; of what has ids for names, and of lists, those of what is there."""
    if isinstance(value, dict):
        known = {name: form(each) for name, each in value.items() if not _is_id(name)}
        others = sorted({json.dumps(form(each), sort_keys=True) for name, each in value.items() if _is_id(name)})
        return known | ({"*": others} if others else {})
    if isinstance(value, list):
        return sorted({json.dumps(form(each), sort_keys=True) for each in value if each is not None})
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_golden_file_of_today_and_of_the_shape_before(kind: str) -> None:
    shapes, _ = KINDS[kind]
    context, name = kind.split("/")
    files = {int(file.stem.rpartition("-")[2]) for file in (GOLDEN / context / "golden/documents").glob(f"{name}-*")}
    assert files == ({shapes.today} if kind in FORGOTTEN else {shapes.today, *shapes.upcasts})


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_is_written_looks_like_the_golden_file(kind: str) -> None:
    shapes, _ = KINDS[kind]
    written = json.loads(json.dumps(WRITTEN[kind]()))
    assert form(written) == form(golden(kind, shapes.today)), "a document that looks different is in another shape"


BEFORE = [(kind, shape) for kind, (shapes, _) in KINDS.items() for shape in shapes.upcasts]


@pytest.mark.parametrize(("kind", "shape"), BEFORE)
def test_the_shape_before_is_read_as_todays(kind: str, shape: int) -> None:
    shapes, shown = KINDS[kind]
    before = golden(kind, shape)
    document = shapes.read(before)
    assert document is not before
    assert document["shape"] == shapes.today
    assert document.keys() == golden(kind, shapes.today).keys()
    shown({**document, "_etag": "e"})


@pytest.mark.parametrize("kind", KINDS)
def test_todays_shape_is_read_as_it_is_and_any_other_refused_with_what_mends_it(kind: str) -> None:
    shapes, shown = KINDS[kind]
    document = golden(kind, shapes.today)
    assert shapes.read(document) is document
    shown({**document, "_etag": "e"})
    others: list[object] = [0, shapes.today + 1, "2", None, [], -1]
    for shape in others:
        with pytest.raises(UnreadableShape, match="and this release reads"):
            shapes.read({**document, "shape": shape})
