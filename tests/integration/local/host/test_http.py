"""HTTP triggers over the wire, against the app in apps/web."""

import asyncio
import contextlib
import http.client
import json
import socket
import uuid
from collections.abc import Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local.host import http as triggers
from infra.local.host.routes import RouteTable
from infra.local.host.settings import HttpOptions
from tests.support.host import HostProcess, running_host_process

APP = Path(__file__).parent / "apps" / "web"
BODY_LIMIT = 1000
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def host() -> Iterator[HostProcess]:
    with running_host_process(APP, {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(BODY_LIMIT)}) as host:
        yield host


@pytest.fixture
def client(host: HostProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=host.url + "/api", timeout=30) as client:
        yield client


def seen(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


@pytest.mark.parametrize(
    ("path", "function", "values"),
    [
        ("/things/special", "special_thing", {}),
        ("/THINGS/Special/", "special_thing", {}),
        (f"/things/{uuid.UUID(int=7)}", "thing_by_id", {"id": str(uuid.UUID(int=7))}),
        ("/things/other", "thing_by_name", {"name": "other"}),
        ("/things/a%20%C3%A4%2Fb", "thing_by_name", {"name": "a ä%2Fb"}),
        ("/things/a/b/c", "rest_of_things", {"rest": "a/b/c"}),
        ("/things", "rest_of_things", {}),
        ("/pages/7", "page", {"number": "7"}),
        ("/pages/7/top", "page", {"number": "7", "part": "top"}),
    ],
)
def test_the_most_specific_route_answers_whatever_the_order_of_declaration(
    client: httpx.Client, path: str, function: str, values: dict[str, str]
) -> None:
    answer = seen(client.get(path))
    assert (answer["function"], answer["values"]) == (function, values)


def test_functions_share_a_route_with_different_methods(client: httpx.Client) -> None:
    assert seen(client.get("/things/special"))["function"] == "special_thing"
    assert seen(client.post("/things/special"))["function"] == "change_special_thing"
    assert seen(client.delete("/things/special"))["method"] == "DELETE"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/pages/seven"),
        ("GET", "/pages/7/top/more"),
        ("GET", "/../things/special"),
        ("PATCH", "/things/special"),
        ("HEAD", "/things/special"),
        ("OPTIONS", "/things/special"),
    ],
)
def test_what_no_route_and_method_match_is_a_bare_404(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.content) == (404, b"")


def test_a_function_without_methods_answers_all_of_them_under_its_name(client: httpx.Client) -> None:
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        response = client.request(method, "/unrouted")
        assert response.text == f"{method} ä"
        assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_headers_and_query_values_arrive_as_the_host_passes_them(client: httpx.Client) -> None:
    headers = [("X-Many", "one"), ("x-many", "two"), ("X-Other", "3")]
    answer = seen(client.get("/things/x?a=1&a=2&b=&c=%C3%A4+b", headers=headers))
    assert answer["headers"]["x-many"] == "one,two"
    assert answer["headers"]["x-other"] == "3"
    assert answer["query"] == {"a": "1,2", "c": "ä b"}
    assert answer["url"] == f"{client.base_url}things/x?a=1&a=2&b=&c=%C3%A4+b"


def test_the_url_arrives_escaped_as_it_came(client: httpx.Client) -> None:
    assert seen(client.get("/things/a%20%C3%A4%2Fb"))["url"] == f"{client.base_url}things/a%20%C3%A4%2Fb"


def test_a_binary_body_goes_both_ways_unchanged(client: httpx.Client) -> None:
    body = bytes(range(256))
    response = client.put("/mirror", content=body)
    assert response.content == body
    assert response.headers["content-type"] == "application/octet-stream"


def test_status_headers_and_cookies_of_a_response_come_through(client: httpx.Client) -> None:
    response = client.get("/cookies")
    assert response.status_code == 201
    assert (response.headers["x-thing"], response.headers["location"]) == ("1", "/api/cookies/1")
    assert response.headers.get_list("set-cookie") == [
        "a=1; path=/; samesite=lax; httponly",
        "b=2; expires=Wed, 21 Oct 2026 07:28:00 GMT; max-age=60; secure",
    ]


def test_a_204_has_no_body_and_the_connection_stays_usable(client: httpx.Client) -> None:
    for _ in range(2):
        response = client.get("/nothing")
        assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    ("path", "logged"), [("/fails", r"LookupError: no such secret thing"), ("/wrong", r"wrong failed\nTraceback")]
)
def test_a_failing_function_is_a_bare_500_and_a_traceback_in_the_log(
    client: httpx.Client, host: HostProcess, path: str, logged: str
) -> None:
    response = client.get(path)
    assert (response.status_code, response.content) == (500, b"")
    host.wait_for_log(logged)


def test_the_trace_context_of_the_request_is_that_of_the_invocation(client: httpx.Client) -> None:
    answer = seen(client.get("/things/x", headers={"traceparent": TRACEPARENT, "tracestate": "a=b"}))
    assert (answer["traceparent"], answer["tracestate"]) == (TRACEPARENT, "a=b")


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}, {"traceparent": f"00-{'0' * 32}-{'1' * 16}-01"}])
def test_without_a_valid_traceparent_a_trace_begins(client: httpx.Client, headers: dict[str, str]) -> None:
    first, second = (seen(client.get("/things/x", headers=headers))["traceparent"].split("-") for _ in range(2))
    assert [len(part) for part in first] == [2, 32, 16, 2]
    assert first[1] != second[1]


