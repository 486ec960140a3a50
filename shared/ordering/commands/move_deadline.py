"""Move the deadline of an order that waits."""

from dataclasses import replace

from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Id, Input, Moment
from shared.ordering.domain.errors import NoDeadline, ProcessNotFound
from shared.ordering.fulfilment.repository import Fulfilments, Step
from shared.story import ORDER_ID


class MoveDeadline(Input, json_schema_extra=example(orderId=ORDER_ID, at="2026-12-24T12:00:00Z")):
    """Move the deadline of an order that waits for stock, its payment or its confirmation.

    It is cancelled then, if it still waits. A cancelled order waits until its deadline to learn whether anything of it
    was shipped, and has its payment voided, refunded or captured then.
    """

    order_id: Id
    at: Moment


def move_deadline(command: MoveDeadline, fulfilments: Fulfilments) -> Accepted:
    """Move it.

    Raises:
        ProcessNotFound: no fulfilment of such an order has begun.
        NoDeadline: the order waits for nothing that has a deadline.
    """
    process = fulfilments.find(command.order_id)
    if process is None:
        raise ProcessNotFound(f"There is no fulfilment of an order {command.order_id}.")
    if process.facts.deadline is None:
        raise NoDeadline(f"Order {command.order_id} waits for {process.facts.waits_for}, and has no deadline.")
    step = Step(fulfilments.at, f"deadline moved to {command.at.isoformat(timespec='seconds')}")
    moved = replace(process, version=process.version + 1, due_at=command.at, steps=[*process.steps, step])
    fulfilments.save(moved)
    return Accepted(command.order_id, moved.version)
