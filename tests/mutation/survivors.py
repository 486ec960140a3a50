"""Survivors: changes of the code that no test noticed, and the page that explains those that are left."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = "docs/mutation.md"

NOTICED = frozenset({"killed", "timeout", "segfault", "caught by type check", "skipped"})
"""What mutmut says of a change that did not pass; a test that never ended has noticed too."""

_SECTION = re.compile(r"^### `([^`]+)`$", re.MULTILINE)
_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Survivor(NamedTuple):
    """A change that no test noticed.

    Attributes:
        source: the file.
        was: the lines that it changed, without their indentation.
        now: the lines in their place.
        how: `survived`, or `no tests` if none comes there.
    """

    source: str
    was: str
    now: str
    how: str


def survivors(folder: Path) -> Iterator[Survivor]:
    """Read what mutmut left in a folder."""
    with contextlib.chdir(folder):
        # it reads its configuration, from the present folder, when it is imported
        from mutmut.mutation.diff_apply import get_diff_for_mutant  # noqa: PLC0415
        from mutmut.stats import status_by_exit_code  # noqa: PLC0415

        for meta in sorted(Path("mutants").rglob("*.py.meta")):
            source = meta.relative_to("mutants").with_suffix("")
            codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
            for name, code in codes.items():
                if (how := status_by_exit_code[code]) not in NOTICED:
                    was, now = _sides(get_diff_for_mutant(name, path=source).splitlines())
                    yield Survivor(str(source), "\n".join(was), "\n".join(now), how)


def explained(page: str) -> dict[str, set[tuple[str, str]]]:
    """Read which changes the page explains: for each file, what was and what is in its place.

    Below a heading that names a file stand blocks of `diff`. Where one line was, each line with a plus is another
    change.
    """
    _, *parts = _SECTION.split(page)
    found: dict[str, set[tuple[str, str]]] = {}
    for source, text in zip(parts[::2], parts[1::2], strict=True):
        for block in _DIFF.findall(text):
            was, now = _sides(block.splitlines())
            changes = found.setdefault(source, set())
            changes.add(("\n".join(was), "\n".join(now)))
            if len(was) == 1:
                changes |= {(was[0], line) for line in now}
    return found


def _sides(diff: list[str]) -> tuple[list[str], list[str]]:
    changed = [line for line in diff if not line.startswith(("---", "+++"))]
    return (
        [line[1:].strip() for line in changed if line.startswith("-")],
        [line[1:].strip() for line in changed if line.startswith("+")],
    )
