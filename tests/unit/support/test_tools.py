"""What a computer without some program leaves out is there otherwise, and is all that is left out."""

import shutil

import pytest

from tests.support import tools


def test_what_may_be_left_out_is_there() -> None:
    assert [path for path in tools.NEEDED if not (tools.ROOT / path).exists()] == []


def test_the_console_needs_a_browser_by_any_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"npm": "/bin/npm"}
    monkeypatch.setattr(shutil, "which", there.get)
    assert tools.left_out()["tests/e2e/console"] == "chromium"
    there["google-chrome"] = "/bin/google-chrome"
    assert tools.found("chromium") == "/bin/google-chrome"
    assert "tests/e2e/console" not in tools.left_out()
