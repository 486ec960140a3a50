"""The Cosmos DB containers that hold the read models."""

from functools import cached_property
from typing import TYPE_CHECKING
from urllib.request import getproxies

from shared.frame.platform.identity import async_credential
from shared.frame.platform.loopback import is_loopback
from shared.frame.platform.settings import Settings
from shared.frame.platform.telemetry import request_charge
from shared.frame.read_side.container import Container

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AioHttpTransport
    from azure.cosmos.aio import CosmosClient, DatabaseProxy


class CosmosDatabase:
    """The database of read models; connects when a container is first used, from the event loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def container(self, name: str) -> Container:
        """Give a container by its name."""
        return self._database.get_container_client(name)

    async def close(self) -> None:
        """Close the connections. Only tests do; a function app keeps them until its process ends."""
        await self._client.close()

    @cached_property
    def _database(self) -> "DatabaseProxy":
        return self._client.get_database_client(self._settings.cosmos_database)

    @cached_property
    def _client(self) -> "CosmosClient":
        from azure.cosmos.aio import CosmosClient  # noqa: PLC0415  # see shared/frame/read_side/container.py

        target = self._settings.cosmos
        if "AccountEndpoint=" not in target:
            return CosmosClient(
                target,
                async_credential(self._settings.view_client_id),
                transport=_transport(target),
                raw_response_hook=request_charge,
            )
        parts = dict(part.split("=", 1) for part in target.rstrip(";").split(";"))
        # engines and emulators know one region and certificates of their own
        return CosmosClient(
            parts["AccountEndpoint"],
            parts["AccountKey"],
            connection_verify=False,
            enable_endpoint_discovery=False,
            transport=_transport(parts["AccountEndpoint"]),
            raw_response_hook=request_charge,
        )


def _transport(endpoint: str) -> "AioHttpTransport":
    """Make the transport as the client does, but ask the environment for a proxy here and not on each request.

    aiohttp would ask twice for each request, on the thread pool, behind other requests' work. An engine on this
    computer is reached without a proxy, whatever the environment says.
    """
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415  # takes aiohttp's import with it

    return AioHttpTransport(use_env_settings=bool(getproxies()) and not is_loopback(endpoint))
