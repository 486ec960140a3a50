"""Times as documents and answers write them."""

from datetime import UTC, datetime


def utc_text(time: datetime) -> str:
    """Write a time as `2026-11-22T05:20:27.012345Z`: always six digits, so that text sorts as time does."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
