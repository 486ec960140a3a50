"""The templates: sound, without secrets, and at one with the laptop and the code."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from shared.catalog import events as catalog
from shared.customers import events as customers
from shared.ordering import events as ordering
from shared.platform.control import CONTROL
from shared.platform.http.callers import CUSTOMER, Role
from shared.platform.http.docs import ASSETS
from shared.platform.settings import Settings
from tests.infra.test_package import FUNCTIONS
from tests.infra.tools import ROOT
from tests.support.app import app_globals

INFRA = ROOT / "infra"
TEMPLATES = sorted([INFRA / "main.bicep", *(INFRA / "modules").glob("*.bicep")])
MODULES = {path.stem: path.read_text(encoding="utf-8") for path in TEMPLATES}
PARAMETERS = {path.stem: path.read_text(encoding="utf-8") for path in INFRA.glob("*.bicepparam")}
NAMESPACE = json.loads((INFRA / "local" / "servicebus.json").read_text())["UserConfig"]["Namespaces"][0]
CONTAINERS = json.loads((INFRA / "local" / "cosmos.json").read_text())["containers"]
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "shared").rglob("*.py")}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_every_parameter_and_output_says_what_it_is(template: Path) -> None:
    lines = template.read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        if line.startswith(("param ", "output ")):
            above = lines[:place]
            decorators = above[max(index for index, text in enumerate(["", *above]) if not text) :]
            assert any(text.startswith("@description('") for text in decorators), f"{template.name}: {line}"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("service-bus", "disableLocalAuth: true"),
        ("cosmos", "disableLocalAuth: true"),
        ("storage", "allowSharedKeyAccess: false"),
        ("storage", "allowBlobPublicAccess: false"),
        ("sql", "azureADOnlyAuthentication: true"),
        ("key-vault", "enableRbacAuthorization: true"),
        ("monitoring", "DisableLocalAuth: true"),
        ("monitoring", "features: { disableLocalAuth: true }"),
        ("function-app", "for way in ['scm', 'ftp']: {\n      name: way\n      properties: { allow: false }"),
        ("function-app", "httpsOnly: true"),
        ("function-app", "minTlsVersion: '1.2'"),
        ("service-bus", "minimumTlsVersion: '1.2'"),
        ("cosmos", "minimalTlsVersion: 'Tls12'"),
        ("storage", "minimumTlsVersion: 'TLS1_2'"),
        ("sql", "minimalTlsVersion: '1.2'"),
    ],
)
def test_keys_open_nothing_and_nobody_talks_in_the_clear(module: str, line: str) -> None:
    assert line in MODULES[module]


def test_nobody_is_let_in_without_a_token_but_to_what_the_code_leaves_open() -> None:
    [block] = re.findall(r"name: 'authsettingsV2'\n(.*?)\n  }\n", MODULES["function-app"], re.DOTALL)
    assert "platform: { enabled: true }" in block
    assert "requireAuthentication: true" in block
    assert "unauthenticatedClientAction: 'Return401'" in block
    assert "httpSettings: { requireHttps: true }" in block
    [excluded] = re.findall(r"excludedPaths: \[(.*?)\]", block, re.DOTALL)
    open_to_all = {operation.route for operation in app_globals()["routes"] if operation.role is None}
    pages = {"openapi.json", "docs", *(f"docs/{asset}" for asset in ASSETS)}
    assert set(re.findall(r"'/api/(\S+)'", excluded)) == open_to_all | pages
    assert "*" not in excluded


def test_tokens_are_of_one_issuer_and_for_this_api() -> None:
    assert "clientId: registration.clientId, openIdIssuer: registration.issuer" in MODULES["function-app"]
    assert "allowedAudiences: [registration.clientId, 'api://${registration.clientId}'" in MODULES["function-app"]
    assert "'${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'" in MODULES["main"]


def test_the_api_has_the_app_roles_that_the_code_knows() -> None:
    roles = json.loads((INFRA / "app-roles.json").read_text())
    assert [role["value"] for role in roles] == [CUSTOMER, *Role]
    assert len({UUID(role["id"]) for role in roles}) == len(roles)
    for role in roles:
        assert role["isEnabled"]
        # a customer is a person; a service's object id is nobody's customer id
        assert role["allowedMemberTypes"] == (["User"] if role["value"] == CUSTOMER else ["User", "Application"])


def test_no_secret_is_asked_for_read_or_put_out() -> None:
    for name, text in {**MODULES, **PARAMETERS}.items():
        assert not re.search(
            r"@secure|listKeys|listSecrets|listAdminKeys|administratorLogin\b|AccountKey|Password", text
        ), name


def test_azure_has_the_laptops_topics_because_it_reads_the_same_file() -> None:
    assert "loadJsonContent('../local/servicebus.json').UserConfig.Namespaces[0].Topics" in MODULES["service-bus"]
    assert not NAMESPACE["Queues"]
    for topic in NAMESPACE["Topics"]:
        for name in topic["Properties"]:
            assert f"{name[0].lower()}{name[1:]}: definition.Properties.{name}\n" in MODULES["topic"]
        for subscription in topic["Subscriptions"]:
            assert not subscription["Rules"]
            for name in subscription["Properties"]:
                assert f"{name[0].lower()}{name[1:]}: own.Properties.{name}\n" in MODULES["topic"]


def test_azure_has_the_laptops_containers_because_it_reads_the_same_file() -> None:
    assert "loadJsonContent('../local/cosmos.json')" in MODULES["cosmos"]
    mapped = {
        "id": "id: definition.id\n",
        "partitionKey": "paths: [definition.partitionKey]",
        "indexingPolicy": "indexingPolicy: definition.indexingPolicy\n",
        "defaultTtl": "defaultTtl: definition.?defaultTtl\n",
    }
    for container in CONTAINERS:
        for name in container:
            assert mapped[name] in MODULES["cosmos"]


def test_containers_share_the_databases_throughput_so_that_a_spare_one_costs_nothing() -> None:
    assert MODULES["cosmos"].count("autoscaleSettings") == 1
    database = MODULES["cosmos"].index("resource database 'sqlDatabases'")
    container = MODULES["cosmos"].index("resource container 'containers'")
    assert database < MODULES["cosmos"].index("autoscaleSettings") < container


def test_only_the_query_side_reaches_the_read_models() -> None:
    assert "    writerPrincipalId: viewIdentity.properties.principalId\n" in MODULES["main"]
    assert re.findall(r"cosmosRoles\.\w+", MODULES["cosmos"]) == ["cosmosRoles.dataContributor"] * 2
    assert not any("cosmosRoles" in text for name, text in MODULES.items() if name not in {"cosmos", "roles"})


def test_the_code_uses_the_topics_subscriptions_and_containers_that_there_are() -> None:
    code = "".join(SOURCES.values())
    topics = {topic["Name"]: {sub["Name"] for sub in topic["Subscriptions"]} for topic in NAMESPACE["Topics"]}
    assert set(re.findall(r'topic="([\w-]+)"', code)) == set(topics)
    consumed = set(re.findall(r'consumer\("([\w-]+)", "([\w-]+)"\)', code))
    assert consumed == {(topic, name) for topic, names in topics.items() for name in names}
    views = set(re.findall(r'container="([\w-]+)"', code))
    generations = {name + generation for name in views for generation in ("", "-2")}
    assert {container["id"] for container in CONTAINERS} == generations | {CONTROL}
    assert set(re.findall(r'\.container\("([\w-]+)"\)', code)) <= generations


def test_subscriptions_that_the_code_consumes_with_sessions_have_them() -> None:
    assert "is_sessions_enabled=True" in SOURCES[ROOT / "shared" / "platform" / "subscriptions.py"]
    for topic in NAMESPACE["Topics"]:
        for subscription in topic["Subscriptions"]:
            assert subscription["Properties"]["RequiresSession"] is True


def test_others_get_only_what_they_subscribe_to_by_the_subject_that_events_are_sent_with() -> None:
    assert "correlationFilter: { label: wanted.event }" in MODULES["topic"]
    # the first rule replaces the one that lets everything pass
    assert (
        "name: wanted.event == first(subscribers[wanted.listener].events) ? '$Default' : wanted.event"
        in MODULES["topic"]
    )
    assert "subject=envelope.type," in SOURCES[ROOT / "shared" / "platform" / "topics.py"]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_others_subscribe_to_events_and_topics_that_there_are(environment: str) -> None:
    found = re.findall(r"\{ name: '(\w+)', topic: '([\w-]+)', events: \[(.*?)\] \}", PARAMETERS[environment])
    assert {name for name, _, _ in found} == {"billing", "shipping"}
    published = {name for module in (ordering, catalog, customers) for name in vars(module)}
    for _, topic, events in found:
        assert topic in {topic["Name"] for topic in NAMESPACE["Topics"]}
        assert re.findall(r"'(\w+)'", events) == ["OrderConfirmedV1"]
        assert published.issuperset(re.findall(r"'(\w+)'", events))


def app_settings() -> dict[str, str]:
    """The settings that the template gives the app, with the expressions that they come from."""
    block = re.search(r"^var settings = \{\n(.*?)^\}", MODULES["function-app"], re.MULTILINE | re.DOTALL)
    assert block
    return dict(re.findall(r"^  (\w+): (.*)$", block[1], re.MULTILINE))


def test_the_app_gets_every_setting_that_it_reads() -> None:
    given = app_settings()
    settings = Settings.from_environment(given)
    assert settings.sql == "sqlUrl"
    assert settings.cosmos == "cosmosEndpoint"
    assert settings.service_bus == "serviceBusHostName"
    assert settings.command_client_id == "commandIdentity.clientId"
    assert settings.view_client_id == "viewIdentity.clientId"
    assert set(re.findall(r'"%(\w+)%"', "".join(SOURCES.values()))) <= set(given)


def test_every_connection_says_as_whom_so_that_triggers_wake() -> None:
    given = app_settings()
    for connection in ("AzureWebJobsStorage", "ServiceBusConnection"):
        assert given[f"{connection}__credential"] == "'managedidentity'"
        assert given[f"{connection}__clientId"].endswith("Identity.clientId")


def test_the_databases_url_leads_to_azure_sql_encrypted_and_signs_nobody_in() -> None:
    written = re.search(r"output url string = '(.*)'", MODULES["sql"])
    assert written
    host = "sql-tandem.database.windows.net"
    text = (
        written[1].replace("${server.properties.fullyQualifiedDomainName}", host).replace("${database.name}", "tandem")
    )
    url = make_url(text)
    assert (url.host, url.port, url.database) == (host, 1433, "tandem")
    assert url.username is None
    assert url.password is None
    arguments, _ = sa.create_mock_engine(url, lambda *_: None).dialect.create_connect_args(url)
    assert "DRIVER={ODBC Driver 18 for SQL Server}" in arguments[0]
    assert "Encrypt=yes" in arguments[0]
    assert "Connection Timeout=30" in arguments[0]


def test_what_is_kept_warm_exists() -> None:
    for environment, text in PARAMETERS.items():
        for name in re.findall(r"name: 'function:(\w+)'", text):
            assert name in FUNCTIONS, environment


QUERIES = MODULES["alerts"] + (INFRA / "modules" / "workbook.json").read_text(encoding="utf-8").replace('\\"', '"')
"""What the alerts and the workbook ask the logs."""


def test_alerts_and_workbook_look_for_what_the_code_says() -> None:
    code = "".join(SOURCES.values())
    searches = set(re.findall(r'(?:has|startswith) "(.*?)"', QUERIES))
    assert searches == {"publishing waits", "cannot publish", "filling "}
    for words in searches:
        assert re.search(rf'logger\.\w+\(\s*"[^"]*{words}', code), words


def test_alerts_and_workbook_ask_for_what_is_measured_and_the_manual_tells_of_all_of_it() -> None:
    telemetry = SOURCES[ROOT / "shared" / "platform" / "telemetry.py"]
    measured = set(re.findall(r'"(tandem(?:\.\w+){1,2})", (?:unit=)?"', telemetry))
    asked = set(re.findall(r'Name == "(.*?)"', QUERIES))
    assert asked <= measured
    assert {"tandem.outbox.oldest", "tandem.projection.lag"} <= asked
    for attribute in re.findall(r'Properties\["(.*?)"\]', QUERIES):
        assert f'"{attribute}"' in telemetry
    manual = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    assert [name for name in measured if f"`{name}`" not in manual] == []


def test_the_alert_on_silent_relays_counts_topics() -> None:
    relays = {name for name in FUNCTIONS if name.startswith("relay_")}
    assert len(relays) == len(NAMESPACE["Topics"])


def test_the_guide_registers_every_provider_that_the_templates_use() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    loop = re.search(r"for namespace in (.*?); do", guide, re.DOTALL)
    assert loop
    used = {name for text in MODULES.values() for name in re.findall(r"'Microsoft\.(\w+)/", text)}
    assert used <= set(re.findall(r"\w+", loop[1]))


def test_every_role_id_is_used_by_name() -> None:
    for name, text in MODULES.items():
        if name != "roles":
            assert not re.search(r"'[0-9a-f]{8}-[0-9a-f]{4}-", text), name
