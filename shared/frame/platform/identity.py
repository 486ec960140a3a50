"""The system's identity in Azure: a managed identity, or on a developer's machine the user who signed in with az.

azure-identity is imported when the first connection needs it: its import takes longer than that of all the app's own
code.
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
    """Give the same credential for asynchronous clients."""
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415  # see above

    return DefaultAzureCredential(managed_identity_client_id=client_id)
