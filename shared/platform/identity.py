"""Who the system is to Azure: a managed identity, or on a developer's machine whoever signed in with az."""

from functools import cache

from azure.identity import DefaultAzureCredential
from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential


@cache
def credential(client_id: str | None) -> DefaultAzureCredential:
    """Give the credential of the user-assigned identity with this client id; it caches its tokens."""
    return DefaultAzureCredential(managed_identity_client_id=client_id)


@cache
def async_credential(client_id: str | None) -> AsyncDefaultAzureCredential:
    """Give the same for the asynchronous clients."""
    return AsyncDefaultAzureCredential(managed_identity_client_id=client_id)
