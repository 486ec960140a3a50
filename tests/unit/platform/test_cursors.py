"""A cursor is taken back where it was given, and nowhere else."""

import base64

import pytest

from shared.frame.read_side.cursors import LONGEST, _check, _written, cursor_at, position_of
from shared.kernel.refusals import Invalid

PLACE = "2026-11-29T01:00:00.000000Z/0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c002"
CURSOR = cursor_at(PLACE, "list", 3)


def test_a_cursor_leads_back_to_its_place() -> None:
    assert position_of(CURSOR, "list", 3, str) == PLACE
    assert len(CURSOR) < LONGEST
    assert PLACE not in CURSOR


def refused(cursor: str, of_list: str = "list", generation: int = 3) -> bool:
    with pytest.raises(Invalid) as caught:
        position_of(cursor, of_list, generation, str)
    [error] = caught.value.errors
    return (error.pointer, error.location) == ("/cursor", "query")


def test_a_cursor_of_another_list_or_generation_is_refused_by_name() -> None:
    assert refused(CURSOR, of_list="other")
    assert refused(CURSOR, generation=4)


@pytest.mark.parametrize("length", range(len(CURSOR)))
def test_no_part_of_a_cursor_is_one(length: int) -> None:
    assert refused(CURSOR[:length])


@pytest.mark.parametrize("place", range(len(CURSOR)))
def test_no_cursor_with_one_other_character_is_one(place: int) -> None:
    for other in "A_9":
        changed = CURSOR[:place] + other + CURSOR[place + 1 :]
        assert changed == CURSOR or refused(changed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "====",
        f"{CURSOR}=",
        f"{CURSOR}\n",
        f" {CURSOR}",
        "é" * 96,
        "\0",
        "🫖",
        "' OR 1=1 --",
        base64.urlsafe_b64encode(PLACE.encode()).decode(),
        base64.urlsafe_b64encode(bytes(12) + PLACE.encode()).decode().rstrip("="),
        CURSOR.replace("A", "+"),
        CURSOR * 2,
    ],
)
def test_what_was_made_up_is_refused(text: str) -> None:
    assert refused(text)


def test_a_cursor_that_somebody_made_of_other_bytes_than_text_is_refused_by_name() -> None:
    content = b"\xff\xfe"
    assert refused(_written(_check(content, "list", 3) + content))
