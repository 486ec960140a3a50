"""What the developer reads: each line with the name of who says it, in colour on a terminal."""

from rich.console import Console
from rich.text import Text

COLOURS = {"host": "green", "servicebus": "magenta", "cosmos": "blue", "up": "bold yellow"}


class Screen:
    """The standard output of `dev.py up`."""

    def __init__(self) -> None:
        self._console: Console | None = Console(highlight=False, soft_wrap=True)

    def say(self, name: str, line: str) -> None:
        """Show a line of a program, whose own colours are kept."""
        self.show(Text.assemble((f"{name:<10} ", COLOURS.get(name, "cyan")), Text.from_ansi(line)))

    def show(self, text: str | Text) -> None:
        """Show a text as it is."""
        try:
            if self._console:
                self._console.print(text, markup=False)
        except OSError:  # the terminal was closed, or the reader of a pipe has gone: nobody is left to tell
            self._console = None
