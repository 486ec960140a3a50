"""Transactional batch: the operations of one partition, all of them or none."""

import json

from infra.local.cosmos import items
from infra.local.cosmos.errors import BadRequestError, CosmosError
from infra.local.cosmos.items import Outcome, Partition
from infra.local.cosmos.replies import CHARGES
from infra.local.cosmos.values import Json

MOST_OPERATIONS = 100
LARGEST = 2 * 1024 * 1024
"""Bytes. Both: https://learn.microsoft.com/azure/cosmos-db/nosql/transactional-batch#limitations"""
MULTI_STATUS = 207
FAILED_DEPENDENCY = 424


def run(partition: Partition, operations: Json) -> tuple[int, list[Json]]:
    """Run the operations; the status of the answer and the result of each.

    If one fails nothing is done: it has its own status, the others have 424, and the answer 207.

    Raises:
        BadRequestError: the batch as a whole is malformed or too long.
    """
    if not isinstance(operations, list) or not operations:
        raise BadRequestError("A batch is a list of operations.")
    if len(operations) > MOST_OPERATIONS:
        raise BadRequestError(f"Batch request has more operations than what is supported: {MOST_OPERATIONS}.")
    results: list[Json] = []
    store, container = partition.store, partition.container
    before = container.sequence
    try:
        with store.transaction(container):
            for operation in operations:
                results.append(_result(_run(partition, operation)))  # noqa: PERF401 -- kept when one raises
    except CosmosError as error:
        container.sequence = before
        failed: list[Json] = [{"statusCode": FAILED_DEPENDENCY, "requestCharge": 0.0} for _ in operations]
        failed[len(results)] = {
            "statusCode": error.status,
            "subStatusCode": error.substatus,
            "requestCharge": CHARGES["refused"],
            "message": error.message,
        }
        return MULTI_STATUS, failed
    return 200, results


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


def _result(outcome: Outcome) -> Json:
    result: Json = {"statusCode": outcome.status, "requestCharge": outcome.charge}
    if outcome.etag is not None:
        result["eTag"] = outcome.etag
    if outcome.body is not None:
        result["resourceBody"] = json.loads(outcome.body)
    return result
