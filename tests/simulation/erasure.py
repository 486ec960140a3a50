"""Nothing of a customer who was erased is left anywhere, whatever went wrong meanwhile."""

from collections.abc import Iterator

from infra.sql.migrate import CONTEXTS
from shared.frame.write_side.commands import KeyReused
from shared.kernel.refusals import Refusal
from shared.ordering import tables as ordering
from tests.simulation.leaver import OWN
from tests.simulation.shop import Shop
from tests.support.shop import rows

DONE = 2
"""What ordering notes of a customer whose erasure has ended."""


def broken_erasure(shop: Shop) -> Iterator[str]:
    """Find what is left of the customer, and what of the erasure has not ended."""
    leaver = shop.leaver
    [erasure] = [
        row["erasure"]
        for row in rows(shop.engines["ordering"], ordering.CUSTOMERS)
        if row["customer_id"] == leaver.customer
    ]
    if erasure != DONE:
        yield f"the erasure of {leaver.customer} is at {erasure}"
    places = {
        str(table): repr(rows(shop.engines[each.SCHEMA], table))
        for each in CONTEXTS
        for table in each.METADATA.sorted_tables
    }
    places |= {name: repr(documents) for name, documents in shop.read_models.documents().items()}
    for place, content in places.items():
        if words := [word for word in OWN if word in content]:
            yield f"{place} still says {words}"
    for sent in [sent for sent in leaver.sent if sent.accepted]:
        try:
            again: object = shop.writes[sent.context].run(sent.handler, sent.command, sent.metadata)
        except KeyReused:
            continue  # what it said is not known any more
        except Refusal as refusal:
            again = refusal
        yield f"{sent.key} was answered {sent.accepted}, and {again} after the erasure"
