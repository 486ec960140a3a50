"""Entity tags, made and read in this one place: ETag, If-Match and If-None-Match of RFC 9110.

A command answers `"<version>"`. A document answers `"<version>.<hash>"`, for what it shows is more than its version: a
rename changes it, another release says more, and its owner sees more than the staff. Other answers have tags of what
they show alone.
"""

import hashlib
import re
from collections.abc import Collection

_TAG = r'(W/)?"[\x21\x23-\x7e]*"'
CONDITION = rf"^(\*|[ \t,]*{_TAG}[ \t]*(,[ \t]*({_TAG}[ \t]*)?)*)$"
"""What If-Match and If-None-Match may be, for Python and for JSON Schema alike: `*`, or tags with commas between."""

_CONDITION = re.compile(CONDITION)
_OPAQUE = re.compile(r'(?P<weak>W/)?(?P<tag>"[^"]*")')
EVERY_VERSION = range(1, 10**18)
"""What `*` fits: any version of a thing that exists, and none of a new one (RFC 9110, 13.1.1)."""

_NUMBER = "(?:0|[1-9][0-9]{0,17})"
_OF_VERSION = re.compile(rf'"([1-9][0-9]{{0,17}})(?:\.{_NUMBER}){{0,2}}"')


def of_version(version: int) -> str:
    """Tag what a command has made."""
    return f'"{version}"'


def of_document(version: int, content: bytes) -> str:
    """Tag a document by its version and by what the answer says.

    The hash is a number of at most 18 digits (59 bits), where earlier releases wrote a number of changes: they take it
    in If-Match too, so that tags outlive a rolling update and a return to the release before.
    """
    return f'"{version}.{int.from_bytes(hashlib.sha256(content).digest()[:8]) % 10**18}"'


def of_content(content: bytes) -> str:
    """Tag an answer by what it says."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def expected_versions(if_match: str) -> Collection[int]:
    """Tell which versions a command may act on; for `*` that is EVERY_VERSION.

    Tags are compared strongly, as RFC 9110 says for If-Match: a weak one fits nothing, and one that this API never gave
    fits nothing either. Of ours, the version alone counts: a rename in a document is no reason to refuse a command.

    Raises:
        ValueError: it is neither `*` nor a list of tags.
    """
    if not _CONDITION.fullmatch(if_match):
        raise ValueError('should be *, or ETags with commas between, like "3"')
    if if_match == "*":
        return EVERY_VERSION
    strong = (found["tag"] for found in _OPAQUE.finditer(if_match) if not found["weak"])
    return frozenset(int(ours[1]) for tag in strong if (ours := _OF_VERSION.fullmatch(tag)))


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Tell whether a caller has this answer already. Tags are compared weakly, as RFC 9110 says for If-None-Match."""
    condition = (if_none_match or "").strip()
    if not _CONDITION.fullmatch(condition):
        return False
    return condition == "*" or etag in {found["tag"] for found in _OPAQUE.finditer(condition)}
