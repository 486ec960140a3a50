"""The Cosmos engine within: hashes of partition keys and binary batches beside the clients' own, and its faults."""

import json

import httpx
import pytest
from azure.cosmos.partition_key import NonePartitionKeyValue, PartitionKey
from hypothesis import given
from hypothesis import strategies as st

from cosmos_engine import batch, binary
from cosmos_engine.app import build
from cosmos_engine.errors import BadRequestError
from cosmos_engine.hashing import hashed
from cosmos_engine.store import Store

KEYS: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.just({})
)
BATCH = bytes.fromhex(
    "81f0d8ff7f010a00000081f1d8ff7f230000002a631f8f817054e17f43140000000200000014"
    "7b226964223a2279222c22706b223a226274227d81f1d8ff7f2b0000006c43cfae817054e17f"
    "53050000000200000001781"
    "47b226964223a2278222c22706b223a226274227d140903227322"
)
"""What Microsoft.Azure.Cosmos 3.64 sent for an upsert and a conditional replace."""


@given(KEYS)
def test_a_partition_key_is_hashed_as_the_client_hashes_it(key: object) -> None:
    value = NonePartitionKeyValue if key == {} else key
    theirs = PartitionKey("/unused")._get_effective_partition_key_string([value])  # type: ignore[list-item]
    assert hashed(json.dumps([key])) == theirs


def test_a_binary_batch_is_read_as_the_net_client_wrote_it() -> None:
    assert binary.is_binary(BATCH)
    assert binary.read(BATCH) == [
        {"operationType": "Upsert", "resourceBody": {"id": "y", "pk": "bt"}},
        {"operationType": "Replace", "id": "x", "ifMatch": '"s"', "resourceBody": {"id": "x", "pk": "bt"}},
    ]


@given(st.data())
def test_a_damaged_binary_batch_is_a_bad_request(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(BATCH) - 1))
    octet = data.draw(st.integers(0, 255).filter(lambda octet: octet != BATCH[place]))
    cut = data.draw(st.integers(place, len(BATCH)))
    damaged = (BATCH[:place] + bytes([octet]) + BATCH[place + 1 :])[:cut]
    try:
        batch._checked(binary.read(damaged))
    except BadRequestError:
        return
    # the bits of a segment that say nothing, and whole records less: how many there are is not said
    assert place < binary.HEADER.size or place == cut
    assert cut in (58, len(BATCH))


async def test_a_fault_of_the_engine_is_told_in_cosmos_s_own_form() -> None:
    store = Store(":memory:")
    engine = httpx.ASGITransport(build(store), raise_app_exceptions=False)
    store.close()
    async with httpx.AsyncClient(transport=engine, base_url="http://localhost") as client:
        answer = await client.get("/dbs")
    assert answer.status_code == 500
    assert answer.json()["code"] == "InternalServerError"
    assert answer.headers["x-ms-activity-id"]
    assert "Traceback" not in answer.text


def test_a_row_of_another_protocol_is_named() -> None:
    with pytest.raises(BadRequestError, match="HybridRow"):
        binary.read(b"\x81nonsense")
