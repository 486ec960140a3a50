"""The batches of the .NET client, which are binary: rows of HybridRow in a stream of RecordIO.

Only the two layouts of the batch protocol are known here. A stream is the header of a segment, then records, each with
its length and CRC-32. A row has a bit for each of its first columns, then those of fixed size, those that begin with
their length, and at last the others, each after its type and its number.
https://github.com/microsoft/HybridRow/blob/main/src/Serialization/HybridRow/Docs/RecordIO.md
https://github.com/Azure/azure-cosmos-dotnet-v3/blob/master/Microsoft.Azure.Cosmos/src/Batch/HybridRowBatchSchemas.json
"""

import struct
import zlib

from cosmos_engine.errors import BadRequestError
from cosmos_engine.values import Json, dump, parse

VERSION = 0x81
"""The first octet of every row, which no JSON begins with."""
SEGMENT, RECORD, OPERATION, RESULT = 2147473648, 2147473649, 2145473648, 2145473649
"""Numbers of layouts."""
HEADER = struct.Struct("<BiBi")
"""Of a segment: version, layout, which columns are there, length."""
RECORD_HEADER = struct.Struct("<BiiI")
"""Version, layout, length, CRC-32."""
ROW = struct.Struct("<BiBii")
"""Version, layout, which of the first columns are there, and the two of fixed size."""
OPERATIONS = {0: "Create", 1: "Patch", 2: "Read", 4: "Delete", 5: "Replace", 20: "Upsert"}
DOCUMENT = 2
"""The type of resource that an item is."""
VARIABLE = ("partitionKey", "effectivePartitionKey", "id", "binaryId", "resourceBody")
SPARSE = {
    8: "indexingDirective",
    9: "ifMatch",
    10: "ifNoneMatch",
    11: "timeToLiveInSeconds",
    12: "minimalReturnPreference",
}
FALSE, TRUE, INT32, TEXT = 2, 3, 7, 20
STATUS, SUBSTATUS, ETAG, BODY = 1, 2, 4, 8
"""Bits of a result's columns."""
CHARGE = b"\x10\x06"
"""The type (a double) and the number of a result's sparse column requestCharge."""


def is_binary(body: bytes) -> bool:
    """Whether the body of a request is a stream of rows."""
    return body[:1] == bytes([VERSION])


def read(body: bytes) -> list[Json]:
    """The operations of a batch, as its JSON form has them.

    Raises:
        BadRequestError: the stream is damaged, or does not fit the batch protocol.
    """
    try:
        _version, layout, _columns, place = HEADER.unpack_from(body)
        if layout != SEGMENT or place != HEADER.size:
            raise _malformed("it does not begin with a segment")
        operations = []
        while place < len(body):
            version, layout, length, check = RECORD_HEADER.unpack_from(body, place)
            place += RECORD_HEADER.size
            row = body[place : place + length]
            if (version, layout) != (VERSION, RECORD) or len(row) != length or zlib.crc32(row) != check:
                raise _malformed("a record is damaged")
            operations.append(_operation(row))
            place += length
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise _malformed("it ends too early or holds what is no text") from error
    return operations


def write(results: list[Json]) -> bytes:
    """The stream that answers a batch with these results."""
    records = [HEADER.pack(VERSION, SEGMENT, 1, HEADER.size)]
    for result in results:
        row = _result(result)
        records += [RECORD_HEADER.pack(VERSION, RECORD, len(row), zlib.crc32(row)), row]
    return b"".join(records)


def _operation(row: bytes) -> Json:
    version, layout, columns, verb, kind = ROW.unpack_from(row)
    if (version, layout, kind) != (VERSION, OPERATION, DOCUMENT) or verb not in OPERATIONS:
        raise _malformed("a row is no operation on an item")
    operation: Json = {"operationType": OPERATIONS[verb]}
    place = ROW.size
    for bit, name in enumerate(VARIABLE, 2):
        if columns >> bit & 1:
            value, place = _lengthy(row, place)
            operation[name] = value
    for name in ("partitionKey", "id"):
        if name in operation:
            operation[name] = operation[name].decode()
    if "effectivePartitionKey" in operation or "binaryId" in operation:
        raise BadRequestError("A batch by effective partition keys or binary ids is not supported by this engine.")
    if "resourceBody" in operation:
        operation["resourceBody"] = parse(operation["resourceBody"])
    return operation | _sparse(row, place)


def _sparse(row: bytes, place: int) -> dict[str, Json]:
    columns: dict[str, Json] = {}
    while place < len(row):
        kind, number = row[place], row[place + 1]
        place += 2
        if number not in SPARSE or kind not in (FALSE, TRUE, INT32, TEXT):
            raise _malformed(f"a row has an unknown column {number} of type {kind}")
        if kind == TEXT:
            text, place = _lengthy(row, place)
            columns[SPARSE[number]] = text.decode()
        elif kind == INT32:
            columns[SPARSE[number]] = int.from_bytes(row[place : place + 4], "little", signed=True)
            place += 4
        else:
            columns[SPARSE[number]] = kind == TRUE
    return columns


def _result(result: Json) -> bytes:
    etag, body = result.get("eTag"), result.get("resourceBody")
    if "message" in result:
        body = {"message": result["message"]}  # where the .NET client looks for the sentence
    columns = STATUS | SUBSTATUS | (ETAG if etag is not None else 0) | (BODY if body is not None else 0)
    row = ROW.pack(VERSION, RESULT, columns, result["statusCode"], result.get("subStatusCode", 0))
    for text in (etag, None if body is None else dump(body)):
        if text is not None:
            octets = text.encode()
            row += _varint(len(octets)) + octets
    return row + CHARGE + struct.pack("<d", result["requestCharge"])


def _lengthy(row: bytes, place: int) -> tuple[bytes, int]:
    """A value that begins with its length, and the place after it."""
    length = shift = 0
    while True:
        octet = row[place]
        length |= (octet & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not octet & 0x80:
            break
    if place + length > len(row):
        raise _malformed("a row ends within a value")
    return row[place : place + length], place + length


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 0x7F:  # noqa: PLR2004 -- seven bits an octet
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def _malformed(why: str) -> BadRequestError:
    return BadRequestError(f"The binary batch (HybridRow) cannot be read: {why}.")
