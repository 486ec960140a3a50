"""Projects an order's events into the customer's partition: order and summary change together or not at all."""

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.frame.messaging.envelope import Recorded
from shared.frame.read_side.container import Container
from shared.frame.read_side.document_update import DocumentUpdate
from shared.ordering.events import OrderCreatedV1, OrderEvent
from shared.ordering.views import customer_summary, order_details
from shared.ordering.views.customer_summary import SUMMARY, new_summary


def project(recorded: Recorded[OrderEvent]) -> DocumentUpdate:
    """Make the document update of an event from the event alone."""
    summary = customer_summary.project(recorded)
    return DocumentUpdate(
        partition_key=str(recorded.event.customer_id),
        gate=order_details.project(recorded),
        others=[summary] if summary else [],
    )


async def reconsider(container: Container, recorded: Recorded[OrderEvent]) -> DocumentUpdate:
    """Make the update if the summary does not exist yet, or has later submissions already."""
    event, partition_key = recorded.event, str(recorded.event.customer_id)
    summary = await customer_summary.SHAPES.read_migrated(container, SUMMARY, partition_key)
    if summary is None:
        if not isinstance(event, OrderCreatedV1):
            raise ResourceNotFoundError(f"The summary of customer {partition_key} is missing.")
        # the customer's own events come later, and will find this summary, with the name that the order has
        document = new_summary(event.customer_id, event.customer_name, event.customer_version)
        try:
            summary = await container.create_item(document)
        except ResourceExistsError:
            return project(recorded)
    late = customer_summary.late_change(recorded, summary)
    return DocumentUpdate(partition_key, gate=order_details.project(recorded), others=[late] if late else [])
