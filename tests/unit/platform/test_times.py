"""Times are written as RFC 3339 has them, whatever their year, and read as it has them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.frame.platform.input import Moment
from shared.frame.platform.times import utc_text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2026, 11, 22, 5, 20, 27, 12345, UTC), "2026-11-22T05:20:27.012345Z"),
        (datetime(2026, 11, 22, 5, tzinfo=timezone(timedelta(hours=1))), "2026-11-22T04:00:00.000000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (datetime(999, 12, 31, 23, 59, 59, 999999, UTC), "0999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_written_in_utc_with_all_its_digits(time: datetime, text: str) -> None:
    assert utc_text(time) == text


@pytest.mark.parametrize(
    "text",
    [
        *("9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01"),  # none of UTC's years
        *("2026-11-22T05:20:27", "2026-11-22", "2026-11-22T05:20Z", "2026-13-22T05:20:27Z", "1763788827", ""),
    ],
)
def test_what_is_no_time_of_utc_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Moment).validate_python(text)
