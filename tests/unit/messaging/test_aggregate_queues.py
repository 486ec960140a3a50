"""Those who want the same aggregate are served one after the other, in the order in which they came."""

import threading
from concurrent.futures import ThreadPoolExecutor

from shared.frame.write_side.aggregate_queues import AggregateQueues


def test_who_comes_first_is_served_first() -> None:
    queues, served = AggregateQueues(), list[int]()
    first = queues.stand("order", 0)
    assert first is not None

    def wait(number: int) -> None:
        turn = queues.stand("order", 10)
        assert turn is not None
        served.append(number)
        turn.leave()

    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            waiting = len(queues._queues["order"])
            pool.submit(wait, number)
            while len(queues._queues["order"]) == waiting:
                threading.Event().wait(0.001)
        assert served == []
        first.leave()
    assert served == list(range(8))


def test_nobody_waits_for_another_thing() -> None:
    queues = AggregateQueues()
    assert queues.stand("one", 0) is not None
    assert queues.stand("other", 0) is not None


def test_who_has_waited_long_enough_steps_out_and_holds_nobody_up() -> None:
    queues = AggregateQueues()
    first = queues.stand("order", 0)
    assert first is not None
    assert queues.stand("order", 0.01) is None
    first.leave()
    again = queues.stand("order", 0)
    assert again is not None
    again.leave()
    assert queues._queues == {}, "an order that nobody wants takes no memory"
