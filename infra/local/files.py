"""Files that are whole or not there: a full disk or a killed process leaves the one before, never half of one."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

SHARED, PRIVATE = 0o644, 0o600
"""Who may read a file: everybody, or its owner alone."""


def write_whole(file: Path, text: str, mode: int = SHARED) -> None:
    """Write a file beside its place, and move it there once the disk has it.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    draft, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(draft, "w", encoding="utf-8") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
