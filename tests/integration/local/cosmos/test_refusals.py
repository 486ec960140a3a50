"""What this engine does not support says so, and malformed requests are answered, not crashed on."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azure.cosmos import ContainerProxy, CosmosClient, DatabaseProxy, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

from tests.support.cosmos import Signing, running_cosmos

NOT_SUPPORTED = "not supported by this engine"
QUERY = {"x-ms-documentdb-isquery": "true", "content-type": "application/query+json"}
DOUBLED = "JOIN (SELECT VALUE CONCAT(x{0}, x{0})) AS x{1}"
IN_A: dict[str, str] = {"x-ms-documentdb-partitionkey": '["a"]'}


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    with running_cosmos() as started:
        yield started


@pytest.fixture(scope="module")
def database(connection: str) -> Iterator[DatabaseProxy]:
    with CosmosClient.from_connection_string(connection) as client:
        yield client.create_database("d")


@pytest.fixture(scope="module")
def container(database: DatabaseProxy) -> ContainerProxy:
    made = database.create_container("c", PartitionKey("/pk"))
    made.create_item({"id": "1", "pk": "a"})
    return made


@pytest.fixture
def http(connection: str, container: ContainerProxy) -> Iterator[httpx.Client]:
    """A client of the container's address, below which items are."""
    address = connection.removeprefix("AccountEndpoint=").partition("/;")[0]
    with httpx.Client(base_url=f"{address}/dbs/d/colls/{container.id}", auth=Signing()) as opened:
        yield opened


@pytest.mark.parametrize(
    "body",
    [
        {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/email"]}]}},
        {"partitionKey": {"paths": ["/a", "/b"], "kind": "MultiHash", "version": 2}},
        {"vectorEmbeddingPolicy": {"vectorEmbeddings": []}},
        {"partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 1}},
        {"computedProperties": [{"name": "x", "query": "SELECT VALUE 1 FROM c"}]},
    ],
    ids=["unique keys", "hierarchical", "vectors", "old hash", "computed"],
)
def test_a_container_that_needs_more_is_refused(http: httpx.Client, body: dict[str, Any]) -> None:
    definition = {"id": "x", "partitionKey": {"paths": ["/pk"], "kind": "Hash"}, **body}
    answer = http.post(str(http.base_url.copy_with(path="/dbs/d/colls")), json=definition)
    assert answer.status_code == 400
    assert NOT_SUPPORTED in answer.json()["message"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM (SELECT * FROM c)",
        "SELECT VALUE x FROM c JOIN x IN (SELECT VALUE c.tags)",
        "SELECT VALUE ARRAY(SELECT VALUE t FROM t IN c.tags ORDER BY t.x) FROM c",
        "SELECT COUNT(1) AS n, (SELECT VALUE c.id) AS one FROM c",
        "SELECT VALUE t FROM t IN c.tags ORDER BY t.x",
        "SELECT VALUE c.a | 1 FROM c",
        "SELECT VALUE udf.f(c) FROM c",
        "SELECT VALUE c[c.id] FROM c",
        "SELECT * FROM c WHERE RegexMatch(c.id, 'a')",
    ],
)
def test_a_query_that_needs_more_is_refused(container: ContainerProxy, query: str) -> None:
    with pytest.raises(CosmosHttpResponseError, match=NOT_SUPPORTED) as refused:
        list(container.query_items(query, partition_key="a"))
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    "policy",
    [
        [],
        {"includedPaths": "/*"},
        {"includedPaths": [{"path": 1}]},
        {"excludedPaths": [{"path": "a"}]},
        {"compositeIndexes": [{"path": "/a"}]},
        {"compositeIndexes": [[{"path": "/a", "order": 1}]]},
        {"compositeIndexes": 5},
        {"indexingMode": 5},
        {"automatic": "yes"},
        {"vectorIndexes": [{"path": "/v", "type": "flat"}]},
    ],
    ids=str,
)
def test_an_indexing_policy_that_is_none_is_a_bad_request(http: httpx.Client, policy: Any) -> None:
    definition = {"id": "x", "partitionKey": {"paths": ["/pk"], "kind": "Hash"}, "indexingPolicy": policy or 1}
    assert http.post(str(http.base_url.copy_with(path="/dbs/d/colls")), json=definition).status_code == 400


@pytest.mark.parametrize("query", ["SELECT * FROM c ORDER BY c.id", "SELECT VALUE COUNT(1) FROM c"])
def test_a_sorting_query_across_partitions_is_for_clients_that_ask_for_a_plan(http: httpx.Client, query: str) -> None:
    headers = {**QUERY, "x-ms-documentdb-query-enablecrosspartition": "True"}
    answer = http.post("/docs/", headers=headers, json={"query": query})
    assert (answer.status_code, answer.headers["x-ms-substatus"]) == (400, "1004")


def test_all_versions_of_the_change_feed_are_refused(container: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError, match=NOT_SUPPORTED):
        list(container.query_items_change_feed(mode="AllVersionsAndDeletes"))


