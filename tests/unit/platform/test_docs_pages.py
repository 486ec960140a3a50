"""The API's pages are resources with entity tags of their own, one for each encoding (RFC 9110, section 8.8.3.3)."""

import gzip
from types import SimpleNamespace
from typing import Any, cast

import azure.functions as func
import pytest

from shared.frame.http.docs import ASSETS
from tests.support.app import app_globals

APP = app_globals()
FUNCTIONS = {each.get_function_name(): each.get_user_function() for each in APP["app"].get_functions()}
PAGES = [
    ("get_openapi", None),
    ("get_asyncapi", None),
    ("get_docs", None),
    ("get_console", None),
    *(("get_docs_asset", asset) for asset in ASSETS),
]


def ask(name: str, asset: str | None, **headers: str) -> func.HttpResponse:
    request = func.HttpRequest(
        method="GET",
        url="http://host/api/docs",
        headers={key.replace("_", "-"): value for key, value in headers.items()},
        route_params={} if asset is None else {"asset": asset},
        body=b"",
    )
    context: Any = SimpleNamespace(invocation_id="i", trace_context=SimpleNamespace(trace_parent=None))
    return cast("func.HttpResponse", FUNCTIONS[name](request, context))


@pytest.mark.parametrize(("name", "asset"), PAGES, ids=[asset or name for name, asset in PAGES])
def test_a_page_has_a_tag_for_each_of_its_encodings_and_is_not_sent_to_whoever_names_it(
    name: str, asset: str | None
) -> None:
    plain, packed = ask(name, asset), ask(name, asset, Accept_Encoding="br, gzip")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.get_body()) == plain.get_body()
    tags = plain.headers["ETag"], packed.headers["ETag"]
    assert tags[0] != tags[1]
    for encoding, own, other in (("identity", *tags), ("gzip", *reversed(tags))):
        same = ask(name, asset, Accept_Encoding=encoding, If_None_Match=f'"x", W/{own}')
        assert (same.status_code, same.get_body(), same.headers["ETag"]) == (304, b"", own)
        assert "Content-Type" not in same.headers.keys()  # noqa: SIM118  # `in` says yes: azure.functions adds one
        for answer in (same, plain, packed):
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert answer.headers["Cache-Control"] == plain.headers["Cache-Control"]
        assert ask(name, asset, Accept_Encoding=encoding, If_None_Match=other).status_code == 200
        assert ask(name, asset, Accept_Encoding=encoding, If_None_Match="*").status_code == 304


@pytest.mark.parametrize("accepted", ["gzip;q=0", "gzip ; q=0.000, br", "GZIP;Q=0", "deflate", "xgzipx"])
def test_whoever_does_not_take_gzip_gets_none(accepted: str) -> None:
    assert "Content-Encoding" not in ask("get_docs", None, Accept_Encoding=accepted).headers


@pytest.mark.parametrize("name", ["get_docs", "get_console"])
def test_a_page_runs_its_own_files_alone_and_stands_in_no_frame(name: str) -> None:
    headers = ask(name, None).headers
    assert headers["Referrer-Policy"] == "no-referrer"
    assert dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; ")) == {
        **dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'"),
        **dict.fromkeys(("script-src", "style-src", "connect-src"), "'self'"),
        "img-src": "'self' data:",
    }


@pytest.mark.parametrize("asset", ["index.html", "README.md", "../docs.py", "/etc/hostname", "DOCS.JS", ""])
@pytest.mark.parametrize("name", ["get_docs_asset", "get_console_asset"])
def test_a_file_that_is_not_on_the_list_is_not_served(name: str, asset: str) -> None:
    assert ask(name, asset).status_code == 404


@pytest.mark.parametrize(("switched", "signed_in_by"), [("True", "platform"), ("False", "token"), ("", "token")])
def test_the_console_says_whether_the_platform_signs_browsers_in(
    switched: str, signed_in_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", switched)
    assert f'<meta name="sign-in" content="{signed_in_by}">' in ask("get_console", None).get_body().decode()
