"""Who the system is to Azure: a managed identity, or on a developer's machine whoever signed in with az.

azure-identity is imported when somebody signs in: its import takes longer than that of the rest of the app's own code,
and nothing that an app is asked before its first connection needs it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.identity import DefaultAzureCredential
    from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential


@cache
def credential(client_id: str | None) -> DefaultAzureCredential:
    """Give the credential of the user-assigned identity with this client id; it caches its tokens."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415  # see above

    return DefaultAzureCredential(managed_identity_client_id=client_id)


@cache
def async_credential(client_id: str | None) -> AsyncDefaultAzureCredential:
    """Give the same for the asynchronous clients."""
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415  # see above

    return DefaultAzureCredential(managed_identity_client_id=client_id)
