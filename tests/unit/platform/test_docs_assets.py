"""What the docs page is made of: one version of Swagger UI, its licence, and nothing from elsewhere."""

import re

from shared.frame.http.docs import ASSETS, FILES

VERSION = "5.35.0"


def test_the_notes_the_bundle_and_this_test_name_one_version() -> None:
    assert f"Swagger UI](https://github.com/swagger-api/swagger-ui) {VERSION}" in (FILES / "README.md").read_text()
    assert VERSION in (FILES / "swagger-ui-bundle.js").read_text(encoding="utf-8")


def test_the_page_loads_what_is_served_and_nothing_from_other_hosts() -> None:
    page = (FILES / "index.html").read_text()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {link.removeprefix("/api/docs/") for link in loaded} == {*ASSETS, "/api/openapi.json"}
    styles = (FILES / "swagger-ui.css").read_text(encoding="utf-8")
    assert re.findall(r"url\((?![\"']?data:)[^)]*|@import", styles) == []


def test_every_asset_is_there_and_so_is_the_licence() -> None:
    assert {path.name for path in FILES.iterdir()} == {
        *(*ASSETS, "index.html"),
        *("LICENSE", "NOTICE", "README.md", "swagger-ui-bundle.js.LICENSE.txt"),
    }
