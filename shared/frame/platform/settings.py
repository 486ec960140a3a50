"""The settings, read in this one place: app settings in Azure; `dev.py up` or local.settings.json on a laptop."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

UNRESOLVED = "@Microsoft."
"""How a reference begins. App Service gives the app its text where there is no such secret, or no right to read it:
https://learn.microsoft.com/azure/app-service/app-service-key-vault-references"""

MAX_NUMBER = 100_000
"""The largest number of a context's setting. In days it is 273 years, which dates can still hold."""


class MissingSettings(Exception):
    """Settings that the system cannot run without; the message names all of them."""


def platform_signs_in(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether App Service authentication is on.

    The platform says so in WEBSITE_AUTH_ENABLED; the Functions host goes by the same variable
    (https://github.com/Azure/azure-functions-host/issues/10687).
    """
    return environment.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"


def is_unguarded(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is an app in Azure without App Service authentication."""
    return "WEBSITE_SITE_NAME" in environment and not platform_signs_in(environment)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the stores and the topics are.

    Attributes:
        sql: SQLAlchemy URL, `sqlite:///...` or `mssql+pyodbc://...`, without a password (SqlConnection).
        cosmos: account endpoint, reached with an identity, or a connection string of an engine or emulator
            (CosmosConnection__accountEndpoint, CosmosConnection).
        cosmos_database: database that holds the read models (CosmosDatabase; default orders-db).
        service_bus: fully qualified namespace, reached with an identity, or a connection string
            (ServiceBusConnection__fullyQualifiedNamespace, ServiceBusConnection).
        command_client_id: client id of the identity that writes to SQL and publishes (AZURE_CLIENT_ID); None uses
            whatever identity DefaultAzureCredential finds.
        view_client_id: client id of the identity that keeps the read models, and only reads SQL
            (CosmosConnection__clientId; default AZURE_CLIENT_ID).
        application_insights: where telemetry goes (APPLICATIONINSIGHTS_CONNECTION_STRING); None: nowhere.
        every: all settings by name, from which contexts read their own.
    """

    sql: str
    cosmos: str
    service_bus: str
    cosmos_database: str = "orders-db"
    command_client_id: str | None = None
    view_client_id: str | None = None
    application_insights: str | None = None
    every: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def number(self, name: str, otherwise: float, *, zero: bool = False) -> float:
        """Read a context's setting that is a number above 0 and at most MAX_NUMBER.

        Args:
            name: the setting's.
            otherwise: its value where it is not set.
            zero: whether it may be 0.

        Raises:
            MissingSettings: it is set to something else.
        """
        text = self.every.get(name) or str(otherwise)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (0 < number <= MAX_NUMBER or (zero and number == 0)):
            least = "from 0" if zero else "above 0"
            raise MissingSettings(f"The setting {name} should be a number {least}, at most {MAX_NUMBER:,}.")
        return number

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings. A reference that Azure has not resolved is no value: anybody can know it.

        Raises:
            MissingSettings: one or more are not set; all of them are named.
        """
        environment = {name: value for name, value in environment.items() if not value.startswith(UNRESOLVED)}
        sql = environment.get("SqlConnection")
        cosmos = environment.get("CosmosConnection") or environment.get("CosmosConnection__accountEndpoint")
        service_bus = environment.get("ServiceBusConnection") or environment.get(
            "ServiceBusConnection__fullyQualifiedNamespace"
        )
        if not (sql and cosmos and service_bus):
            missing = [
                name
                for name, value in (
                    ("SqlConnection", sql),
                    ("CosmosConnection (or CosmosConnection__accountEndpoint)", cosmos),
                    ("ServiceBusConnection (or ServiceBusConnection__fullyQualifiedNamespace)", service_bus),
                )
                if not value
            ]
            raise MissingSettings(f"Settings are missing: {', '.join(missing)}. See local.settings.sample.json.")
        return cls(
            sql=sql,
            cosmos=cosmos,
            service_bus=service_bus,
            cosmos_database=environment.get("CosmosDatabase") or "orders-db",
            command_client_id=environment.get("AZURE_CLIENT_ID"),
            view_client_id=environment.get("CosmosConnection__clientId") or environment.get("AZURE_CLIENT_ID"),
            application_insights=environment.get("APPLICATIONINSIGHTS_CONNECTION_STRING") or None,
            every=environment,
        )
