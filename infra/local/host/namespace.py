"""The ``connection`` of a Service Bus trigger: which broker, and the token that its ``$cbs`` node takes."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus, urlsplit

from infra.local.host.settings import SettingsError

AMQP_PORT = 5672
_TOKEN_LIFETIME = 7 * 24 * 3600
"""Seconds; longer than a development broker runs, so that no token has to be put again."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Service Bus namespace that speaks plain AMQP: the development engine's or the emulator's."""

    host: str
    port: int
    key_name: str
    key: str

    def audience(self, path: str) -> str:
        """Name an entity as the SDK does in its tokens."""
        return f"sb://{self.host}/{path}"

    def token(self, path: str) -> tuple[str, int]:
        """Return a shared access signature for an entity and its expiry as a Unix time in seconds.

        https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas#generate-a-shared-access-signature-token
        """
        expiry = int(time.time()) + _TOKEN_LIFETIME
        resource = quote_plus(self.audience(path))
        digest = hmac.new(self.key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
        signature = quote_plus(base64.b64encode(digest))
        return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={self.key_name}", expiry


def namespace_of(function: str, connection: str, environ: Mapping[str, str]) -> Namespace:
    """Find the connection string that a trigger's ``connection`` names.

    Raises:
        SettingsError: It is missing, identity-based, not valid, or names a namespace in Azure.
    """
    text = environ.get(connection) or environ.get(f"AzureWebJobs{connection}")
    if text is None:
        if any(name.lower().startswith(f"{connection}__".lower()) for name in environ):
            raise SettingsError(
                f"{function}: {connection} is identity-based; this host serves the development engine "
                f"and the emulator only: use `func start` or Azure, or point {connection} at one of them"
            )
        raise SettingsError(f"{function}: the setting {connection}, its Service Bus connection, is missing")
    fields = dict(part.split("=", 1) for part in text.strip().strip(";").split(";") if "=" in part)
    fields = {name.strip().lower(): value.strip() for name, value in fields.items()}
    if fields.get("usedevelopmentemulator", "").lower() != "true":
        raise SettingsError(
            f"{function}: {connection} lacks UseDevelopmentEmulator=true; this host serves the development engine and "
            "the emulator only: use `func start` or Azure for a namespace in Azure"
        )
    try:
        endpoint = urlsplit(fields["endpoint"])
        port = endpoint.port or AMQP_PORT
    except (KeyError, ValueError):
        raise SettingsError(f"{function}: {connection} has no valid Endpoint=sb://HOST[:PORT]") from None
    if endpoint.scheme != "sb" or not endpoint.hostname:
        raise SettingsError(f"{function}: {connection} has no valid Endpoint=sb://HOST[:PORT]")
    name, key = fields.get("sharedaccesskeyname", ""), fields.get("sharedaccesskey", "")
    return Namespace(endpoint.hostname, port, name, key)