def test_throughput_and_stored_procedures_are_refused(container: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError, match=NOT_SUPPORTED):
        container.get_throughput()
    with pytest.raises(CosmosHttpResponseError, match=NOT_SUPPORTED):
        container.scripts.create_stored_procedure({"id": "s", "body": ""})


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        (IN_A, b"{"),
        (IN_A, b""),
        (IN_A, b"[]"),
        (IN_A, b'{"id": "2", "pk": "a", "n": 1e999}'),
        (IN_A, b'{"id": "2", "pk": "a", "n": NaN}'),
        (IN_A, b'{"id": "2", "pk": "a", "text": "\\ud800"}'),
        (IN_A, b'{"id": "2", "pk": "a", "text": "\xff"}'),
        (IN_A, b'{"id": "2", "pk": "a", "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        (IN_A, b'{"id": "2", "pk": "b"}'),
        (IN_A, b'{"id": "a/b", "pk": "a"}'),
        (IN_A, b'{"id": "", "pk": "a"}'),
        (IN_A, b'{"id": 2, "pk": "a"}'),
        ({}, b'{"id": "2", "pk": "a"}'),
        ({"x-ms-documentdb-partitionkey": '["a","b"]'}, b'{"id": "2", "pk": "a"}'),
        ({"x-ms-documentdb-partitionkey": '[["a"]]'}, b'{"id": "2", "pk": ["a"]}'),
        ({"x-ms-documentdb-partitionkey": "nonsense"}, b'{"id": "2", "pk": "a"}'),
        ({**IN_A, "if-none-match": "*"}, b'{"id": "2", "pk": "a"}'),
        ({**IN_A, **QUERY}, b"{}"),
        ({**IN_A, **QUERY}, b'{"query": "SELECT * FROM c", "parameters": {"@a": 1}}'),
        ({**IN_A, **QUERY, "x-ms-max-item-count": "many"}, b'{"query": "SELECT * FROM c"}'),
        ({**IN_A, **QUERY, "x-ms-continuation": "bnVsbA=="}, b'{"query": "SELECT * FROM c"}'),
        ({**IN_A, "x-ms-cosmos-is-batch-request": "True"}, b"{}"),
        ({**IN_A, "x-ms-cosmos-intended-collection-rid": "another"}, b'{"id": "2", "pk": "a"}'),
    ],
    ids=range(23),
)
def test_a_malformed_request_is_a_bad_request_with_a_message(
    http: httpx.Client, headers: dict[str, str], content: bytes
) -> None:
    answer = http.post("/docs/", headers=headers, content=content)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] == "BadRequest"


@pytest.mark.parametrize(
    "query",
    [
        "(" * 5000,
        "SELECT VALUE " + "(" * 5000 + "1" + ")" * 5000 + " FROM c",
        "SELECT * FROM c WHERE " + "c.a = 1 OR " * 5000 + "true",
    ],
)
def test_a_query_nested_too_deeply_is_a_bad_request(http: httpx.Client, query: str) -> None:
    assert http.post("/docs/", headers={**IN_A, **QUERY}, json={"query": query}).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        " ".join(["SELECT VALUE 1 FROM c", *(f"JOIN a{n} IN c.many" for n in range(10))]),
        "SELECT VALUE 1 FROM c WHERE " + "EXISTS(SELECT VALUE 1 FROM t IN c.many WHERE " * 10 + "false" + ")" * 10,
        " ".join(
            ["SELECT VALUE x40 FROM c JOIN (SELECT VALUE 'xx') AS x0", *map(DOUBLED.format, range(40), range(1, 41))]
        ),
        "".join(["SELECT VALUE REPLACE('", "a" * 100_000, "', 'a', '", "b" * 100_000, "') FROM c"]),
    ],
    ids=["joins", "subqueries", "concat", "replace"],
)
def test_a_query_without_end_is_refused_and_soon(http: httpx.Client, query: str) -> None:
    many = {"id": "many", "pk": "m", "many": list(range(1000))}
    in_m = {"x-ms-documentdb-partitionkey": '["m"]'}
    http.post("/docs/", headers={**in_m, "x-ms-documentdb-is-upsert": "true"}, json=many)
    answer = http.post("/docs/", headers={**in_m, **QUERY}, json={"query": query}, timeout=20)
    assert answer.status_code == 400
    assert NOT_SUPPORTED in answer.json()["message"]


def test_a_condition_nested_in_itself_is_compiled_once(http: httpx.Client) -> None:
    query = "SELECT * FROM c WHERE " + "(" * 30 + "c.n" + " BETWEEN 1 AND 2)" * 30
    assert http.post("/docs/", headers={**IN_A, **QUERY}, json={"query": query}, timeout=20).status_code == 200


def test_a_huge_request_is_refused_without_being_read_to_its_end(http: httpx.Client) -> None:
    assert http.post("/docs/", headers=IN_A, content=b" " * 5_000_000).status_code == 413


def test_an_operation_of_a_batch_with_an_id_that_is_no_text_fails_alone(http: httpx.Client) -> None:
    batch = [{"operationType": "Read", "id": {}}, {"operationType": "Read", "id": "1"}]
    answer = http.post("/docs/", headers={**IN_A, "x-ms-cosmos-is-batch-request": "True"}, json=batch)
    assert [result["statusCode"] for result in answer.json()] == [400, 424]


def test_an_unknown_address_or_method_says_so(http: httpx.Client) -> None:
    assert NOT_SUPPORTED in http.get("/udfs/").json()["message"]
    assert http.put("/docs/").status_code == 405
    assert http.head("/docs/1/", headers=IN_A).status_code == 200


def test_a_recreated_container_is_told_by_its_sub_status(http: httpx.Client) -> None:
    headers = {**IN_A, "x-ms-cosmos-intended-collection-rid": "another"}
    assert http.get("/docs/1/", headers=headers).headers["x-ms-substatus"] == "1024"


def test_nothing_malformed_was_stored(container: ContainerProxy) -> None:
    assert [item["id"] for item in container.query_items("SELECT * FROM c", partition_key="a")] == ["1"]
