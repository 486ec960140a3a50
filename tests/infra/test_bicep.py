"""The templates: sound, without secrets, and at one with the laptop and the code; read from what they would deploy."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from infra.local import bicep
from shared.catalog import events as catalog
from shared.customers import events as customers
from shared.frame.http import console
from shared.frame.http.docs import ASSETS
from shared.frame.http.requests import MAX_BODY
from shared.frame.platform.settings import Settings
from shared.frame.read_side.view_state import CONTROL
from shared.ordering import events as ordering
from shared.roles import CUSTOMER, Role
from tests.infra.snapshots import DEV, OPTIONS, PROD, SNAPSHOTS, Snapshot
from tests.infra.tools import ROOT
from tests.support.app import app_globals, scale_groups
from tests.support.rules import is_own

INFRA = ROOT / "infra"
TEMPLATES = {path: path.read_text(encoding="utf-8") for path in INFRA.rglob("*.bicep*")}
NAMESPACE = json.loads((INFRA / "local" / "servicebus.json").read_text())["UserConfig"]["Namespaces"][0]
SUBSCRIBERS = [
    (topic["Name"], each["Name"], {rule["Properties"]["CorrelationFilter"]["Label"] for rule in each["Rules"]})
    for topic in NAMESPACE["Topics"]
    for each in topic["Subscriptions"]
    if not is_own(each)
]
"""Topic, subscription and events of other systems, on the laptop."""
CONTAINERS = json.loads((INFRA / "local" / "cosmos.json").read_text())["containers"]
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "shared").rglob("*.py")}

each_environment = pytest.mark.parametrize("snapshot", SNAPSHOTS.values(), ids=SNAPSHOTS)

each_snapshot = pytest.mark.parametrize("snapshot", [*SNAPSHOTS.values(), OPTIONS], ids=[*SNAPSHOTS, "options"])

NAMES = {
    "Authorization/roleAssignments": r"[0-9a-f-]{36}",
    "Consumption/budgets": r"[\w-]{1,63}",
    "DocumentDB/databaseAccounts": r"[a-z0-9][a-z0-9-]{2,43}",
    "DocumentDB/databaseAccounts/sqlDatabases": r"[^/\\#?]{1,255}",
    "DocumentDB/databaseAccounts/sqlDatabases/containers": r"[^/\\#?]{1,255}",
    "DocumentDB/databaseAccounts/sqlRoleAssignments": r"[0-9a-f-]{36}",
    "Insights/actionGroups": r"[^*#&+:<>?@%{}\\/|]{1,260}",
    "Insights/components": r"[^%&\\?/]{1,255}",
    "Insights/diagnosticSettings": r"[\w-]{1,260}",
    "Insights/metricAlerts": r"[^*#&+:<>?@%{}\\/|]{1,260}",
    "Insights/scheduledQueryRules": r"[^*#&+:<>?@%{}\\/|]{1,260}",
    "Insights/webtests": r"[^%&\\?/]{1,255}",
    "Insights/workbooks": r"[0-9a-f-]{36}",
    "KeyVault/vaults": r"[A-Za-z](?!.*--)[A-Za-z0-9-]{1,22}[A-Za-z0-9]",
    "ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][\w-]{2,127}",
    "Network/privateDnsZones": r"privatelink.*",
    "Network/privateDnsZones/virtualNetworkLinks": r"\w[\w.-]{0,79}",
    "Network/privateEndpoints": r"[A-Za-z0-9][\w.-]{0,62}\w",
    "Network/privateEndpoints/privateDnsZoneGroups": r"\w[\w.-]{0,79}",
    "Network/virtualNetworks": r"[A-Za-z0-9][\w.-]{0,62}\w",
    "Network/virtualNetworks/virtualNetworkPeerings": r"\w[\w.-]{0,79}",
    "Network/virtualNetworks/subnets": r"[A-Za-z0-9][\w.-]{0,78}\w",
    "OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "ServiceBus/namespaces": r"[A-Za-z](?!.*--)[A-Za-z0-9-]{4,48}[A-Za-z0-9](?<!-sb)(?<!-mgmt)",
    "ServiceBus/namespaces/topics": r"[A-Za-z0-9][\w./~-]{0,259}",
    "ServiceBus/namespaces/topics/subscriptions": r"[A-Za-z0-9][\w.-]{0,49}",
    "ServiceBus/namespaces/topics/subscriptions/rules": r"[\w.$-]{1,50}",
    "Sql/servers": r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    "Sql/servers/auditingSettings": r"default",
    "Sql/servers/databases": r"[^<>*%&:\\/?]{1,128}",
    "Sql/servers/firewallRules": r"[^<>*%&:\\/?]{1,128}",
    "Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Storage/storageAccounts/blobServices": r"default",
    "Storage/storageAccounts/blobServices/containers": r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]",
    "Web/serverfarms": r"[A-Za-z0-9-]{1,60}",
    "Web/sites": r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,58}[A-Za-z0-9])",
    "Web/sites/basicPublishingCredentialsPolicies": r"scm|ftp",
    "Web/sites/config": r"authsettingsV2",
}
"""What a resource of each type may be called:
https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"""


@each_snapshot
def test_every_name_is_one_that_azure_takes_and_alone_of_its_kind(snapshot: Snapshot) -> None:
    assert {resource["type"] for resource in snapshot.resources} <= {f"Microsoft.{kind}" for kind in NAMES}
    for kind, rule in NAMES.items():
        for resource in snapshot.of(kind):
            own = resource["name"]
            for _ in range(kind.count("/") - 1):
                own = own.partition("/")[2]
            expression = kind.startswith("Network/privateDnsZones")  # the cloud's own suffix is known to Azure alone
            assert re.fullmatch(rule, own) or (expression and resource["name"].startswith("[format(")), f"{kind} {own}"
    ids = Counter(resource["id"].lower() for resource in snapshot.resources)
    assert [name for name, times in ids.items() if times > 1] == []
    worldwide = (
        "Storage/storageAccounts",
        "KeyVault/vaults",
        "Sql/servers",
        "DocumentDB/databaseAccounts",
        "Web/sites",
    )
    for kind in (*worldwide, "ServiceBus/namespaces"):
        assert re.search(r"[a-z0-9]{13}$", snapshot.one(kind)["name"]), f"{kind} would be taken by somebody else"


@each_snapshot
def test_a_what_if_knows_the_name_of_every_resource(snapshot: Snapshot) -> None:
    """A name that waits for the deployment, such as one of a principal's id, makes what-if give up on its resource."""
    for resource in snapshot.resources:
        assert "reference(" not in resource["id"], resource["id"]


