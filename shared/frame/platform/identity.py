"""The system's identity in Azure: a managed identity, or on a developer's machine the user who signed in with az.

azure-identity is imported when the first connection needs it: its import takes longer than that of all the app's own
code.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.identity import DefaultAzureCredential
    from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential

TOKEN_TIMEOUTS: Mapping[str, float] = {"connection_timeout": 0.5, "read_timeout": 1.5, "retry_total": 0}
"""Seconds that a token's source has to be reached and to answer, or to go on with an answer: two, for in Azure it is
beside the app. azure-identity would give it five minutes for each, and try eleven times. Callers try again, and know
how much time is left; migrations, which do not, leave it that patience (infra/sql/migrate.py)."""


@cache
def credential(client_id: str | None) -> DefaultAzureCredential:
    """Give the credential of the user-assigned identity with this client id; it caches its tokens."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415  # see above

    return DefaultAzureCredential(managed_identity_client_id=client_id, **TOKEN_TIMEOUTS)


@cache
def async_credential(client_id: str | None) -> AsyncDefaultAzureCredential:
    """Give the same credential for asynchronous clients."""
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415  # see above

    return DefaultAzureCredential(managed_identity_client_id=client_id, **TOKEN_TIMEOUTS)
