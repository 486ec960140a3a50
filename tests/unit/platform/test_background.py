"""What works beside the requests leaves them as much of the event loop as it takes."""

from types import SimpleNamespace

import pytest

from shared.frame.platform import background
from shared.frame.platform.background import LONGEST_PAUSE, with_pause


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each pause."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr(background, "asyncio", SimpleNamespace(sleep=sleep))
    return seconds


@pytest.mark.parametrize(("took", "pause"), [(0.25, 0.25), (60.0, LONGEST_PAUSE)])
async def test_a_piece_is_followed_by_a_pause_as_long_but_no_longer_than_a_second(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], took: float, pause: float
) -> None:
    clock = [10.0]
    monkeypatch.setattr(background, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    async def piece() -> str:
        clock[0] += took
        return "done"

    assert await with_pause(piece()) == "done"
    assert pauses == [pause]


async def test_a_piece_that_fails_fails_at_once(pauses: list[float]) -> None:
    async def piece() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # it has no message
        await with_pause(piece())
    assert pauses == []
