"""Effective partition keys: where in the range of a container a partition lies, as feed ranges speak of it.

The clients hash a partition key themselves when they read that partition's part of a feed, so the engine hashes as they
do: version 2 of the service's partitioning, MurmurHash3 (128 bit, x64) of the type and the value.
https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
"""

import json
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache

from cosmos_engine.errors import BadRequestError
from cosmos_engine.values import Json

WHOLE_RANGE = ("", "FF")
LOW, HIGH = "x-ms-start-epk", "x-ms-end-epk"
ABSENT = b"\x00"
KINDS: dict[object, bytes] = {None: b"\x01", False: b"\x02", True: b"\x03"}
NUMBER, STRING, END_OF_STRING = b"\x05", b"\x08", b"\xff"
HIGHEST_BITS = 0x3F
"""Of the first byte: the two bits above it are always 0 in version 2."""

MASK = 2**64 - 1
C1, C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F


def within(headers: Mapping[str, str]) -> Callable[[str], bool] | None:
    """Whether a stored partition key is in the range that a request's headers name; None where it is the whole.

    Raises:
        BadRequestError: the range has no beginning or no end.
    """
    if LOW not in headers and HIGH not in headers:
        return None
    if LOW not in headers or HIGH not in headers:
        raise BadRequestError(f"A part of a feed range has a beginning, {LOW}, and an end, {HIGH}.")
    low, high = headers[LOW].upper(), headers[HIGH].upper()
    return None if (low, high) == WHOLE_RANGE else lambda partition: low <= hashed(partition) < high


@lru_cache(maxsize=65_536)
def hashed(partition: str) -> str:
    """The effective partition key, in hexadecimal digits, of a stored partition key."""
    value = json.loads(partition)[0]
    octets = bytearray(murmur(_octets(value)).to_bytes(16, "little")[::-1])
    octets[0] &= HIGHEST_BITS
    return octets.hex().upper()


def _octets(value: Json) -> bytes:
    if isinstance(value, str):
        return STRING + value.encode() + END_OF_STRING
    if isinstance(value, dict):  # the stored form of an absent key
        return ABSENT
    if value is None or isinstance(value, bool):
        return KINDS[value]
    return NUMBER + struct.pack("<d", value)


def murmur(data: bytes) -> int:
    """MurmurHash3_x64_128 with seed 0; the lower 64 bits are its first half."""
    first = second = 0
    whole = len(data) // 16 * 16
    for place in range(0, whole, 16):
        low, high = struct.unpack_from("<QQ", data, place)
        first = (_left(first ^ _mixed(low, C1, 31, C2), 27) + second) * 5 + 0x52DCE729 & MASK
        second = (_left(second ^ _mixed(high, C2, 33, C1), 31) + first) * 5 + 0x38495AB5 & MASK
    low, high = struct.unpack("<QQ", data[whole:].ljust(16, b"\0"))
    first ^= _mixed(low, C1, 31, C2) ^ len(data)
    second ^= _mixed(high, C2, 33, C1) ^ len(data)
    first = first + second & MASK
    second = second + first & MASK
    first, second = _final(first), _final(second)
    first = first + second & MASK
    return first | (second + first & MASK) << 64


def _mixed(block: int, by: int, turn: int, then: int) -> int:
    return _left(block * by & MASK, turn) * then & MASK


def _left(number: int, bits: int) -> int:
    return (number << bits | number >> 64 - bits) & MASK


def _final(number: int) -> int:
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD & MASK
    number = (number ^ number >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return number ^ number >> 33
