"""What the functions of the test apps have noted, one JSON document a line."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

type Notes = list[dict[str, Any]]


class Record:
    """The file that an app's functions append to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def notes(self) -> Notes:
        """Return all notes so far."""
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait(self, enough: Callable[[Notes], bool], limit: float = 30.0) -> Notes:
        """Return the notes once they are enough.

        Raises:
            AssertionError: They were not within the limit in seconds.
        """
        deadline = time.monotonic() + limit
        while not enough(notes := self.notes()):
            assert time.monotonic() < deadline, f"not within {limit} s: {notes}"
            time.sleep(0.01)
        return notes
