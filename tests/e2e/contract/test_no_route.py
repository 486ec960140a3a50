"""What no route answers is answered all the same: 404 or 405, as problem details."""

import httpx
import pytest

from tests.e2e.api import Api, problem

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
PAGES = {
    f"/api/{page}": {"GET", "HEAD"}
    for page in ("openapi.json", "asyncapi.json", "docs", "docs/docs.js", "ops/console", "ops/console/console.js")
}


@pytest.mark.parametrize("path", ["/nope", "/orders/1/2/3/4", "/docs/nope.js", "/docs/..%2fdocs.py", "/orders%2F7"])
def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    problem(api.get(path), 404, "no-such-path")


@pytest.mark.parametrize("path", ["//", "/orders//7"])
def test_a_path_with_an_empty_segment_is_the_platforms_own_404(api: Api, path: str) -> None:
    url = f"{api.http.base_url}".rstrip("/") + path
    answer = httpx.get(url, headers=api.http.headers)  # not by the client that checks what the API promises
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(
    "path", ["/%E2%82%AC%0A", "/a%0Ab", "/a%2Fb", "/a%2fb", "/%25", "/a%3Fb%23c", "/a;b=c", "/(a)'!*"]
)
def test_a_path_is_told_as_it_was_sent(api: Api, path: str) -> None:
    assert api.get(path).json()["instance"] == f"/api{path}"


@pytest.mark.parametrize(("path", "told"), [("/%2525", "/%25"), ("/a%2541%25", "/a%41%25"), ("/%25zz", "/%25zz")])
def test_a_percent_sign_that_was_escaped_is_told_as_the_host_passes_it_on(api: Api, path: str, told: str) -> None:
    # read in its source: it writes RpcHttp.Url with HttpRequest.Path (GrpcMessageConversionExtensions.ToRpcHttp), which
    # was decoded once and leaves what looks like an escape as it is (PathString.ToUriComponent): %2525 comes as %25
    assert api.get(path).json()["instance"] == f"/api{told}"


def test_the_prefix_alone_is_not_found(api: Api) -> None:
    problem(api.get(""), 404, "no-such-path")


def test_every_path_tells_the_methods_that_it_has_when_asked_by_another(api: Api) -> None:
    described = api.get("/openapi.json").json()["paths"]
    paths = {path: {method.upper() for method in item} for path, item in described.items()}
    for path, methods in (paths | PAGES).items():
        allowed = methods | ({"HEAD"} if "GET" in methods else set())
        for method in METHODS - allowed:
            answer = api.http.request(method, path.removeprefix("/api").replace("{", "").replace("}", ""))
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["Allow"].split(", ")) == allowed
            if method != "HEAD":
                problem(answer, 405, "method-not-allowed")


def test_a_path_is_the_same_in_capitals_and_with_a_slash_at_its_end(api: Api) -> None:
    answers = [api.http.put(path) for path in ("/CUSTOMERS", "/customers/")]
    assert [answer.headers["Allow"] for answer in answers] == ["GET, HEAD, POST"] * 2


def test_every_query_answers_head_without_a_body(api: Api) -> None:
    answer = api.http.head("/health/live")
    assert (answer.status_code, answer.content) == (200, b"")