def test_the_laptops_topics_are_azures() -> None:
    assert not NAMESPACE["Queues"]
    for snapshot in SNAPSHOTS.values():
        bus = snapshot.one("ServiceBus/namespaces")["name"]
        assert {topic["name"] for topic in snapshot.of("ServiceBus/namespaces/topics")} == {
            f"{bus}/{topic['Name']}" for topic in NAMESPACE["Topics"]
        }
        found = {each["name"]: each["properties"] for each in snapshot.resources if "ServiceBus" in each["type"]}
        for topic in NAMESPACE["Topics"]:
            assert small(topic["Properties"]).items() <= found[f"{bus}/{topic['Name']}"].items()
            for subscription in filter(is_own, topic["Subscriptions"]):
                name = f"{bus}/{topic['Name']}/{subscription['Name']}"
                assert small(subscription["Properties"]).items() <= found.pop(name).items()
                [rule] = [found.pop(each) for each in list(found) if each.startswith(f"{name}/")]
                assert rule["filterType"] == "SqlFilter"
                assert rule["sqlFilter"] == {"sqlExpression": expression_of(subscription)}
        others = {name.partition("/")[2] for name in found if name.count("/") == 2}
        assert others == ({f"{topic}/{name}" for topic, name, _ in SUBSCRIBERS} if snapshot is PROD else set()), (
            "a subscription that nobody reads raises alarms for good"
        )


def expression_of(subscription: dict[str, Any]) -> str:
    """The condition for coming into one of the app's own subscriptions."""
    [rule] = subscription["Rules"] or [{"Properties": {"SqlFilter": {"SqlExpression": "1=1"}}}]
    condition: str = rule["Properties"]["SqlFilter"]["SqlExpression"]
    return condition


def test_the_rule_of_an_own_subscription_takes_the_place_of_the_one_that_lets_everything_in() -> None:
    """Also where nothing is ignored: a rule of an earlier deployment would stay."""
    for snapshot in SNAPSHOTS.values():
        rules = [
            each["name"].split("/")[1:] for each in snapshot.of("ServiceBus/namespaces/topics/subscriptions/rules")
        ]
        replaced = {(topic, name) for topic, name, rule in rules if rule == "$Default"}
        assert replaced >= consumed_by(app_globals())


