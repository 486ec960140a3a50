"""Queries in one partition: what is selected, how values compare, and what is refused."""

from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

ITEMS: list[dict[str, Any]] = [
    {
        "id": "1",
        "name": "Ada",
        "age": 36,
        "city": "London",
        "tags": ["x", "y"],
        "lines": [{"sku": "a", "n": 1}],
        "ok": True,
    },
    {"id": "2", "name": "Bob", "age": 25, "city": "Paris", "tags": ["y"], "lines": [], "ok": False, "a-b": 7},
    {
        "id": "3",
        "name": "cleo",
        "age": 47.5,
        "city": "London",
        "tags": [],
        "nick": None,
        "lines": [{"sku": "b", "n": 2}],
    },
    {"id": "4", "name": "Dan", "age": "36", "deep": {"er": {"est": 1}}, "order": "reserved"},
]


@pytest.fixture
async def people(container: ContainerProxy, pk: str) -> ContainerProxy:
    for item in ITEMS:
        await container.create_item({**item, "pk": pk})
    return container


async def run(container: ContainerProxy, pk: str, query: str, **parameters: Any) -> list[Any]:
    given: list[dict[str, object]] = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    return [result async for result in container.query_items(query, parameters=given, partition_key=pk)]


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("c.age = 36", "1"),
        ("c.age = 36.0", "1"),
        ("c.age = '36'", "4"),
        ("c.age != 36", "234"),
        ("c.age <> 36", "234"),
        ("c.age > 25", "13"),
        ("c.age >= 25 AND c.age < 40", "12"),
        ("c.age BETWEEN 25 AND 36", "12"),
        ("c.age NOT BETWEEN 25 AND 36", "3"),
        ("c.age > '3'", "4"),
        ("c.name < 'B'", "1"),
        ("c.city = 'London' OR c.city = 'Paris'", "123"),
        ("NOT c.city = 'London'", "2"),
        ("NOT (c.city = 'London')", "2"),
        ("c.city != 'London'", "2"),
        ("c.city IN ('Paris', \"Rome\")", "2"),
        ("c.city NOT IN ('Paris', 'Rome')", "13"),
        ("c.ok", "1"),
        ("NOT c.ok", "2"),
        ("c.ok = true", "1"),
        ("c.ok = 1", ""),
        ("c.ok != 1", "12"),
        ("NOT c.nick", ""),
        ("c.age", ""),
        ("c.nick = null", "3"),
        ("c.nick != null", ""),
        ("c.city != null", "123"),
        ("IS_DEFINED(c.nick)", "3"),
        ("NOT IS_DEFINED(c.nick)", "124"),
        ("IS_NULL(c.nick)", "3"),
        ("IS_NUMBER(c.age)", "123"),
        ("c.nick = undefined", ""),
        ("c.absent = c.absent", ""),
        ("c.absent = 1 OR c.age = 36", "1"),
        ("c.absent = 1 AND c.age = 36", ""),
        ("c.name LIKE '%a%'", "14"),
        ("c.name LIKE '_da'", "1"),
        ("c.name LIKE '[A-B]%'", "12"),
        ("c.name NOT LIKE '%a%'", "23"),
        ("STARTSWITH(c.name, 'A')", "1"),
        ("STARTSWITH(c.name, 'C', true)", "3"),
        ("ENDSWITH(c.name, 'b')", "2"),
        ("CONTAINS(c.name, 'a')", "14"),
        ("CONTAINS(c.name, 'A', true)", "14"),
        ("LOWER(c.name) = 'ada' OR UPPER(c.name) = 'CLEO'", "13"),
        ("ARRAY_CONTAINS(c.tags, 'y')", "12"),
        ("ARRAY_CONTAINS(c.lines, {'sku': 'a'}, true)", "1"),
        ("ARRAY_CONTAINS(c.lines, {'sku': 'a'})", ""),
        ("ARRAY_LENGTH(c.tags) = 0", "3"),
        ("c.tags = ['y']", "2"),
        ("c.deep = {'er': {'est': 1}}", "4"),
        ("c.deep.er.est = 1", "4"),
        ('c["deep"].er["est"] = 1', "4"),
        ("c['a-b'] = 7", "2"),
        ('c["order"] = "reserved"', "4"),
        ("c.lines[0].sku = 'b'", "3"),
        ("c.lines[5].sku = 'b'", ""),
        ("c.age * 2 - 22 = 50", "1"),
        ("c.age % 5 = 0", "2"),
        ("-c.age = -25", "2"),
        ("c.name || '!' = 'Bob!'", "2"),
        ("c.AGE = 36", ""),
        ("c.id = @id", "3"),
        ("ARRAY_CONTAINS(@ids, c.id)", "13"),
        ("c.city = @city AND c.age > @age", "3"),
    ],
)
async def test_a_condition_selects(people: ContainerProxy, pk: str, condition: str, ids: str) -> None:
    query = f"SELECT VALUE c.id FROM c WHERE {condition}"  # noqa: S608 -- the data of the test
    found = await run(people, pk, query, id="3", ids=["1", "3"], city="London", age=40)
    assert "".join(sorted(found)) == ids


