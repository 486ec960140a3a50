"""Writes files atomically: a full disk or a killed process leaves the previous file, never half of a new one."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

SHARED, PRIVATE = 0o644, 0o600
"""The modes of files: everybody may read them, or their owner alone."""


def write_whole(file: Path, text: str, mode: int = SHARED) -> None:
    """Write a file beside its place, and move it there once the disk has it.

    Raises:
        OSError: the file cannot be written; the previous one is unchanged.
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
