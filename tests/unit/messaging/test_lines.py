"""Those who want the same aggregate are served one after the other, in the order in which they came."""

import threading
from concurrent.futures import ThreadPoolExecutor

from shared.frame.write_side.lines import Lines


def test_who_comes_first_is_served_first() -> None:
    lines, served = Lines(), list[int]()
    first = lines.stand("order", 0)
    assert first is not None

    def wait(number: int) -> None:
        place = lines.stand("order", 10)
        assert place is not None
        served.append(number)
        place.leave()

    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            waiting = len(lines._lines["order"])
            pool.submit(wait, number)
            while len(lines._lines["order"]) == waiting:
                threading.Event().wait(0.001)
        assert served == []
        first.leave()
    assert served == list(range(8))


def test_nobody_waits_for_another_thing() -> None:
    lines = Lines()
    assert lines.stand("one", 0) is not None
    assert lines.stand("other", 0) is not None


def test_who_has_waited_long_enough_steps_out_and_holds_nobody_up() -> None:
    lines = Lines()
    first = lines.stand("order", 0)
    assert first is not None
    assert lines.stand("order", 0.01) is None
    first.leave()
    again = lines.stand("order", 0)
    assert again is not None
    again.leave()
    assert lines._lines == {}, "an order that nobody wants takes no memory"
