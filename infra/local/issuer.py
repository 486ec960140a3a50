"""The laptop's issuer of tokens, in place of Entra ID, and the principal that App Service authentication makes of one.

The signing key lies in the stack's data folder, readable for its owner alone.
"""

import base64
import functools
import json
import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt

from infra.local.files import PRIVATE, write_whole

ISSUER = "urn:tandem:laptop"
AUDIENCE = "api://tandem"
ALGORITHM = "HS256"
LIFETIME = timedelta(hours=12)
DEVELOPER = UUID("0198b5f0-dede-7000-8000-000000000001")
"""The object id in a token by default."""

NAMES = {"oid": "http://schemas.microsoft.com/identity/claims/objectidentifier"}
"""Claims that the platform renames."""


KEY_FILE = "token.key"
SHAPE = "tandem-token-key/2 "
"""The beginning of a key file; earlier files had nothing but the key."""

_KEY = re.compile(r"[0-9a-f]{64}")


class KeyFileError(Exception):
    """The key cannot be read: the file may be damaged, or another release wrote it."""


class NoKeyError(KeyFileError):
    """There is no key yet: the file is missing or empty."""


def make_key(data: Path) -> Path:
    """Make the key of the stack on this folder unless there is one, and give its file; tokens survive a restart.

    An empty file, which a full disk may have left, is written anew.

    Raises:
        KeyFileError: there is one, and it cannot be read.
        OSError: it cannot be written, or is not ours to read.
    """
    file = data / KEY_FILE
    try:
        read_key(file)
    except NoKeyError:
        write_whole(file, SHAPE + secrets.token_hex(32), PRIVATE)
    return file


def read_key(file: Path) -> str:
    """Read the key in a file.

    Raises:
        NoKeyError: there is none.
        KeyFileError: it is in none of the shapes that are read.
        OSError: the file is not ours to read.
    """
    try:
        key = file.read_text(encoding="ascii", errors="replace").removeprefix(SHAPE).strip()
    except FileNotFoundError:
        key = ""
    if not key:
        raise NoKeyError(f"{file} holds no key: `python3 dev.py up` makes one.")
    if not _KEY.fullmatch(key):
        raise KeyFileError(
            f"{file} has no key that this release reads: it is damaged, or another release wrote it. Delete it and "
            "start again: a new key is made, and tokens of the old one are no longer taken."
        )
    return key


def key_of(data: Path | str) -> str:
    """The key of the stack on this folder; raises as read_key."""
    return read_key(Path(data, KEY_FILE))


def issue(key: str, roles: Iterable[str], object_id: UUID = DEVELOPER, lifetime: timedelta = LIFETIME) -> str:
    """Sign a token with these app roles."""
    now = datetime.now(UTC)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + lifetime}
    return jwt.encode(claims | {"oid": str(object_id), "roles": sorted(roles)}, key, ALGORITHM)


def principal(key: str, token: str) -> str:
    """Validate a token, and give the content of X-MS-CLIENT-PRINCIPAL as the platform writes it.

    Raises:
        jwt.InvalidTokenError: it is not of this issuer, not for this API, or not valid now.
    """
    return _principal(key, token, int(time.time()))


@functools.lru_cache(maxsize=128)
def _principal(key: str, token: str, _now: int) -> str:
    """Validate a token once a second: many requests bring the same one, and Azure does this on another processor."""
    claims = jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        issuer=ISSUER,
        audience=AUDIENCE,
        options={"require": ["iss", "aud", "iat", "nbf", "exp"]},
    )
    written = {
        "auth_typ": "aad",
        "claims": [
            {"typ": NAMES.get(name, name), "val": str(value)} for name, each in claims.items() for value in _all(each)
        ],
        "name_typ": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
        "role_typ": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
    }
    return base64.b64encode(json.dumps(written).encode()).decode()


def _all(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