@pytest.mark.parametrize(
    ("query", "results"),
    [
        ("SELECT c.id, c.age FROM c WHERE c.id = '1'", [{"id": "1", "age": 36}]),
        ("SELECT c.id, c.absent FROM c WHERE c.id = '1'", [{"id": "1"}]),
        ("SELECT c.name AS n, c.deep.er FROM c WHERE c.id = '4'", [{"n": "Dan", "er": {"est": 1}}]),
        ("SELECT c.age + 1, c.id FROM c WHERE c.id = '1'", [{"$1": 37, "id": "1"}]),
        ("SELECT VALUE c.absent FROM c", []),
        ("SELECT VALUE c.nick FROM c", [None]),
        (
            "SELECT VALUE {'a': c.age, 'b': [c.id, c.absent], 'c': c.absent} FROM c WHERE c.id = '1'",
            [{"a": 36, "b": ["1"]}],
        ),
        ("SELECT VALUE p.name FROM people p WHERE p.id = '1'", ["Ada"]),
        ("SELECT VALUE p.name FROM people AS p WHERE p.id = '1'", ["Ada"]),
        ("select value c.name from c where c.id = '1'", ["Ada"]),
        ("SELECT VALUE 'it\\'s \\u0041 \"q\"' FROM c WHERE c.id = '1'", ['it\'s A "q"']),
        ("SELECT TOP 2 VALUE c.id FROM c ORDER BY c.id DESC", ["4", "3"]),
        ("SELECT VALUE c.name FROM c ORDER BY c.name", ["Ada", "Bob", "Dan", "cleo"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.age", ["2", "1", "3", "4"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.age DESC", ["4", "3", "1", "2"]),
        ("SELECT VALUE c.id FROM c WHERE IS_DEFINED(c.city) ORDER BY c.city ASC, c.age DESC", ["3", "1", "2"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 1 LIMIT 2", ["2", "3"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 9 LIMIT 2", []),
        (
            "SELECT c.id, t FROM c JOIN t IN c.tags WHERE t = 'y' ORDER BY c.id",
            [{"id": "1", "t": "y"}, {"id": "2", "t": "y"}],
        ),
        ("SELECT VALUE l.n FROM c JOIN l IN c.lines WHERE l.n > 1", [2]),
        ("SELECT DISTINCT VALUE c.city FROM c ORDER BY c.city", ["London", "Paris"]),
        ("SELECT VALUE COUNT(1) FROM c", [4]),
        ("SELECT VALUE COUNT(c.city) FROM c", [3]),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.id = 'absent'", [0]),
        ("SELECT VALUE SUM(c.age) FROM c WHERE c.id != '4'", [108.5]),
        ("SELECT VALUE AVG(c.age) FROM c WHERE c.id IN ('1', '2')", [30.5]),
        ("SELECT VALUE MIN(c.age) FROM c", [25]),
        ("SELECT VALUE MAX(c.name) FROM c", ["cleo"]),
        ("SELECT COUNT(1) AS n, MAX(c.id) AS last FROM c WHERE c.city = 'London'", [{"n": 2, "last": "3"}]),
        ("SELECT VALUE SUM(l.n) FROM c JOIN l IN c.lines", [3]),
    ],
)
async def test_a_query_gives(people: ContainerProxy, pk: str, query: str, results: list[Any]) -> None:
    assert await run(people, pk, query) == results


@pytest.mark.parametrize(
    ("query", "results"),
    [
        ("SELECT VALUE 1", [1]),
        ("SELECT VALUE t FROM t IN c.tags", ["x", "y", "y"]),
        ("SELECT VALUE d.est FROM c.deep.er AS d", [1]),
        ("SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE l FROM l IN c.lines WHERE l.n > 1)", ["3"]),
        ("SELECT VALUE ARRAY(SELECT VALUE t FROM t IN c.tags WHERE t != 'x') FROM c", [["y"], ["y"], [], []]),
        ("SELECT c.id, (SELECT VALUE COUNT(1) FROM t IN c.tags) AS n FROM c WHERE c.id < '2'", [{"id": "1", "n": 2}]),
        ("SELECT VALUE s FROM c JOIN (SELECT VALUE l.sku FROM l IN c.lines) AS s", ["a", "b"]),
        (
            "SELECT c.city, COUNT(1) AS n FROM c GROUP BY c.city",
            [{"city": "London", "n": 2}, {"city": "Paris", "n": 1}, {"n": 1}],
        ),
        ("SELECT VALUE c.nick ?? c.city ?? 'none' FROM c", ["London", "Paris", None, "none"]),
        ("SELECT VALUE c.ok ? 'yes' : 'no' FROM c", ["yes", "no", "no", "no"]),
        ("SELECT VALUE IIF(c.ok, c.id, 0) FROM c", ["1", 0, 0, 0]),
        ("SELECT VALUE CONCAT(c.name, '!') FROM c WHERE LENGTH(c.name) = 4", ["cleo!"]),
        (
            "SELECT VALUE [ABS(-1.5), ROUND(2.5), ROUND(-2.5), FLOOR(-0.5), CEILING(0.5), SIGN(-3)]",
            [[1.5, 3, -3, -1, 1, -1]],
        ),
        (
            "SELECT VALUE [LEFT('abc', 2), RIGHT('abc', 2), SUBSTRING('abc', 1, 1), REPLACE('abc', 'b', 'x')]",
            [["ab", "bc", "b", "axc"]],
        ),
        (
            "SELECT VALUE [INDEX_OF('abc', 'c'), ARRAY_SLICE([1, 2, 3], 1), TRIM(' a '), POWER(2, 3)]",
            [[2, [2, 3], "a", 8]],
        ),
        ("SELECT VALUE '\\ud83d\\ude00' = '😀'", [True]),
    ],
)
async def test_a_query_of_more_than_items_gives(
    people: ContainerProxy, pk: str, query: str, results: list[Any]
) -> None:
    assert await run(people, pk, query) == results


async def test_select_star_gives_whole_items(people: ContainerProxy, pk: str) -> None:
    found = await run(people, pk, "SELECT * FROM c WHERE c.id = '2'")
    assert found == [dict(await people.read_item("2", pk))]


async def test_a_query_sees_one_partition_only(people: ContainerProxy, pk: str) -> None:
    assert await run(people, pk + "-other", "SELECT * FROM c") == []


async def test_items_without_the_sorted_property_are_left_out_unless_its_index_is_named(
    container: ContainerProxy, pk: str
) -> None:
    await container.create_item({"id": "1", "pk": pk, "rank": 2, "size": 2})
    await container.create_item({"id": "2", "pk": pk})
    assert await run(container, pk, "SELECT VALUE c.id FROM c ORDER BY c.size") == ["1"]
    assert await run(container, pk, "SELECT VALUE c.id FROM c ORDER BY c.rank") == ["2", "1"]


async def test_what_is_not_indexed_can_be_filtered_by_but_not_sorted_by(container: ContainerProxy, pk: str) -> None:
    await container.create_item({"id": "1", "pk": pk, "hidden": {"so": 1, "but": 2}})
    assert await run(container, pk, "SELECT VALUE c.id FROM c WHERE c.hidden.so = 1") == ["1"]
    assert await run(container, pk, "SELECT VALUE c.id FROM c ORDER BY c.hidden.but") == ["1"]
    with pytest.raises(CosmosHttpResponseError) as refused:
        await run(container, pk, "SELECT VALUE c.id FROM c ORDER BY c.hidden.so")
    assert refused.value.status_code == 400


async def test_values_of_different_types_are_sorted_by_type(container: ContainerProxy, pk: str) -> None:
    values: list[Any] = ["text", 3, True, None, False, -1]
    for number, value in enumerate(values):
        await container.create_item({"id": str(number), "pk": pk, "v": value})
    ascending = await run(container, pk, "SELECT VALUE c.v FROM c ORDER BY c.v")
    assert ascending == [None, False, True, -1, 3, "text"]


@pytest.mark.parametrize(
    "query",
    [
        "SELEC * FROM c",
        "SELECT * FROM",
        "SELECT * FROM c WHERE",
        "SELECT * FROM c WHERE c.a ==",
        "SELECT c.order FROM c",
        "SELECT * FROM c WHERE c.id = 'unterminated",
        "SELECT * FROM c WHERE x.id = 1",
        "SELECT * FROM c WHERE NO_SUCH_FUNCTION(c.id)",
        "SELECT * FROM c WHERE STARTSWITH(c.id)",
        "SELECT * FROM c WHERE c.id = @undeclared",
        "SELECT * FROM c ORDER BY c.id, c.name",
        "SELECT * FROM c JOIN t IN c.tags",
        "SELECT c.id, COUNT(1) FROM c",
        "SELECT * FROM c OFFSET 1",
        "SELECT TOP -1 * FROM c",
        "SELECT * FROM c; DROP c",
    ],
)
async def test_a_wrong_query_is_a_bad_request(container: ContainerProxy, pk: str, query: str) -> None:
    await container.create_item({"id": "1", "pk": pk})
    with pytest.raises(CosmosHttpResponseError) as refused:
        await run(container, pk, query)
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    ("query", "results"),
    [
        ("SELECT VALUE c.n FROM c WHERE c.of = @of ORDER BY c.n DESC", [3, 2, 1]),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.of = @of", [3]),
        ("SELECT DISTINCT VALUE c.of FROM c WHERE c.of = @of", ["@of"]),
        ("SELECT VALUE c.n FROM c WHERE c.of = @of ORDER BY c.n OFFSET 1 LIMIT 1", [2]),
    ],
)
async def test_a_query_across_partitions_gives_one_result_of_all(
    container: ContainerProxy, pk: str, query: str, results: list[Any]
) -> None:
    for n in (2, 3, 1):
        await container.create_item({"id": str(n), "pk": f"{pk}-{n}", "of": pk, "n": n})
    found = container.query_items(query, parameters=[{"name": "@of", "value": pk}])
    assert [result async for result in found] == [pk if result == "@of" else result for result in results]


async def test_a_filter_across_partitions_finds_items_of_each(container: ContainerProxy, pk: str) -> None:
    for partition in (pk, pk + "-other"):
        await container.create_item({"id": "1", "pk": partition, "mark": pk})
    mark: list[dict[str, object]] = [{"name": "@mark", "value": pk}]
    query = "SELECT VALUE c.pk FROM c WHERE c.mark = @mark"
    found: list[Any] = [result async for result in container.query_items(query, parameters=mark)]
    assert sorted(found) == [pk, pk + "-other"]


@pytest.mark.service_only
async def test_the_feed_ranges_can_be_queried_one_by_one(container: ContainerProxy, pk: str) -> None:
    for partition in (pk, pk + "-other"):
        await container.create_item({"id": "1", "pk": partition, "mark": pk})
    mark: list[dict[str, object]] = [{"name": "@mark", "value": pk}]
    query = "SELECT VALUE c.pk FROM c WHERE c.mark = @mark"
    found: list[Any] = []
    async for feed_range in container.read_feed_ranges():
        found += [it async for it in container.query_items(query, parameters=mark, feed_range=feed_range)]
    assert sorted(found) == [pk, pk + "-other"]


async def test_many_items_are_read_at_once(container: ContainerProxy, pk: str) -> None:
    for number in range(4):
        await container.create_item({"id": str(number), "pk": pk})
    found = await container.read_items([(str(number), pk) for number in (3, 0, 9, 2)])
    assert [item["id"] for item in found] == ["3", "0", "2"]
