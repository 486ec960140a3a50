"""Filling a container with a customer's orders: each folded from the log, written once, with its share of the summary.

It goes on beside live events, in any order, and can begin again: an order that is there already is left alone.
"""

import asyncio
import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from shared.messaging.container import Container, replaced
from shared.ordering.views.customer_summary import SUMMARY
from shared.ordering.views.order_documents import CustomersOrders, History
from shared.platform.reading import point_read

BATCH_DOCUMENTS, BATCH_BYTES = 90, 1_500_000
"""Of one batch; Cosmos DB takes 100 operations and 2 MB."""

_RACES = frozenset({404, 409, 412})


async def fill_orders(container: Container, customer: CustomersOrders, *, is_new: bool) -> tuple[int, int]:
    """Write a customer's orders that are not there, and tell how many documents that were, of how many events.

    Args:
        container: the container that is filled.
        customer: some of the customer's orders, or all.
        is_new: whether filling comes to the customer for the first time, and takes the summary for missing.
    """
    partition_key = str(customer.customer_id)
    summary = None if is_new else await point_read(container, SUMMARY, partition_key)
    written = events = 0
    for chunk in _chunks(customer) if customer.histories else [[]]:
        left: Sequence[tuple[History, dict[str, Any]]] = chunk
        while left or summary is None or summary["customerVersion"] < customer.name.version:
            fresh = customer.summary((history for history, _ in left), summary)
            batch: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
                ("create", (document,), {}) for _, document in left
            ]
            if summary is None:
                batch.append(("create", (fresh,), {}))
            else:
                batch.append(("replace", (SUMMARY, fresh), {"if_match_etag": summary["_etag"]}))
            try:
                results = await container.execute_item_batch(batch, partition_key)
            except ResourceNotFoundError:  # not an operation of the batch: the container itself
                raise
            except HttpResponseError as error:
                if error.status_code not in _RACES:
                    raise
                # an order is there already, or the summary has changed: an event came first
                summary = await point_read(container, SUMMARY, partition_key)
                left = await _missing(container, customer, left)
            else:
                written += len(left) + (summary is None)
                events += sum(len(history) for history, _ in left)
                summary = results[-1]["resourceBody"]
                left = []
    return written, events


async def _missing(
    container: Container, customer: CustomersOrders, chunk: Sequence[tuple[History, dict[str, Any]]]
) -> Sequence[tuple[History, dict[str, Any]]]:
    """Give the orders that are not there. Those that are get the names that they were renamed to before they came."""
    there = await asyncio.gather(*(_renamed(container, customer, document["id"]) for _, document in chunk))
    return [order for order, is_there in zip(chunk, there, strict=True) if not is_there]


async def _renamed(container: Container, customer: CustomersOrders, order_id: str) -> bool:
    while (before := await point_read(container, order_id, str(customer.customer_id))) is not None:
        document = copy.deepcopy(dict(before))
        if not customer.rename(document):
            return True
        if await replaced(container, {**document, "renames": document["renames"] + 1}, before):
            return True
    return False


def _chunks(customer: CustomersOrders) -> Iterator[list[tuple[History, dict[str, Any]]]]:
    chunk: list[tuple[History, dict[str, Any]]] = []
    size = 0
    for history in customer.histories:
        document = customer.order(history)
        its_size = len(json.dumps(document))
        if chunk and (len(chunk) == BATCH_DOCUMENTS or size + its_size > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append((history, document))
        size += its_size
    if chunk:
        yield chunk
