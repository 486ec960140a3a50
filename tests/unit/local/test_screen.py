"""Nothing that others wrote reaches a terminal as something that it obeys."""

import io
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table

from infra.local.ops import RefusedError
from infra.local.screen import Screen, complain, console, harmless, one_line

ROOT = Path(__file__).parents[3]
WRITTEN_BY_OTHERS = "\x1b]0;title\x07 [/bar] [bold]\x1b[2J\x9b31m\u202egnp.exe\r:boom:\x00\ud800"
SHOWN = r"\x1b]0;title\x07 [/bar] [bold]\x1b[2J\x9b31m\u202egnp.exe\r:boom:\x00\ud800"
OUR_OWN = re.compile(r"\x1b\[[0-9;]*m")
"""Colours."""


def controls(text: str) -> set[str]:
    """What is left that a terminal would obey, or cannot show, beside lines and colours."""
    return {
        character
        for character in OUR_OWN.sub("", text)
        if unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character != "\n"
    }


def test_what_is_not_seen_is_escaped_and_all_else_stays() -> None:
    assert harmless(WRITTEN_BY_OTHERS) == SHOWN
    assert harmless(harmless(WRITTEN_BY_OTHERS)) == SHOWN
    text = "größe 字 🦉 é\u0301\u3000a\u00a0b\n\tc\\d"
    assert harmless(text) == text
    assert one_line("a\nb\tc\r\n\u2028") == r"a\nb\tc\r\n\u2028"


@pytest.mark.parametrize(
    "character", [chr(code) for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
)
def test_no_control_gets_through(character: str) -> None:
    assert harmless(character).isprintable()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_console_takes_no_text_for_markup_or_for_commands(
    is_terminal: bool,  # noqa: FBT001  # pytest's parametrize
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    screen = console()
    screen.file, screen._force_terminal, screen.width = out, is_terminal, 200
    table = Table("number", "message")
    table.add_row("1", WRITTEN_BY_OTHERS)
    screen.print(table)
    screen.print(WRITTEN_BY_OTHERS, soft_wrap=True)
    monkeypatch.setattr(sys, "stdout", out)
    with Progress(TextColumn("{task.description}", markup=False), console=screen, disable=not is_terminal) as bar:
        bar.add_task(one_line("step"))
        screen.print(WRITTEN_BY_OTHERS, soft_wrap=True)
    said = re.sub(r"\x1b\[(\?25[lh]|[0-9]*[A-K])|\r(?=\x1b|\n|$)", "", out.getvalue())  # the bar's own cursor
    assert said.count(re.sub(r"\\x07|\\r", "", SHOWN)) == 3  # rich itself leaves these two out
    assert controls(said) == set()


def test_lines_and_complaints_are_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().say("host", f"{WRITTEN_BY_OTHERS}\nup        all ended")
    Screen().show(f"first\n{WRITTEN_BY_OTHERS}")
    complain(RefusedError(WRITTEN_BY_OTHERS))
    out, err = capsys.readouterr()
    assert out.splitlines() == [rf"host       {SHOWN}\nup        all ended", "first", SHOWN]
    assert err == f"{SHOWN}\n"


ALLOWED = {
    "infra/local/screen.py",  # this is the place
    "infra/local/bicep.py",  # what Microsoft's compiler says of our own templates
    "infra/local/check.py",  # its own names of checks, and numbers
    "infra/local/containers.py",  # the repository's own names
    "infra/local/tokens.py",  # a token, for `$(...)`
}


def test_commands_write_through_the_screen_alone() -> None:
    engines = {
        ROOT / "infra/local" / name for name in ("cosmos", "servicebus", "host")
    }  # their lines come through `up`
    for file in (ROOT / "infra/local").rglob("*.py"):
        if engines.isdisjoint(file.parents) and str(file.relative_to(ROOT)) not in ALLOWED:
            code = file.read_text(encoding="utf-8")
            assert not re.search(r"(?<![.\w])print\(|\bConsole\(|std(out|err)\.write", code), file
