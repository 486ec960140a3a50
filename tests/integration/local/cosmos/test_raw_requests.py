"""Whatever is sent, the engine answers in Cosmos's own form, fails nowhere and goes on working for others."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.cosmos import Signing, running_cosmos

PATHS = st.sampled_from(
    [
        "/",
        "/dbs",
        "/dbs/d",
        "/dbs/AAAAAQ==/colls/AAAAAYAAAAE=/docs",
        "/dbs/d/colls",
        "/dbs/d/colls/c",
        "/dbs/d/colls/c/pkranges",
        "/dbs/d/colls/c/docs",
        "/dbs/d/colls/c/docs/1",
        "/dbs/d/colls/c/docs/%00",
        "/dbs/d/colls/c/docs/%F0%9F%98%80",
        "/dbs/d/colls/c/docs/%ff",
        "/offers",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("a"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)
WORDS = """
    SELECT * VALUE DISTINCT TOP FROM WHERE GROUP BY ORDER OFFSET LIMIT JOIN IN AS c t .a .tags [0] ['x'] ( ) { } , : ?
    ?? = != < > + - || / % AND OR NOT LIKE BETWEEN EXISTS( ARRAY( COUNT( SUM( ABS( CONCAT( SUBSTRING( ROUND( IIF(
    POWER( LEFT( ARRAY_SLICE( TOSTRING( 1 -1 1e308 99999999999999999999 'a' '\\ud800' '%a%' '[' @p null true udf.f(
""".split()
QUERIES = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
SELECTS = st.tuples(st.sampled_from(["SELECT", "SELECT VALUE c FROM c"]), QUERIES).map(" ".join)
PARAMETERS = st.lists(st.fixed_dictionaries({}, optional={"name": st.just("@p") | JSON, "value": JSON}), max_size=3)
QUERY = st.fixed_dictionaries(
    {"query": SELECTS | JSON}, optional={"parameters": st.just([{"name": "@p", "value": 1}]) | PARAMETERS | JSON}
)
OPERATION = st.fixed_dictionaries(
    {"operationType": st.sampled_from(["Create", "Upsert", "Replace", "Read", "Delete", "Patch"]) | JSON},
    optional={
        "id": st.just("1") | JSON,
        "resourceBody": JSON | st.just({"id": "1", "pk": "a"}),
        "ifMatch": JSON,
        "ifNoneMatch": JSON,
        "partitionKey": st.just('["a"]') | JSON,
    },
)
PATCH = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "set", "replace", "remove", "incr", "move"]) | JSON, "path": JSON},
        optional={"value": JSON, "from": st.sampled_from(["/v", "/tags/0", "/tags/9999999999999999999999"]) | JSON},
    ),
    max_size=3,
)
INDEXING = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.lists(st.fixed_dictionaries({"path": JSON}, optional={"order": JSON}), max_size=2)
        for name in ("indexingMode", "automatic", "includedPaths", "excludedPaths", "compositeIndexes", "vectorIndexes")
    },
)
DEFINITION = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=3) | JSON, "partitionKey": st.just({"paths": ["/pk"]}) | JSON},
    optional={"indexingPolicy": INDEXING, "defaultTtl": JSON, "uniqueKeyPolicy": JSON, "geospatialConfig": JSON},
)
BODIES = (
    st.one_of(
        QUERY, st.lists(OPERATION, max_size=3), PATCH, DEFINITION, JSON, st.fixed_dictionaries({"operations": PATCH})
    )
    .map(lambda value: json.dumps(value).encode())
    .filter(lambda body: b'"id": "d"' not in body)
) | st.binary(max_size=40)
SMALL = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
TOKENS = JSON.map(lambda value: base64.b64encode(json.dumps(value).encode()).decode())
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-ms-documentdb-partitionkey": st.sampled_from(['["a"]', "[{}]", '["\\ud800"]', "[[1]]", "[1e400]"]) | SMALL,
        "x-ms-documentdb-isquery": st.just("true"),
        "x-ms-documentdb-query-enablecrosspartition": st.just("true"),
        "x-ms-documentdb-is-upsert": st.just("true"),
        "x-ms-cosmos-is-batch-request": st.just("true"),
        "x-ms-cosmos-batch-atomic": st.sampled_from(["true", "false"]),
        "x-ms-cosmos-is-query-plan-request": st.just("true"),
        "x-ms-documentdb-partitionkeyrangeid": SMALL,
        "x-ms-max-item-count": st.sampled_from(["-1", "1", "9" * 30, "9" * 5000]) | SMALL,
        "x-ms-continuation": TOKENS | SMALL,
        "a-im": st.sampled_from(["Incremental Feed", "Full-Fidelity Feed"]) | SMALL,
        "if-none-match": st.sampled_from(["*", "9" * 30, '"5"']) | SMALL,
        "if-match": SMALL,
        "if-modified-since": st.sampled_from(["Sat, 99 Nov 99999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 -2359"])
        | SMALL,
        "x-ms-start-epk": SMALL,
        "x-ms-end-epk": SMALL,
        "x-ms-activity-id": SMALL,
        "prefer": st.just("return=minimal"),
        "content-type": SMALL,
    },
)
A: dict[str, str] = {"x-ms-documentdb-partitionkey": '["a"]'}
DOCS = "/dbs/d/colls/c/docs"


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    with running_cosmos() as started:
        yield started


@pytest.fixture(scope="module")
def other(connection: str) -> Iterator[ContainerProxy]:
    """A container of another database, as another client has it."""
    with CosmosClient.from_connection_string(connection) as client:
        container = client.create_database("others").create_container("c", PartitionKey("/pk"))
        container.create_item({"id": "1", "pk": "a", "n": 0})
        yield container


@pytest.fixture(scope="module")
def http(connection: str, other: ContainerProxy) -> Iterator[httpx.Client]:  # noqa: ARG001 -- so that it is there first
    address = connection.removeprefix("AccountEndpoint=").partition("/;")[0]
    with httpx.Client(base_url=address, auth=Signing()) as opened:
        yield opened


def send(http: httpx.Client, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    """Send one request to a database that has what it may be about."""
    http.post("/dbs", json={"id": "d"})
    http.post("/dbs/d/colls", json={"id": "c", "partitionKey": {"paths": ["/pk"]}})
    item: dict[str, Any] = {"id": "1", "pk": "a", "v": 1, "tags": ["x", "y"]}
    http.post(DOCS, json=item, headers=A | {"x-ms-documentdb-is-upsert": "true"})
    return http.request(method, path, headers={name: value.strip() for name, value in headers.items()}, content=body)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]), PATHS, HEADERS, BODIES)
@example("GET", DOCS, {"a-im": "Incremental Feed", "x-ms-start-epk": "00", "x-ms-end-epk": "80"}, b"")
@example("GET", DOCS, {"a-im": "Incremental Feed", "x-ms-start-epk": "00"}, b"")
@example("GET", DOCS, {"a-im": "Incremental Feed", "if-none-match": "9" * 30}, b"")
@example("GET", DOCS, {"x-ms-continuation": base64.b64encode(b'{"of":1,"after":"x"}').decode()}, b"")
@example("POST", DOCS, A | {"x-ms-documentdb-isquery": "true"}, b'{"query":"SELECT 1","parameters":[{"name":[1]}]}')
@example("POST", DOCS, A | {"x-ms-documentdb-isquery": "true"}, b'{"query":"SELECT VALUE \'\\\\ud800\' FROM c"}')
@example(
    "POST",
    DOCS,
    A | {"x-ms-documentdb-isquery": "true"},
    b'{"query":"SELECT VALUE t FROM c JOIN u IN t.x JOIN t IN c.y"}',
)
@example("PATCH", f"{DOCS}/1", A, b'[{"op":"set","path":"/tags/' + b"9" * 5000 + b'","value":1}]')
@example("POST", "/dbs/d/colls", {}, b'{"id":"x","partitionKey":{"paths":["/pk"]},"indexingPolicy":{"indexingMode":5}}')
def test_anything_is_answered_and_others_go_on_working(
    http: httpx.Client, other: ContainerProxy, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    answer = send(http, method, path, headers, body)
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        assert {"code", "message"} <= set(answer.json()), answer.text
        assert "Traceback" not in answer.text
    patched = other.patch_item("1", "a", [{"op": "incr", "path": "/n", "value": 1}])
    assert patched["n"] == other.read_item("1", "a")["n"]
