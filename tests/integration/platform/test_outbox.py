"""What a context's outbox does when its first users come at the same time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from shared.ordering.tables import LOG, SCHEMA
from shared.platform import outbox
from shared.platform.outbox import Outbox
from shared.platform.settings import Settings


def test_the_timer_and_the_first_commit_share_one_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one's senders would keep their connections until the process ends."""
    made, both = [], threading.Barrier(2)

    class SlowRelay:
        def __init__(self, *_: object) -> None:
            time.sleep(0.05)
            made.append(self)

        def run(self) -> int:
            return 0

    monkeypatch.setattr(outbox, "Relay", SlowRelay)
    settings = Settings(
        sql="", cosmos="", service_bus="Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=n;SharedAccessKey=k"
    )
    ours = Outbox(settings, sa.create_engine("sqlite://"), LOG, SCHEMA, topic="order-events")

    def publish() -> None:
        both.wait()
        ours.publish()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(publish), threads.submit(publish)]:
            done.result()
    assert len(made) == 1
