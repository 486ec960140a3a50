"""What the developer reads: each line with the name of who says it, in colour on a terminal."""

import os
import sys

COLOURS = {"host": 32, "servicebus": 35, "cosmos": 34, "up": 33}
"""Foreground colours of ECMA-48 by name; all others are cyan."""


class Screen:
    """The standard output of `dev.py up`."""

    def __init__(self) -> None:
        knows_colours = sys.platform != "win32" or "WT_SESSION" in os.environ  # Windows Terminal, not the old console
        self._colours = sys.stdout.isatty() and knows_colours and not os.environ.get("NO_COLOR")
        self._is_read = True

    def say(self, name: str, line: str) -> None:
        """Show a line of a program."""
        speaker = f"{name:<10}"
        self.show(f"\033[{COLOURS.get(name, 36)}m{speaker}\033[0m {line}" if self._colours else f"{speaker} {line}")

    def show(self, text: str) -> None:
        """Show a text as it is."""
        try:
            if self._is_read:
                print(text, flush=True)
        except OSError:  # the terminal was closed, or the reader of a pipe has gone: nobody is left to tell
            self._is_read = False