def test_other_systems_subscriptions_are_those_of_the_laptop_and_of_the_contexts_declaration() -> None:
    bus = PROD.one("ServiceBus/namespaces")["name"]
    rules = defaultdict(set)
    for rule in PROD.of("ServiceBus/namespaces/topics/subscriptions/rules"):
        topic, name, _ = rule["name"].removeprefix(f"{bus}/").split("/")
        if rule["properties"]["filterType"] == "CorrelationFilter":
            rules[topic, name].add(rule["properties"]["correlationFilter"]["label"])
    assert rules == {(topic, name): events for topic, name, events in SUBSCRIBERS}
    declared = [
        (context.topic, each.name, set(each.events))
        for context in app_globals()["contexts"]
        for each in context.subscribers
    ]
    assert declared == SUBSCRIBERS
    for topic, name, _ in SUBSCRIBERS:
        [subscription] = [each for each in PROD.resources if each["name"] == f"{bus}/{topic}/{name}"]
        assert subscription["properties"]["requiresSession"], "which keeps an order's events in their order"


def small(properties: dict[str, Any]) -> dict[str, Any]:
    """The emulator's names of properties as Azure writes them."""
    return {name[0].lower() + name[1:]: value for name, value in properties.items()}


@each_environment
def test_the_laptops_containers_are_azures(snapshot: Snapshot) -> None:
    made = [
        each["properties"]["resource"] for each in snapshot.of("DocumentDB/databaseAccounts/sqlDatabases/containers")
    ]
    assert [
        {
            "id": each["id"],
            "partitionKey": each["partitionKey"]["paths"][0],
            "indexingPolicy": each["indexingPolicy"],
            **({"defaultTtl": each["defaultTtl"]} if each["defaultTtl"] is not None else {}),
        }
        for each in made
    ] == CONTAINERS
    # shared by the containers: a spare one for a rebuilt read model would else cost as much as one in use
    options = [each["properties"].get("options") for each in snapshot.resources if "DocumentDB" in each["type"]]
    assert sum(bool(option) for option in options) == (snapshot is PROD)


def test_each_container_indexes_its_partition_key() -> None:
    """Else each query of a partition scans the physical partition, where all of them are.

    "The partition key (unless it is also /id) is not indexed and should be included in the index":
    https://learn.microsoft.com/azure/cosmos-db/index-policy#index-size
    """
    for container in CONTAINERS:
        included = {each["path"] for each in container["indexingPolicy"]["includedPaths"]}
        assert f"{container['partitionKey']}/?" in included, container["id"]


def consumed_by(app: dict[str, Any]) -> set[tuple[str, str]]:
    """The topics and subscriptions that the app's contexts take events from."""
    return {(each.topic, each.subscription) for context in app["contexts"] for each in context.consumers}


def test_the_code_uses_the_topics_subscriptions_and_containers_that_there_are() -> None:
    code = "".join(SOURCES.values())
    topics = {
        topic["Name"]: {each["Name"] for each in topic["Subscriptions"] if is_own(each)}
        for topic in NAMESPACE["Topics"]
    }
    app = app_globals()
    assert {context.topic for context in app["contexts"]} == set(topics)
    consumed = consumed_by(app)
    assert consumed == {(topic, name) for topic, names in topics.items() for name in names}
    views = set(re.findall(r'container="([\w-]+)"', code))
    generations = {name + generation for name in views for generation in ("", "-2")}
    assert {container["id"] for container in CONTAINERS} == generations | {CONTROL}
    assert set(re.findall(r'\.container\("([\w-]+)"\)', code)) <= generations


BLOB_OWNER, TABLES = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
BLOB_CONTRIBUTOR, SECRETS = "ba92f5b4-2d11-453d-a403-e96b0029c9fe", "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
SENDER, RECEIVER = "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39", "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"
METRICS, COSMOS = "3913510d-42f4-4e42-8a64-420c390055eb", "00000000-0000-0000-0000-000000000002"


@each_environment
def test_nobody_may_do_more_than_its_part(snapshot: Snapshot) -> None:
    """https://learn.microsoft.com/azure/role-based-access-control/built-in-roles has the ids."""
    consumed = consumed_by(app_globals())
    assert snapshot.roles() == {
        ("host", BLOB_OWNER, "storageAccounts"),
        ("host", TABLES, "storageAccounts"),
        ("host", SECRETS, "vaults"),
        ("host", METRICS, "components"),
        (bicep.SETTINGS["DEPLOYER_OBJECT_ID"], BLOB_CONTRIBUTOR, "blobServices/default/containers/releases"),
        *(("commands", SENDER, f"topics/{topic}") for topic in {topic for topic, _ in consumed}),
        *(("views", RECEIVER, f"topics/{topic}/subscriptions/{name}") for topic, name in consumed),
        ("views", COSMOS, "dbs/orders-db"),
    }


