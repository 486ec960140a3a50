"""What the console is made of: files that are served, two libraries with their licences, and nothing from elsewhere."""

import gzip
import re

from shared.frame.http.console import ASSETS, FILES, HEADERS

LIBRARIES = {"preact-htm.js": "htm", "uplot.js": "uplot"}
LICENCES = {"LICENSE-htm.txt": "htm 3.1.1", "LICENSE-preact.txt": "Preact", "LICENSE-uplot.txt": "uPlot 1.6.32"}
WORDS_OF_THE_SHOP = re.compile(r"(?:[Oo]rder(?:ing)?|[Pp]roduct|[Cc]ustomer|[Pp]ayment|[Cc]atalog)s?(?![a-z])")
HEAVIEST = 150 * 1024
"""Bytes of the whole page, compressed: more is a long wait on a telephone."""


def test_every_asset_is_there_and_so_are_the_licences() -> None:
    assert {path.name for path in FILES.iterdir()} == {*ASSETS, *LICENCES, "index.html", "README.md"}


def test_the_notes_the_licences_and_the_libraries_name_one_version() -> None:
    notes = (FILES / "README.md").read_text(encoding="utf-8")
    for name, version in LICENCES.items():
        assert (FILES / name).read_text(encoding="utf-8").startswith(version), name
        assert f"`{name}`" in notes
    assert "(https://github.com/developit/htm) 3.1.1" in notes
    assert "(https://github.com/leeoniya/uPlot) 1.6.32" in notes
    assert "uPlot (v1.6.32)" in (FILES / "uplot.js").read_text(encoding="utf-8")


def test_the_page_and_its_modules_load_what_is_served_and_nothing_from_other_hosts() -> None:
    page = (FILES / "index.html").read_text(encoding="utf-8")
    loaded = {link.removeprefix("/api/ops/console/") for link in re.findall(r'(?:src|href)="([^"]+)"', page)}
    own = {name for name in ASSETS if name.endswith(".js") and name not in LIBRARIES}
    for name in own:
        text = (FILES / name).read_text(encoding="utf-8")
        loaded |= set(re.findall(r'from "\./([^"]+)"', text))
        assert not re.search(r'https?://|innerHTML|from "[^.]', text), name
    assert loaded - {"/api/docs"} == set(ASSETS)


def test_nothing_is_written_into_the_page_that_its_policy_would_have_to_allow() -> None:
    page = (FILES / "index.html").read_text(encoding="utf-8")
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert re.findall(r"<script[^>]*>[^<]|<style| style=| on\w+=", page) == []


def test_the_whole_page_is_light() -> None:
    files = [FILES / name for name in (*ASSETS, "index.html")]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) < HEAVIEST


def test_the_page_knows_no_word_of_the_shop() -> None:
    for name in (*ASSETS, "index.html"):
        if name.endswith((".js", ".html")) and name not in LIBRARIES:
            text = (FILES / name).read_text(encoding="utf-8")
            assert (
                re.findall(r"(?:[Oo]rder(?:ing)?|[Pp]roduct|[Cc]ustomer|[Pp]ayment|[Cc]atalog)s?(?![a-z])", text) == []
            )
