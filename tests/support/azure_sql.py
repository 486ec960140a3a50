"""What Azure SQL answers to the loads and batches of ordering, by the tests' TDS server (tests/support/tds)."""

from decimal import Decimal
from uuid import UUID, uuid4

from shared.ordering.commands.create_order import CreateOrder, Item
from shared.ordering.tables import LOG
from tests.support.shop import SHIPPING
from tests.support.tds import Answer, Answers, Done, Request, Rows

CUSTOMER, PRODUCT = uuid4(), uuid4()
OFFER = Rows(
    [
        ("name", "nvarchar(400)"),
        ("name_version", "bigint"),
        ("erasure", "int"),
        ("street", "nvarchar(400)"),
        ("city", "nvarchar(200)"),
        ("postal_code", "nvarchar(40)"),
        ("region", "nvarchar(200)"),
        ("country", "nvarchar(2)"),
        ("offer_id", "uniqueidentifier"),
        ("offer_name", "nvarchar(400)"),
        ("offer_version", "bigint"),
        ("offer_price", "decimal(19,4)"),
        ("offer_currency", "nvarchar(3)"),
        ("offer_price_version", "bigint"),
    ],
    [["Ada", 1, 0, None, None, None, None, None, PRODUCT, "Tea ☕", 1, Decimal("12.5000"), "EUR", 1]],
)
OUTCOME = [
    ("step", "int"),
    ("aggregate_id", "uniqueidentifier"),
    ("command_fingerprint", "binary(32)"),
    ("version", "bigint"),
]
WRITTEN = Done(None)
NOTHING = Rows([("nothing", "int")])
NO_EVENTS = Rows([(column.name, "int") for column in LOG.table.columns])


def conflict(step: int, first: tuple[UUID, bytes, int] | None = None) -> Answer:
    """What the batch answers that has met a conflict in this step."""
    return Rows(OUTCOME, [[step, *(first or (None, None, None))]])


class Azure:
    """Answers loads with one offer, and batches with what a test wants, one after the other; then they are written."""

    def __init__(self, *outcomes: Answers) -> None:
        self.outcomes = list(outcomes)

    def __call__(self, request: Request) -> Answers:
        """Answer a request."""
        if request.prepares:
            return None
        if "BEGIN TRANSACTION" in request.text:
            return self.outcomes.pop(0) if self.outcomes else WRITTEN
        if "offer_id" in request.text:
            return OFFER
        if "@claimed" in request.text:
            return NO_EVENTS
        return NOTHING if "FROM ordering." in request.text else None


def create(order_id: UUID | None = None) -> CreateOrder:
    """Order something from that offer."""
    items = [Item(product_id=PRODUCT, quantity=2)]
    return CreateOrder(order_id=order_id or uuid4(), customer_id=CUSTOMER, items=items, shipping_address=SHIPPING)