@each_environment
def test_keys_open_nothing_and_nobody_talks_in_the_clear(snapshot: Snapshot) -> None:
    site = snapshot.one("Web/sites")["properties"]
    wanted: dict[str, dict[str, Any]] = {
        "ServiceBus/namespaces": {"disableLocalAuth": True, "minimumTlsVersion": "1.2"},
        "DocumentDB/databaseAccounts": {
            "disableLocalAuth": True,
            "disableKeyBasedMetadataWriteAccess": True,
            "minimalTlsVersion": "Tls12",
        },
        "Storage/storageAccounts": {
            "allowSharedKeyAccess": False,
            "allowBlobPublicAccess": False,
            "supportsHttpsTrafficOnly": True,
            "minimumTlsVersion": "TLS1_2",
        },
        "Sql/servers": {"minimalTlsVersion": "1.2"},
        "KeyVault/vaults": {"enableRbacAuthorization": True, "enableSoftDelete": True},
        "Insights/components": {"DisableLocalAuth": True},
        "OperationalInsights/workspaces": {"features": {"disableLocalAuth": True}},
        "Web/sites": {"httpsOnly": True},
    }
    for kind, properties in wanted.items():
        assert properties.items() <= snapshot.one(kind)["properties"].items(), kind
    assert {"minTlsVersion": "1.2", "ftpsState": "Disabled"}.items() <= site["siteConfig"].items()
    administrators = snapshot.one("Sql/servers")["properties"]["administrators"]
    assert administrators["azureADOnlyAuthentication"] is True
    policies = snapshot.of("Web/sites/basicPublishingCredentialsPolicies")
    assert [policy["properties"]["allow"] for policy in policies] == [False, False]


PUBLIC = {
    "dev": {
        "DocumentDB/databaseAccounts",
        "KeyVault/vaults",
        "ServiceBus/namespaces",
        "Sql/servers",
        "Storage/storageAccounts",
    },
    "prod": set[str](),
}
"""Stores that can be reached from outside of a private network; only Entra identities get in."""


@each_environment
def test_nothing_is_public_but_what_is_listed(snapshot: Snapshot) -> None:
    stores = {
        each["type"].removeprefix("Microsoft."): each["properties"]["publicNetworkAccess"]
        for each in snapshot.resources
        if "publicNetworkAccess" in each.get("properties", {})
    }
    assert set(stores) == PUBLIC["dev"]
    assert {kind for kind, reached in stores.items() if reached != "Disabled"} == PUBLIC[snapshot.environment]
    rules = [rule["properties"] for rule in snapshot.of("Sql/servers/firewallRules")]
    assert rules == [{"startIpAddress": "0.0.0.0", "endIpAddress": "0.0.0.0"}] * bool(PUBLIC[snapshot.environment])
    endpoints = snapshot.of("Network/privateEndpoints")
    reached_privately = {
        connection["properties"]["privateLinkServiceId"].rpartition("/providers/Microsoft.")[2].rpartition("/")[0]
        for endpoint in endpoints
        for connection in endpoint["properties"]["privateLinkServiceConnections"]
    }
    assert reached_privately == PUBLIC["dev"] - PUBLIC[snapshot.environment]


def test_subnets_are_resources_of_their_own_lest_a_deployment_removes_what_was_added_by_hand() -> None:
    assert "subnets" not in PROD.one("Network/virtualNetworks")["properties"]
    ranges = {each["name"]: each["properties"]["addressPrefix"] for each in PROD.of("Network/virtualNetworks/subnets")}
    assert ranges == {
        "vnet-tandem-prod/app": "10.40.0.0/24",
        "vnet-tandem-prod/endpoints": "10.40.1.0/24",
        "vnet-tandem-prod/runners": "10.40.2.0/24",
    }


