"""Metrics of payments, beside those that every context has; see docs/telemetry.md."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from shared.frame.platform.telemetry import Metric, count
from shared.frame.sql.columns import UtcDateTime
from shared.payments.domain.payment import PaymentStatus
from shared.payments.domain.provider import ProviderUnavailable, RequestInvalid, StepRefused
from shared.payments.events import PaymentDeclinedV1, PaymentEvent
from shared.payments.tables import PAYMENTS

STEPS = Metric("tandem.payment.steps", "{step}", "What the provider did, by the event that says so")
ERRORS = Metric("tandem.payment.provider_errors", "{call}", "Steps that the provider did not do: away, or refused")
OLDEST = Metric("tandem.payment.oldest_due", "s", "Since when the oldest step waits for the provider; 0: none does")

PENDING_FOR = timedelta(days=14)
"""How long a bank may take for a refund; the slow ones take ten working days."""

WAITING = (PaymentStatus.ACTION_REQUIRED, PaymentStatus.AUTHORISED, PaymentStatus.DECLINED)
"""States in which the provider has nothing to do until somebody asks."""

OLDEST_DUE = sa.select(sa.func.min(PAYMENTS.c.changed_at)).where(
    PAYMENTS.c.look_at.is_not(None),
    sa.or_(
        PAYMENTS.c.status.not_in([sa.literal_column(f"'{each}'") for each in WAITING]),
        PAYMENTS.c.capture_requested,
        PAYMENTS.c.void_requested,
    ),
    sa.or_(
        PAYMENTS.c.pending == sa.literal_column("0"),
        PAYMENTS.c.changed_at < sa.bindparam("pending_before", type_=UtcDateTime),
    ),
)
"""Payments that wait for a cardholder, or for the shipment, do not count, unless a capture or a void was requested.

Nor do refunds that only a bank has yet to carry out, for PENDING_FOR.
"""


def count_done(event: PaymentEvent) -> None:
    """Count what the provider did; a decline by its reason."""
    reason = {"error.type": str(event.reason)} if isinstance(event, PaymentDeclinedV1) else {}
    count(STEPS, {"tandem.event": type(event).__name__} | reason)


def count_failed(step: str, error: ProviderUnavailable) -> None:
    """Count a step that was not done; a refused one stays due, and tells of no outage."""
    match error:
        case StepRefused():
            why = "refused"
        case RequestInvalid():
            why = "invalid"
        case _:
            why = "unavailable"
    count(ERRORS, {"tandem.step": step, "error.type": why})


def payment_metrics(connection: sa.Connection) -> Mapping[Metric, float]:
    """Read them: one look at an index of what is due."""
    now = datetime.now(UTC)
    since: datetime | None = connection.execute(OLDEST_DUE, {"pending_before": now - PENDING_FOR}).scalar()
    age = 0.0 if since is None else (now - since).total_seconds()
    return {OLDEST: max(age, 0.0)}
