"""dev.py console signs a browser in, and tells its token to nobody else on the computer."""

import html
import re
import webbrowser
from pathlib import Path
from urllib.request import url2pathname

import pytest

from infra.local import console, issuer, stack
from infra.local.stack import Stack


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stack that runs, it seems."""
    issuer.make_key(tmp_path)
    running = Stack("http://127.0.0.1:7071", str(tmp_path), 1, {}, settings={})
    monkeypatch.setattr(stack, "find", lambda _data: running)
    monkeypatch.setattr(console, "READ_WITHIN", 0)
    return tmp_path


def test_the_token_is_not_in_what_the_browser_is_started_with_but_in_a_page_for_its_owner_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[tuple[str, int, str]] = []

    def browser(url: str) -> bool:
        file = Path(url2pathname(url.removeprefix("file://")))
        opened.append((url, file.stat().st_mode & 0o777, file.read_text(encoding="utf-8")))
        return True

    monkeypatch.setattr(webbrowser, "open", browser)
    assert console.main(["--data", str(data)]) == 0
    [(url, mode, page)] = opened
    found = re.search(r'content="0; url=([^"]+)"', page)
    assert found
    leads_to = html.unescape(found[1])
    token = leads_to.partition("#token=")[2].partition("&")[0]
    assert leads_to == console.address("http://127.0.0.1:7071", token)
    assert token.count(".") == 2
    assert token not in url
    assert token not in capsys.readouterr().out
    assert mode == 0o600
    assert list(data.glob("*.html")) == []


def test_without_a_browser_the_address_is_printed_and_no_page_is_left(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _url: False)
    assert console.main(["--data", str(data)]) == 0
    assert "http://127.0.0.1:7071/api/ops/console#token=" in capsys.readouterr().out
    assert list(data.glob("*.html")) == []