@each_environment
def test_nobody_is_let_in_without_a_token_but_to_what_the_code_leaves_open(snapshot: Snapshot) -> None:
    settings = snapshot.one("Web/sites/config")["properties"]
    assert settings["platform"] == {"enabled": True}
    assert settings["httpSettings"] == {"requireHttps": True}
    validation = settings["globalValidation"]
    assert validation["requireAuthentication"] is True
    assert validation["unauthenticatedClientAction"] == "Return401"
    open_to_all = {operation.route for operation in app_globals()["routes"] if operation.role is None}
    pages = {"openapi.json", "asyncapi.json", "docs", *(f"docs/{asset}" for asset in ASSETS)}
    pages |= {"ops/console", *(f"ops/console/{asset}" for asset in console.ASSETS)}
    asked_by_az = {"/admin/host/status", "/admin/host/synctriggers"}  # with the host's own key
    assert set(validation["excludedPaths"]) == {f"/api/{path}" for path in open_to_all | pages} | asked_by_az
    assert not any("*" in path for path in validation["excludedPaths"]), "what it matches is not documented"


@each_environment
def test_tokens_are_of_one_issuer_and_for_this_api(snapshot: Snapshot) -> None:
    api = bicep.SETTINGS["API_CLIENT_ID"]
    entra = snapshot.one("Web/sites/config")["properties"]["identityProviders"]["azureActiveDirectory"]
    assert entra["registration"]["clientId"] == api
    issuer = entra["registration"]["openIdIssuer"]
    assert issuer == f"[format('{{0}}{{1}}/v2.0', environment().authentication.loginEndpoint, '{bicep.TENANT}')]"
    assert entra["validation"]["allowedAudiences"] == [api, f"api://{api}"]


def test_the_api_has_the_app_roles_that_the_code_knows() -> None:
    roles = json.loads((INFRA / "app-roles.json").read_text())
    assert [role["value"] for role in roles] == [CUSTOMER, *Role]
    assert len({UUID(role["id"]) for role in roles}) == len(roles)
    for role in roles:
        assert role["isEnabled"]
        # a customer is a person; a service's object id is nobody's customer id
        assert role["allowedMemberTypes"] == (["User"] if role["value"] == CUSTOMER else ["User", "Application"])


def test_whoever_gives_a_role_is_told_which_personal_data_it_opens() -> None:
    said = {role["value"]: role["description"] for role in json.loads((INFRA / "app-roles.json").read_text())}
    for word in ("names", "e-mail", "addresses"):
        assert word in said[Role.CUSTOMERS_READ], "GET customers, customers/{customerId}"
        assert word in said[Role.CUSTOMERS_WRITE], "POST customers/{customerId}/email and others"
    for word in ("export", "orders", "payments"):
        assert word in said[Role.CUSTOMERS_READ], "GET customers/{customerId}/export"
    for word in ("names", "addresses", "payments"):
        assert word in said[Role.ORDERS_READ]


def test_no_secret_is_asked_for_read_or_put_out() -> None:
    for path, text in TEMPLATES.items():
        assert not re.search(
            r"@secure|listKeys|listSecrets|listAdminKeys|administratorLogin\b|AccountKey|Password", text
        ), path.name


def test_subscriptions_that_the_code_consumes_without_sessions_have_none() -> None:
    assert "is_sessions_enabled" not in SOURCES[ROOT / "shared" / "frame" / "messaging" / "subscriptions.py"]
    for topic in NAMESPACE["Topics"]:
        for subscription in topic["Subscriptions"]:
            assert subscription["Properties"]["RequiresSession"] is not is_own(subscription)


@each_environment
def test_the_app_gets_every_setting_that_it_reads(snapshot: Snapshot) -> None:
    given = snapshot.settings()
    settings = Settings.from_environment(given)
    assert settings.sql == snapshot.outputs["sqlUrl"]
    assert "databaseAccounts" in settings.cosmos
    assert "documentEndpoint" in settings.cosmos
    assert settings.service_bus == f"{snapshot.one('ServiceBus/namespaces')['name']}.servicebus.windows.net"
    for client, identity in ((settings.command_client_id, "commands"), (settings.view_client_id, "views")):
        assert client
        assert f"id-tandem-{snapshot.environment}-{identity}'" in client
        assert client.endswith(".clientId]")
    assert set(re.findall(r'"%(\w+)%"', "".join(SOURCES.values()))) <= set(given)


@each_snapshot
def test_every_request_is_recorded_by_the_functions_host_too(snapshot: Snapshot) -> None:
    """Of OpenTelemetry's samplers it knows none: it reads two of Microsoft's, and only with an argument.

    https://github.com/Azure/azure-sdk-for-net: DefaultAzureMonitorExporterOptions.cs
    """
    given = snapshot.settings()
    assert given["OTEL_TRACES_SAMPLER"] == "microsoft.fixed_percentage"
    assert float(given["OTEL_TRACES_SAMPLER_ARG"]) == 1