def test_a_body_longer_than_the_limit_is_413(client: httpx.Client) -> None:
    assert client.put("/mirror", content=b"x" * BODY_LIMIT).status_code == 200
    assert client.put("/mirror", content=b"x" * (BODY_LIMIT + 1)).status_code == 413


def test_a_declared_length_beyond_the_limit_is_413_before_any_of_the_body_is_sent(host: HostProcess) -> None:
    connection = http.client.HTTPConnection(urlsplit(host.url).netloc, timeout=10)
    connection.putrequest("PUT", "/api/mirror")
    connection.putheader("Content-Length", str(BODY_LIMIT + 1))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    response.close()
    connection.close()


def test_a_chunked_body_is_413_as_soon_as_it_passes_the_limit(host: HostProcess) -> None:
    connection = http.client.HTTPConnection(urlsplit(host.url).netloc, timeout=30)
    connection.putrequest("PUT", "/api/mirror")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"%x\r\n%b\r\n" % (BODY_LIMIT + 1, b"x" * (BODY_LIMIT + 1)))  # and no end of it
    response = connection.getresponse()
    assert response.status == 413
    response.close()
    connection.close()


def test_requests_beyond_the_concurrent_ones_wait_and_beyond_the_outstanding_ones_get_429(
    client: httpx.Client, host: HostProcess, tmp_path: Path
) -> None:
    name = uuid.uuid4().hex
    with ThreadPoolExecutor() as pool:
        held = []
        for number in range(2):
            params = {"folder": str(tmp_path), "id": f"{name}-{number}"}
            held.append(pool.submit(client.get, "/hold", params=params))
            host.wait_for_log(f"holding {name}-{number}")
        others = [pool.submit(httpx.get, f"{host.url}/api/nothing", timeout=30) for _ in range(4)]
        refused = [future.result().status_code for future in islice(as_completed(others), 2)]
        assert refused == [429, 429]
        assert sum(not future.done() for future in others) == 2
        (tmp_path / "go").touch()
        assert {future.result().status_code for future in held} == {200}
        assert sorted(future.result().status_code for future in others) == [204, 204, 429, 429]


def half_a_request(host: HostProcess) -> socket.socket:
    address = urlsplit(host.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    connection.sendall(b"PUT /api/mirror HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nx")
    return connection


def test_bodies_that_do_not_come_keep_nobody_else_waiting(host: HostProcess) -> None:
    with contextlib.ExitStack() as open_connections:
        for _ in range(130):
            open_connections.enter_context(half_a_request(host))
        for _ in range(3):
            assert httpx.get(f"{host.url}/api/nothing", timeout=10).status_code == 204
        late = open_connections.enter_context(half_a_request(host))
        late.sendall(b"y" * 99)
        assert late.recv(100).startswith(b"HTTP/1.1 200")


async def test_a_body_of_which_no_more_comes_is_408_and_the_connection_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "BODY_PATIENCE", 0.2)
    parts = [b"x"] * 4  # each in time, though not all of them together
    sent = []

    class Table(RouteTable):
        def match(self, method: str, path: str) -> tuple[Any, dict[str, str]]:
            return f"{method} {path}", {}

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.1 if parts else 30)
        return {"type": "http.request", "body": parts.pop(), "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/x", "raw_path": b"/x", "query_string": b"", "headers": []}
    async with asyncio.timeout(10):
        await triggers.HttpTriggers(Table([]), HttpOptions("api", 1, 1))(scope, receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert not parts


def test_a_client_that_leaves_does_not_end_its_invocation(host: HostProcess, tmp_path: Path) -> None:
    name = uuid.uuid4().hex
    connection = http.client.HTTPConnection(urlsplit(host.url).netloc, timeout=30)
    connection.request("GET", f"/api/hold?folder={tmp_path}&id={name}")
    host.wait_for_log(f"holding {name}")
    connection.close()
    (tmp_path / "go").touch()
    assert httpx.get(f"{host.url}/api/nothing").status_code == 204  # the host has seen the disconnect by now
    while not (tmp_path / f"done-{name}").exists():
        httpx.get(f"{host.url}/api/nothing")


def test_a_blocking_function_leaves_the_host_responsive(
    client: httpx.Client, host: HostProcess, tmp_path: Path
) -> None:
    with ThreadPoolExecutor() as pool:
        blocked = pool.submit(httpx.get, f"{host.url}/api/block?folder={tmp_path}", timeout=30)
        host.wait_for_log("blocking on ThreadPool")
        assert client.get("/nothing").status_code == 204
        (tmp_path / "go").touch()
        assert blocked.result().text == "blocked"


def test_the_admin_routes_list_the_functions_and_the_state(host: HostProcess) -> None:
    assert httpx.get(f"{host.url}/admin/host/status").json()["state"] == "Running"
    functions = {function["name"]: function for function in httpx.get(f"{host.url}/admin/functions").json()}
    assert functions["page"]["config"]["bindings"][0]["route"] == "pages/{number:int}/{part?}"
    assert httpx.get(f"{host.url}/admin/functions/page").json() == functions["page"]
    assert httpx.get(f"{host.url}/admin/functions/none").status_code == 404
    assert httpx.post(f"{host.url}/admin/functions/page", json={}).status_code == 501


def test_no_line_is_logged_for_a_success_and_every_function_is_announced(host: HostProcess) -> None:
    before = host.log
    for _ in range(3):
        httpx.get(f"{host.url}/api/nothing")
    assert host.log == before
    assert f"page: [GET] {host.url}/api/pages/{{number:int}}/{{part?}}" in before
    assert json.dumps("unrouted") not in before
