"""The settings by which the system finds the laptop's engines."""

from pathlib import Path
from urllib.parse import quote

from infra.local.ports import LOOPBACK

EMULATOR_KEY = (
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="  # gitleaks:allow
)
"""The key of every Cosmos DB emulator, as Microsoft publishes it: no secret.
https://learn.microsoft.com/azure/cosmos-db/emulator#authentication"""


def sql(data: Path) -> str:
    """SqlConnection: a SQLite file in the data folder."""
    return f"sqlite:///{quote((data / 'tandem.db').resolve().as_posix(), safe='/:')}"


def service_bus(port: int) -> str:
    """ServiceBusConnection: the Service Bus engine, as one would name the emulator."""
    return (
        f"Endpoint=sb://{LOOPBACK}:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
    )


def cosmos(port: int) -> str:
    """CosmosConnection: the Cosmos engine, as one would name the emulator."""
    return f"AccountEndpoint=http://{LOOPBACK}:{port}/;AccountKey={EMULATOR_KEY};"
