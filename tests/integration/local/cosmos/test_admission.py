"""Who is let in: requests signed with the account's key for the resource in their address, and from no web page."""

import socket
from collections.abc import Iterator

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cosmos import KEY, Signing, running_cosmos, start, stop

HEADER = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=30) | (
    st.sampled_from(["type=master&ver=1.0&sig=AAAA", "type%3Dmaster%26ver%3D1.0%26sig%3DAAAA", "localhost", "[::1"])
)
OTHER_KEY = "bm90IHRoZSBrZXk="


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    with running_cosmos() as started:
        yield started


@pytest.fixture(scope="module")
def container(connection: str) -> Iterator[ContainerProxy]:
    with CosmosClient.from_connection_string(connection) as client:
        made = client.create_database("d").create_container("c", PartitionKey("/pk"))
        made.create_item({"id": "1", "pk": "a"})
        yield made


@pytest.fixture(scope="module")
def nobody() -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client() as opened:
        yield opened


@pytest.fixture
def address(connection: str, container: ContainerProxy) -> str:  # noqa: ARG001 -- the container is to be there
    return connection.removeprefix("AccountEndpoint=").partition("/;")[0]


def raw(address: str, request: bytes) -> bytes:
    """What the engine says to these octets before it closes the connection."""
    url = httpx.URL(address)
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall(request)
        said = b""
        while part := connection.recv(65_536):
            said += part
    return said


def test_another_key_is_401(connection: str, container: ContainerProxy) -> None:  # noqa: ARG001
    address = connection.removeprefix("AccountEndpoint=").partition(";")[0]
    with pytest.raises(HttpResponseError) as refused, CosmosClient(address, OTHER_KEY) as client:
        client.get_database_client("d").read()
    assert refused.value.status_code == 401
    assert "The wrong key is being used" in str(refused.value)


@pytest.mark.parametrize("item_id", ["..", "../..", "../../..", "%2e%2e", "../c2"])
def test_an_item_id_that_a_client_takes_for_a_path_deletes_nothing_else(
    container: ContainerProxy, item_id: str
) -> None:
    with pytest.raises(CosmosHttpResponseError):
        container.delete_item(item_id, "a")
    assert container.read_item("1", "a")["id"] == "1"


@pytest.mark.parametrize("item_id", [".", ".."])
def test_an_item_id_of_dots_is_401_and_not_the_container(container: ContainerProxy, item_id: str) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        container.delete_item(item_id, "a")
    assert refused.value.status_code == 401


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "x",
        "type=master",
        "type%3dmaster%26ver%3d1.0%26sig%3d",
        "type=master&ver=1.0&sig=ü",
        "type=aad&ver=1.0&sig=eyJ",
    ],
)
def test_a_token_that_is_no_signature_is_401_with_a_sentence(address: str, authorization: str) -> None:
    answer = httpx.get(f"{address}/dbs", headers={b"authorization": authorization.encode()})
    assert answer.status_code == 401
    assert answer.json()["code"] == "Unauthorized"
    assert httpx.get(f"{address}/dbs").status_code == 401


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADER, HEADER, st.none() | HEADER)
def test_no_header_gets_in_without_the_key(
    nobody: httpx.Client, address: str, authorization: str, host: str, origin: str | None
) -> None:
    headers = {b"authorization": authorization.encode("latin-1"), b"host": host.encode("latin-1")}
    if origin is not None:
        headers[b"origin"] = origin.encode("latin-1")
    answer = nobody.get(f"{address}/dbs", headers=headers)
    assert answer.status_code in (401, 403)
    assert set(answer.json()) == {"code", "message"}


def test_a_signature_is_for_one_verb_one_resource_and_one_date(address: str) -> None:
    with httpx.Client(base_url=address, auth=Signing()) as http:
        signed = http.get("/dbs/d")
        assert signed.status_code == 200
    headers = {name: signed.request.headers[name] for name in ("authorization", "x-ms-date")}
    assert httpx.get(f"{address}/dbs/d", headers=headers).status_code == 200
    assert httpx.delete(f"{address}/dbs/d", headers=headers).status_code == 401
    assert httpx.get(f"{address}/dbs", headers=headers).status_code == 401
    later = headers | {"x-ms-date": "Sat, 28 Nov 2026 00:00:00 GMT"}
    assert httpx.get(f"{address}/dbs/d", headers=later).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.io", "[", ""]
)
def test_a_name_that_a_web_page_may_lead_here_is_refused(address: str, host: str) -> None:
    with httpx.Client(base_url=address, auth=Signing()) as http:
        answer = http.get("/dbs", headers={"host": host})
    assert answer.status_code == 403
    assert "--name" in answer.json()["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8081", "cosmos.localhost", "127.0.0.1:1", "[::1]:8081", "localhost."]
)
def test_its_own_names_are_taken(address: str, host: str) -> None:
    with httpx.Client(base_url=address, auth=Signing()) as http:
        assert http.get("/dbs", headers={"host": host}).status_code == 200


def test_a_name_that_it_was_given_is_taken() -> None:
    process, connection = start(None, 0, KEY, "--name", "cosmos", "--name", "other.example")
    address = connection.removeprefix("AccountEndpoint=").partition("/;")[0]
    try:
        with httpx.Client(base_url=address, auth=Signing()) as http:
            answers = [http.get("/dbs", headers={"host": f"{name}:8081"}) for name in ("cosmos", "other.example", "x")]
    finally:
        stop(process)
    assert [answer.status_code for answer in answers] == [200, 200, 403]


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.example"], ["localhost", "localhost"]], ids=len)
def test_a_request_without_one_host_header_is_bad(address: str, hosts: list[str]) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    assert raw(address, f"GET / HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("line", [b"x: " + b"y" * 1000 + b"\r\n", b"y" * 1000], ids=["many headers", "one header"])
def test_a_head_without_end_is_ended(address: str, line: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nx: "
    assert raw(address, head + line * 80).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000", ""])
def test_a_request_of_a_web_page_is_refused(address: str, origin: str) -> None:
    with httpx.Client(base_url=address, auth=Signing()) as http:
        answer = http.post("/dbs", headers={"origin": origin, "content-type": "text/plain"}, json={"id": "evil"})
        assert answer.status_code == 403
        assert "evil" not in [it["id"] for it in http.get("/dbs").json()["Databases"]]


def test_direct_mode_is_refused_with_a_sentence(address: str) -> None:
    answer = httpx.get(f"{address}//addresses/?$resolveFor=docs")
    assert answer.status_code == 400
    assert "use gateway mode" in answer.json()["message"]
