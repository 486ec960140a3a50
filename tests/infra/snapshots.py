"""What the templates would deploy, evaluated by the compiler: infra/*.snapshot.json, and with every option on."""

import json
from dataclasses import dataclass
from typing import Any

from infra.local.bicep import ENVIRONMENTS, FILES

type Resource = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """One environment's resources and outputs. What only Azure knows stands in brackets, as an expression."""

    environment: str
    resources: list[Resource]
    outputs: dict[str, Any]

    def of(self, kind: str) -> list[Resource]:
        """The resources of a type, without its first word: `Web/sites`."""
        return [resource for resource in self.resources if resource["type"] == f"Microsoft.{kind}"]

    def one(self, kind: str) -> Resource:
        """The only resource of a type."""
        [resource] = self.of(kind)
        return resource

    def settings(self) -> dict[str, str]:
        """The settings that the app gets."""
        given = self.one("Web/sites")["properties"]["siteConfig"]["appSettings"]
        return {setting["name"]: setting["value"] for setting in given}

    def alarms(self) -> dict[str, Resource]:
        """The alert rules, by the name that the mail and the manual give them."""
        rules = [*self.of("Insights/metricAlerts"), *self.of("Insights/scheduledQueryRules")]
        return {rule["name"].removesuffix(f"-tandem-{self.environment}"): rule for rule in rules}

    def roles(self) -> set[tuple[str, str, str]]:
        """Who may do what with what: identity, role id, name of the resource with its parents'."""
        given = {
            (
                _identity(role["properties"]["principalId"]),
                role["properties"]["roleDefinitionId"].rpartition("/")[2],
                _short(role["id"].partition("/providers/Microsoft.Authorization")[0]),
            )
            for role in self.of("Authorization/roleAssignments")
        }
        own = {
            (
                _identity(role["properties"]["principalId"]),
                role["properties"]["roleDefinitionId"].rpartition("/")[2],
                _short(role["properties"]["scope"]),
            )
            for role in self.of("DocumentDB/databaseAccounts/sqlRoleAssignments")
        }
        return given | own


def _identity(principal: str) -> str:
    """`views` for the principal id of id-tandem-dev-views; an object id as it is."""
    return principal.partition("userAssignedIdentities/")[2].partition("'")[0].rpartition("-")[2] or principal


def _short(resource_id: str) -> str:
    """`topics/order-events` for the id of a topic: what comes after the provider's own resource, or that one's type."""
    _, kind, _, *parts = resource_id.rpartition("/providers/")[2].split("/")
    return "/".join(parts) or kind


def _read(name: str) -> Snapshot:
    snapshot = json.loads(FILES[name].with_suffix(".snapshot.json").read_text(encoding="utf-8"))
    return Snapshot(name, snapshot["predictedResources"], snapshot["outputs"])


SNAPSHOTS = {name: _read(name) for name in ENVIRONMENTS}
DEV, PROD = SNAPSHOTS["dev"], SNAPSHOTS["prod"]
OPTIONS = _read("options")
"""No environment: prod with every option that it and dev leave off."""
