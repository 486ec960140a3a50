"""A sender is kept for the next event, and never again used after it has failed. The senders here are stand-ins."""

from types import SimpleNamespace
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import MessagingEntityDisabledError

from shared.frame.messaging.topics import ServiceBusTopic
from shared.frame.platform.settings import Settings
from shared.frame.write_side.relay import TopicUnreachable

NOWHERE = Settings(sql="", cosmos="", service_bus="Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=n;SharedAccessKey=k")


class Sender:
    """Counts what it sends, unless it fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.sent, self.closed = error, 0, False

    def send_messages(self, _: object) -> None:
        """Send, or fail."""
        if self.error is not None:
            raise self.error
        self.sent += 1

    def close(self) -> None:
        """Note it."""
        self.closed = True


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError("away"), TopicUnreachable),
        (MessagingEntityDisabledError(message="disabled"), TopicUnreachable),
        (ValueError("large"), ValueError),
    ],
)
def test_a_sender_that_failed_is_closed_and_the_next_event_gets_another(
    monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception]
) -> None:
    failing, good = Sender(error), Sender()
    made: list[Any] = [failing, good]
    topic = ServiceBusTopic(NOWHERE, "order-events", "ordering")
    monkeypatch.setattr(topic, "_client", SimpleNamespace(get_topic_sender=lambda _: made.pop(0)))
    with pytest.raises(raised):
        topic._send([ServiceBusMessage(b"{}")])
    assert failing.closed
    for _ in range(2):
        topic._send([ServiceBusMessage(b"{}")])
    assert (good.sent, good.closed, made) == (2, False, [])