@each_environment
def test_an_instance_has_room_for_the_bodies_of_all_requests_that_it_takes_on_at_once(snapshot: Snapshot) -> None:
    """Also without a token, as the payment provider's webhook has none: the host takes 100 MB unless it is told."""
    limit = int(snapshot.settings()["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"])
    assert limit > MAX_BODY, "whoever sends a little too much is told so by the app; the host says 500"
    at_once = json.loads((ROOT / "host.json").read_text())["extensions"]["http"]["maxConcurrentRequests"]
    scale = snapshot.one("Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    held_by = 2  # the host and the worker
    assert at_once * limit * held_by <= scale["instanceMemoryMB"] * 2**20 / 4


@each_environment
def test_every_connection_says_as_whom_so_that_triggers_wake(snapshot: Snapshot) -> None:
    given = snapshot.settings()
    for connection, identity in (("AzureWebJobsStorage", "host"), ("ServiceBusConnection", "views")):
        assert given[f"{connection}__credential"] == "managedidentity"
        assert f"id-tandem-{snapshot.environment}-{identity}'" in given[f"{connection}__clientId"]


@each_environment
def test_the_databases_url_leads_to_azure_sql_encrypted_and_signs_nobody_in(snapshot: Snapshot) -> None:
    found = re.fullmatch(
        r"\[format\('(.*)', reference\('(.*?)', '.*?'\)\.fullyQualifiedDomainName, '(.*)'\)\]",
        snapshot.settings()["SqlConnection"],
    )
    assert found
    template, server, database = found.groups()
    assert server == snapshot.one("Sql/servers")["id"]
    host = "sql-tandem.database.windows.net"
    url = make_url(template.format(host, database))
    assert (url.host, url.port, url.database) == (host, 1433, "tandem")
    assert url.username is None
    assert url.password is None
    arguments, _ = sa.create_mock_engine(url, lambda *_: None).dialect.create_connect_args(url)
    assert "DRIVER={ODBC Driver 18 for SQL Server}" in arguments[0]
    assert "Encrypt=yes" in arguments[0]
    assert "Connection Timeout=30" in arguments[0]


def test_prods_parameter_file_names_every_group_that_is_kept_ready() -> None:
    """As the next test, and before anybody has written a snapshot."""
    named = re.findall(r"\{ name: '([\w:]+)', instanceCount: 2 \}", TEMPLATES[bicep.FILES["prod"]])
    assert sorted(named) == sorted(scale_groups())


@each_environment
def test_every_group_that_is_kept_ready_anyhow_is_said_to_be(snapshot: Snapshot) -> None:
    """Where zones are redundant the platform keeps, and bills, two of each group, said or not: docs/adr/0018."""
    config = snapshot.one("Web/sites")["properties"]["functionAppConfig"]
    ready = {each["name"]: each["instanceCount"] for each in config["scaleAndConcurrency"]["alwaysReady"]}
    zones = snapshot.one("Web/serverfarms")["properties"]["zoneRedundant"]
    assert ready == (dict.fromkeys(scale_groups(), 2) if zones else {})
    assert config["siteUpdateStrategy"] == {"type": "RollingUpdate" if snapshot is PROD else "Recreate"}


def test_what_azure_is_to_bill_for_each_is_reckoned_from_its_memory() -> None:
    memory = PROD.one("Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]["instanceMemoryMB"]
    page = (ROOT / "docs" / "unproven.md").read_text(encoding="utf-8")
    [claim] = re.findall(r" (\d+) MB . 3,600,000 ms, ([\d.e]+) for each instance", page)
    assert claim == (str(memory), f"{memory * 3_600_000:.2e}".replace("e+0", "e"))


def test_a_deleted_dev_gives_its_names_back_and_a_deleted_prod_can_be_brought_back() -> None:
    dev, prod = (each.one("KeyVault/vaults")["properties"] for each in (DEV, PROD))
    # once true it can never be taken back, and Azure refuses false
    assert (dev["enablePurgeProtection"], dev["softDeleteRetentionInDays"]) == (None, 7)
    assert (prod["enablePurgeProtection"], prod["softDeleteRetentionInDays"]) == (True, 90)
    assert {dev["createMode"], prod["createMode"]} == {"default"}


def test_prods_orders_survive_the_loss_of_the_region_which_is_decided_when_the_database_is_made() -> None:
    database = PROD.one("Sql/servers/databases")["properties"]
    assert database["requestedBackupStorageRedundancy"] == "GeoZone", "zone-redundant databases take this or Zone"
    source = (ROOT / "infra" / "modules" / "sql.bicep").read_text(encoding="utf-8")
    [described] = re.findall(r"@description\('(.*)'\)\n  backups: ", source)
    assert "cannot be changed" in described


def test_dev_lets_its_database_sleep_and_pays_for_none() -> None:
    database = DEV.one("Sql/servers/databases")["properties"]
    assert (database["useFreeLimit"], database["freeLimitExhaustionBehavior"]) == (True, "AutoPause")
    assert database["requestedBackupStorageRedundancy"] == "Local", "as the free offer wants it"
    assert database["autoPauseDelay"] == 15


def test_others_get_only_what_they_subscribe_to_by_the_subject_that_events_are_sent_with() -> None:
    rules = {
        rule["name"].partition("/")[2]: rule["properties"]["correlationFilter"]["label"]
        for rule in OPTIONS.of("ServiceBus/namespaces/topics/subscriptions/rules")
        if rule["properties"]["filterType"] == "CorrelationFilter"
    }
    # the first rule replaces the one that lets everything pass
    assert rules == {
        "order-events/billing/$Default": "OrderConfirmedV1",
        "order-events/billing/OrderCancelledV1": "OrderCancelledV1",
    }
    assert "subject=envelope.type," in SOURCES[ROOT / "shared" / "frame" / "messaging" / "topics.py"]
    published = {name for module in (ordering, catalog, customers) for name in vars(module)}
    assert {"OrderConfirmedV1", "OrderCancelledV1"} <= published


def test_there_is_a_budget_where_one_is_wanted_and_azure_takes_it() -> None:
    assert [snapshot.one("Consumption/budgets")["properties"]["amount"] for snapshot in (DEV, PROD)] == [25, 2500]
    assert OPTIONS.of("Consumption/budgets") == []  # its budgetStart is 'none'
    assert "= if (monthlyBudget > 0 && budgetStart != 'none') {" in TEMPLATES[INFRA / "main.bicep"]


def test_the_parameter_file_of_options_sets_each_that_neither_environment_does() -> None:
    """Else something can be deployed that no snapshot shows, and no test reads."""
    declared = set(re.findall(r"^param (\w+)", TEMPLATES[INFRA / "main.bicep"], re.MULTILINE))
    read = {path: text for path, text in TEMPLATES.items() if path.suffix == ".bicepparam"}
    set_there = set(re.findall(r"^param (\w+)", "".join(read.values()), re.MULTILINE))
    options = set(re.findall(r"^param (\w+)", bicep.FILES["options"].read_text(encoding="utf-8"), re.MULTILINE))
    same_everywhere = {"location", "tags", "apiTokenIssuer", "addressPrefix", "alertBacklog"}
    assert declared == set_there | options | same_everywhere


def test_everything_that_clients_ask_of_a_store_is_logged_where_that_is_wanted() -> None:
    logged = {log["id"].partition("/providers/Microsoft.Insights")[0] for log in logs_of(OPTIONS)}
    stores = {
        connection["properties"]["privateLinkServiceId"]: connection["properties"]["groupIds"]
        for endpoint in OPTIONS.of("Network/privateEndpoints")
        for connection in endpoint["properties"]["privateLinkServiceConnections"]
    }
    for store in stores:
        assert any(place.startswith(store) for place in logged), store  # of SQL, the audit log
    account = OPTIONS.one("Storage/storageAccounts")["id"]
    assert {f"{account}/blobServices/default", f"{account}/tableServices/default"} <= logged
    for log in logs_of(OPTIONS):
        assert log["properties"]["workspaceId"] == OPTIONS.one("OperationalInsights/workspaces")["id"]
        assert all(each["enabled"] for each in log["properties"]["logs"])
    assert [log["name"] for log in logs_of(PROD)] == ["audit"]


def logs_of(snapshot: Snapshot) -> list[dict[str, Any]]:
    return snapshot.of("Insights/diagnosticSettings")


def test_a_runners_subnet_has_the_way_out_and_the_rules_that_it_was_given() -> None:
    found = {
        each["name"].partition("/")[2]: each["properties"] for each in OPTIONS.of("Network/virtualNetworks/subnets")
    }
    runners = found["runners"]
    assert runners["natGateway"]["id"].endswith("/natGateways/way-out")
    assert runners["networkSecurityGroup"]["id"].endswith("/networkSecurityGroups/runners")
    assert [each["properties"]["serviceName"] for each in runners["delegations"]] == ["GitHub.Network/networkSettings"]
    assert not runners["defaultOutboundAccess"]


def test_a_hub_is_peered_and_finds_the_stores_by_their_names_unless_it_has_zones_of_its_own() -> None:
    peering = OPTIONS.one("Network/virtualNetworks/virtualNetworkPeerings")["properties"]
    assert peering["remoteVirtualNetwork"]["id"].endswith("/virtualNetworks/hub")
    links = OPTIONS.of("Network/privateDnsZones/virtualNetworkLinks")
    to_the_hub = [each for each in links if each["properties"]["virtualNetwork"]["id"].endswith("/virtualNetworks/hub")]
    assert len(to_the_hub) == len(OPTIONS.of("Network/privateDnsZones")) == 6
    assert "if (!empty(hubNetworkId) && hubLink)" in TEMPLATES[INFRA / "modules" / "network.bicep"]
    assert not PROD.of("Network/virtualNetworks/virtualNetworkPeerings")


def test_a_network_is_changed_by_one_at_a_time_also_where_parts_of_it_are_left_out() -> None:
    """Azure drops a dependency on what is not deployed: who comes after that names what came before it as well."""
    text = TEMPLATES[INFRA / "modules" / "network.bicep"]
    parts = re.findall(r"^  resource (\w+) '\w+' = (if )?.*?^  }", text, re.MULTILINE | re.DOTALL)
    waits = dict(re.findall(r"^  resource (\w+) '\w+' = [^=]*?^    dependsOn: \[(.*)\]", text, re.MULTILINE))
    assert len(parts) == 4
    before: list[str] = []
    for name, optional in parts:
        assert set(filter(None, waits.get(name, "").split(", "))) >= set(before), name
        before = [*before, name] if optional else [name]


def test_what_gets_into_each_others_way_is_made_one_after_another() -> None:
    """Private endpoints of one subnet and account; containers of a database whose throughput they share; a topic's."""
    of_a_topic = [("modules/topic.bicep", f"resource {name} ") for name in ("subscription", "taken", "other", "rule")]
    for file, made in (
        ("main.bicep", "module endpoint "),
        ("modules/cosmos.bicep", "resource container "),
        *of_a_topic,
    ):
        assert re.search(rf"@batchSize\(1\)\s+{made}'\S+' = \[", TEMPLATES[INFRA / file]), made


def test_a_deleted_vault_comes_back_where_that_is_wanted() -> None:
    assert OPTIONS.one("KeyVault/vaults")["properties"]["createMode"] == "recover"


@each_environment
def test_azd_finds_an_environment_and_its_service_by_their_tags(snapshot: Snapshot) -> None:
    tags = [resource["tags"] for resource in snapshot.resources if "tags" in resource]
    assert {each["azd-env-name"] for each in tags} == {snapshot.environment}
    (service,) = re.findall(r"^services:\n  (\w+):$", (ROOT / "azure.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    tagged = [each["type"] for each in snapshot.resources if each.get("tags", {}).get("azd-service-name") == service]
    assert tagged == ["Microsoft.Web/sites"]


def providers() -> Iterator[str]:
    """The namespaces of what is deployed."""
    for snapshot in (*SNAPSHOTS.values(), OPTIONS):
        for resource in snapshot.resources:
            yield resource["type"].partition("/")[0].removeprefix("Microsoft.")


def test_the_guide_registers_every_provider_that_the_templates_use() -> None:
    guide = (ROOT / "infra" / "bootstrap.sh").read_text(encoding="utf-8")
    loop = re.search(r"for namespace in (.*?); do", guide, re.DOTALL)
    assert loop
    assert set(providers()) <= set(re.findall(r"\w+", loop[1]))


def test_every_role_id_is_used_by_name() -> None:
    for path, text in TEMPLATES.items():
        if path.name != "roles.bicep":
            assert not re.search(r"'[0-9a-f]{8}-[0-9a-f]{4}-", text), path.name


def test_every_rule_of_the_linter_is_an_error_or_has_a_reason_not_to_be() -> None:
    lines = (INFRA / "bicepconfig.json").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if '"level"' in line]
    assert len(rules) > 45
    for line in rules:
        assert '"error"' in line or re.search(r'"off" \},? // \w.{20,}', line), line
