"""A topic in this process, for tests of what stands before Service Bus."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import override
from uuid import UUID

from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.wire import from_body, to_body
from shared.frame.write_side.relay import Topic


class KeptTopic(Topic):
    """Keeps what is sent, as it would be read from the wire."""

    def __init__(self, fail: Callable[[Sequence[Envelope]], Exception | None] = lambda _: None) -> None:
        """Prepare.

        Args:
            fail: tells the error that sending these events ends with; None sends them.
        """
        self.sent: list[Envelope] = []
        self.fail = fail
        self._lock = threading.Lock()

    @override
    def send(self, envelopes: Sequence[Envelope]) -> None:
        error = self.fail(envelopes)
        if error is not None:
            raise error
        received = [from_body(to_body(envelope, "test")) for envelope in envelopes]
        with self._lock:
            self.sent += received

    def versions(self) -> dict[UUID, list[int]]:
        """The versions that were sent of each aggregate, in the order of sending."""
        versions: dict[UUID, list[int]] = defaultdict(list)
        for envelope in self.sent:
            versions[envelope.aggregate_id].append(envelope.version)
        return versions
