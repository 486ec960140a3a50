"""Pages of a query, and continuing after one."""

from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

QUERIES = [
    "SELECT VALUE c.n FROM c",
    "SELECT VALUE c.n FROM c WHERE c.n >= 0 ORDER BY c.n",
    "SELECT DISTINCT VALUE c.n FROM c",
    "SELECT VALUE t FROM c JOIN t IN c.twice",
    "SELECT VALUE c.n FROM c OFFSET 0 LIMIT 100",
]


@pytest.fixture
async def numbers(container: ContainerProxy, pk: str) -> ContainerProxy:
    for n in range(10):
        await container.create_item({"id": str(n), "pk": pk, "n": n, "twice": [n]})
    return container


@pytest.mark.parametrize("query", QUERIES)
async def test_the_pages_of_a_query_have_every_result_once(numbers: ContainerProxy, pk: str, query: str) -> None:
    pages = numbers.query_items(query, partition_key=pk, max_item_count=4).by_page()
    sizes = []
    found: list[Any] = []
    async for page in pages:
        results = [result async for result in page]
        sizes.append(len(results))
        found += results
    assert sorted(found) == list(range(10))
    assert max(sizes) == 4


@pytest.mark.parametrize("query", QUERIES)
async def test_a_query_goes_on_where_a_continuation_says(numbers: ContainerProxy, pk: str, query: str) -> None:
    found: list[Any] = []
    token = None
    for _ in range(10):
        pages: Any = numbers.query_items(query, partition_key=pk, max_item_count=3).by_page(token)
        found += [result async for result in await anext(pages)]
        token = pages.continuation_token
        if not token:
            break
    assert sorted(found) == list(range(10))


async def test_top_counts_over_all_pages(numbers: ContainerProxy, pk: str) -> None:
    results = numbers.query_items("SELECT TOP 7 VALUE c.n FROM c", partition_key=pk, max_item_count=3)
    assert len([result async for result in results]) == 7


async def test_deleting_what_was_read_does_not_skip_what_was_not(numbers: ContainerProxy, pk: str) -> None:
    found: list[Any] = []
    async for page in numbers.query_items("SELECT VALUE c.n FROM c", partition_key=pk, max_item_count=4).by_page():
        for n in [result async for result in page]:
            found.append(n)
            await numbers.delete_item(str(n), pk)
    assert sorted(found) == list(range(10))


async def test_a_continuation_that_is_none_is_a_bad_request(numbers: ContainerProxy, pk: str) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        await anext(numbers.query_items("SELECT * FROM c", partition_key=pk).by_page("nonsense"))
    assert refused.value.status_code == 400


async def test_a_large_result_comes_in_pages_without_being_asked(container: ContainerProxy, pk: str) -> None:
    for n in range(6):
        await container.create_item({"id": str(n), "pk": pk, "text": "x" * 1_000_000})
    pages = container.query_items("SELECT * FROM c", partition_key=pk).by_page()
    sizes = [len([item async for item in page]) async for page in pages]
    assert sum(sizes) == 6
    assert max(sizes) < 6
