"""Output of the developer's commands, without control characters for the terminal.

Much of the output comes from others: messages, answers, lines of other programs. An escape sequence in it could move
the cursor, change the clipboard, or hide text. So all commands write through this module, which escapes invisible
characters.
"""

import os
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import override

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

COLOURS = {"host": 32, "servicebus": 35, "cosmos": 34, "payments": 36, "up": 33}
"""Foreground colours of ECMA-48 by name; all others are cyan."""


def harmless(text: object) -> str:
    """Escape invisible characters: controls, those that change the direction of text, and half characters.

    Line breaks and tabs stay.
    """
    return "".join(map(_escaped, str(text)))


def one_line(text: object) -> str:
    """Escape line breaks and tabs too, so that text of others cannot look like lines of ours."""
    return harmless(text).replace("\n", r"\n").replace("\t", r"\t")


def complain(error: object) -> None:
    """Write on standard error why something was not done, if it is still open."""
    with suppress(OSError):
        print(harmless(error), file=sys.stderr, flush=True)


def told(error: OSError) -> str:
    """Say in one line which file or address cannot be used, and why."""
    subject = f"{error.filename} cannot be used: " if error.filename is not None else ""
    return f"{subject}{error.strerror or str(error) or type(error).__name__}"


HUNG_UP = 141
"""The exit code of a command whose reader has gone: the one that a shell gives a command that SIGPIPE ended."""


def command(main: Callable[[], int]) -> int:
    """Run a command of `dev.py`, and give its exit code.

    An error that the user can mend becomes one line: a file that cannot be read or written, a full disk. If the reader
    goes away, as that of `| head` does, the command ends silently.
    """
    nowhere = Path(os.devnull)
    if sys.stdout is None or sys.stderr is None:  # the parent process has closed them
        sys.stdout = sys.stdout or nowhere.open("w", encoding="utf-8")
        sys.stderr = sys.stderr or nowhere.open("w", encoding="utf-8")
    try:
        try:
            code = main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        code = HUNG_UP
    except OSError as error:
        complain(told(error))
        code = 1
    except KeyboardInterrupt:
        code = 130  # as a shell reports an interrupted command
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the buffered rest has no reader, and Python would complain about it at its end
            with suppress(OSError, ValueError), nowhere.open("wb") as nothing:
                os.dup2(nothing.fileno(), stream.fileno())
    return code


def console() -> Console:
    """Make a console for tables and bars; it takes no text for markup."""
    made = Console(markup=False, emoji=False, highlight=False)
    made.push_render_hook(_Harmless())
    return made


class _Harmless(RenderHook):
    """Escapes all printed text, before it gets colours."""

    @override
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Escaped(renderable) for renderable in renderables]


class _Escaped:
    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def _escaped(character: str) -> str:
    if character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


class Screen:
    """The standard output of `dev.py up`: each line has its program's name, in colour on a terminal."""

    def __init__(self) -> None:
        knows_colours = sys.platform != "win32" or "WT_SESSION" in os.environ  # Windows Terminal, not the old console
        self._colours = sys.stdout.isatty() and knows_colours and not os.environ.get("NO_COLOR")
        self._is_read = True

    def say(self, name: str, line: str) -> None:
        """Show a line of a program."""
        speaker = f"{name:<10}"
        if self._colours:
            speaker = f"\033[{COLOURS.get(name, 36)}m{speaker}\033[0m"
        self._print(f"{speaker} {one_line(line)}")

    def show(self, text: str) -> None:
        """Show a text of several lines."""
        self._print(harmless(text))

    def _print(self, text: str) -> None:
        try:
            if self._is_read:
                print(text, flush=True)
        except BrokenPipeError:  # its reader has gone
            self._is_read = False
        except OSError:  # the terminal was closed, or a disk is full, which may have room for the next line
            pass
