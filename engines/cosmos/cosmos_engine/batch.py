"""Many operations in one request: a transactional batch, all or none of one partition, and bulk, each on its own."""

import json

from cosmos_engine import items
from cosmos_engine.definitions import Container
from cosmos_engine.errors import BadRequestError, CosmosError
from cosmos_engine.items import Outcome, Partition, partition_of_header
from cosmos_engine.replies import CHARGES
from cosmos_engine.store import Store
from cosmos_engine.values import Json

MOST_OPERATIONS = 100
LARGEST = 2 * 1024 * 1024
"""Bytes. Both: https://learn.microsoft.com/azure/cosmos-db/nosql/transactional-batch#limitations"""
MULTI_STATUS = 207
FAILED_DEPENDENCY = 424
UNTRIED: Json = {"statusCode": FAILED_DEPENDENCY, "requestCharge": 0.0}
BAD_REQUEST = 400


def run(partition: Partition, operations: Json) -> tuple[int, list[Json]]:
    """Run the operations as one; the status of the answer and the result of each.

    If one fails nothing is done: it has its own status, the others have 424, and the answer 207.

    Raises:
        BadRequestError: the batch as a whole is malformed or too long.
    """
    operations = _checked(operations)
    results: list[Json] = []
    store, container = partition.store, partition.container
    before = container.sequence
    try:
        with store.transaction(container):
            for operation in operations:
                results.append(_result(operation, _run(partition, operation)))  # noqa: PERF401 -- kept when one raises
    except CosmosError as error:
        container.sequence = before
        failed: list[Json] = [UNTRIED for _ in operations]
        failed[len(results)] = _failure(error)
        return MULTI_STATUS, failed
    return 200, results


def run_each(store: Store, container: Container, operations: Json, *, to_the_end: bool) -> tuple[int, list[Json]]:
    """Run operations that name a partition each, one after the other; the status of the answer and the result of each.

    Args:
        store: the store that they change.
        container: whose items they are about.
        operations: the batch's operations, each with its partitionKey, which is JSON text.
        to_the_end: whether operations after a failed one are run as well; otherwise they get 424.

    Raises:
        BadRequestError: the batch as a whole is malformed or too long.
    """
    results: list[Json] = []
    for operation in _checked(operations):
        before = container.sequence
        try:
            with store.transaction(container):
                results.append(_result(operation, _run(_partition(store, container, operation), operation)))
        except CosmosError as error:
            container.sequence = before
            results.append(_failure(error))
            if not to_the_end:
                break
    results += [UNTRIED for _ in operations[len(results) :]]
    return 200 if all(result["statusCode"] < BAD_REQUEST for result in results) else MULTI_STATUS, results


def _checked(operations: Json) -> list[Json]:
    if not isinstance(operations, list):
        raise BadRequestError("A batch is a list of operations.")
    if not operations:  # in the service's words, by azure-cosmos' own test_transactional_batch.py
        raise BadRequestError("Batch request has no operations.")
    if len(operations) > MOST_OPERATIONS:
        raise BadRequestError(f"Batch request has more operations than what is supported: {MOST_OPERATIONS}.")
    return operations


def _partition(store: Store, container: Container, operation: Json) -> Partition:
    text = operation.get("partitionKey") if isinstance(operation, dict) else None
    if not isinstance(text, str):
        raise BadRequestError("PartitionKey value must be supplied for each operation of a bulk request, as JSON text.")
    return Partition(store, container, partition_of_header(text))


def _failure(error: CosmosError) -> Json:
    return {
        "statusCode": error.status,
        "subStatusCode": error.substatus,
        "requestCharge": CHARGES["refused"],
        "message": error.message,
    }


def _run(partition: Partition, operation: Json) -> Outcome:
    if not isinstance(operation, dict):
        raise BadRequestError("An operation of a batch is a JSON object.")
    item_id, body, if_match = operation.get("id", ""), operation.get("resourceBody"), operation.get("ifMatch")
    if not isinstance(item_id, str) or not isinstance(if_match, str | None):
        raise BadRequestError("The id and ifMatch of an operation are strings.")
    verb = operation.get("operationType")
    if verb != "Read" and "ifNoneMatch" in operation:
        raise BadRequestError("ifNoneMatch is supported for reads only.")
    match verb:
        case "Create":
            return items.create(partition, body)
        case "Upsert":
            return items.upsert(partition, body, if_match)
        case "Replace":
            return items.replace(partition, item_id, body, if_match)
        case "Read":
            return items.read(partition, item_id, operation.get("ifNoneMatch"))
        case "Delete":
            return items.delete(partition, item_id, if_match)
        case "Patch":
            return items.patch(partition, item_id, body, if_match)
        case _:
            raise BadRequestError(f"The batch operation type '{verb}' is not supported by this engine.")


def _result(operation: Json, outcome: Outcome) -> Json:
    result: Json = {"statusCode": outcome.status, "requestCharge": outcome.charge}
    if outcome.etag is not None:
        result["eTag"] = outcome.etag
    if outcome.body is not None and not operation.get("minimalReturnPreference"):
        result["resourceBody"] = json.loads(outcome.body)
    return result
