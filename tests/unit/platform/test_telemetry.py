"""Spans and metrics: what joins what, and what is counted as what."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from azure.core.pipeline import PipelineResponse
from azure.core.rest import HttpRequest
from azure.monitor.opentelemetry.exporter.export.metrics._exporter import APPLICATION_INSIGHTS_METRIC_TEMPORALITIES
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.trace import SpanKind, StatusCode

from shared.frame.messaging.envelope import Accepted, Envelope, Metadata
from shared.frame.platform import telemetry
from shared.kernel.refusals import NotFound
from tests.support.envelopes import an_envelope
from tests.support.telemetry import Observed, exported, observing, parent_of, trace_of, traceparent_of, written

REQUEST = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HOST = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
ELSEWHERE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class NoSuchTeapot(NotFound):
    """A refusal."""

    code = "no-such-teapot"


@pytest.fixture
def observed() -> Iterator[Observed]:
    with observing() as observed:
        yield observed


def envelope(traceparent: str | None = REQUEST, ago: timedelta = timedelta(0)) -> Envelope:
    return replace(an_envelope("TeapotFilledV1", uuid4()), occurred_at=datetime.now(UTC) - ago, traceparent=traceparent)


def accepted(*, replayed: bool = False) -> Accepted:
    return Accepted(uuid4(), 1, replayed)


def traced(given: Metadata) -> Metadata:
    """What a command's events inherit."""
    seen: list[Metadata] = []

    def carry_out(metadata: Metadata) -> Accepted:
        seen.append(metadata)
        return accepted()

    telemetry.command("FillTeapot", given, carry_out)
    return seen[0]


def test_a_command_is_a_span_of_its_request_and_its_events_name_that_span(observed: Observed) -> None:
    metadata = traced(Metadata(traceparent=REQUEST, actor="Ada"))

    [span] = observed.spans()
    assert (span.name, parent_of(span), span.status.status_code) == ("FillTeapot", REQUEST, StatusCode.UNSET)
    assert metadata.traceparent == traceparent_of(span)
    assert metadata.actor == "Ada"


@pytest.mark.parametrize("given", [REQUEST, REQUEST.replace("-01", "-00"), None])
def test_without_a_place_to_go_the_traceparent_is_passed_on_as_it_came(given: str | None) -> None:
    assert traced(Metadata(traceparent=given)).traceparent == given
    with telemetry.sending("teapot-events", [envelope(given)]) as sent:
        assert sent == [given]


@pytest.mark.parametrize("given", ["garbage", "x" * 5_000, f"00-{'0' * 32}-{'1' * 16}-01", "00-1-2-01\r\nforged"])
def test_a_traceparent_that_is_none_is_not_passed_on(given: str) -> None:
    assert traced(Metadata(traceparent=given)).traceparent is None


def refuse() -> Accepted:
    raise NoSuchTeapot("There is no such teapot.")


def fail() -> Accepted:
    raise ConnectionError("nobody there")


@pytest.mark.parametrize(
    ("end", "outcome", "status"),
    [
        (accepted, {"tandem.outcome": "accepted"}, StatusCode.UNSET),
        (lambda: accepted(replayed=True), {"tandem.outcome": "replayed"}, StatusCode.UNSET),
        (refuse, {"tandem.outcome": "refused", "error.type": "no-such-teapot"}, StatusCode.UNSET),
        (fail, {"tandem.outcome": "failed", "error.type": "ConnectionError"}, StatusCode.ERROR),
    ],
)
def test_commands_are_timed_by_how_they_ended(
    observed: Observed, end: Callable[[], Accepted], outcome: dict[str, str], status: StatusCode
) -> None:
    with suppress(NoSuchTeapot, ConnectionError):
        telemetry.command("FillTeapot", Metadata(), lambda _: end())

    [point], [span] = observed.points("tandem.command.duration"), observed.spans()
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, point.attributes) == (1, {"tandem.command": "FillTeapot", **outcome})
    assert 0 <= point.sum < 5
    assert (span.attributes, span.status.status_code) == (point.attributes, status)
    assert len(span.events) == (status is StatusCode.ERROR)


def test_each_event_is_sent_in_the_trace_of_its_own_command(observed: Observed) -> None:
    with telemetry.sending("teapot-events", [envelope(REQUEST), envelope(ELSEWHERE), envelope(None)]) as sent:
        assert observed.spans() == []

    spans = observed.spans()
    assert [parent_of(span) for span in spans] == [REQUEST, ELSEWHERE, None]
    assert [traceparent_of(span) for span in spans] == sent
    assert {(span.name, span.kind) for span in spans} == {("send teapot-events", SpanKind.PRODUCER)}
    assert len({trace_of(span) for span in spans}) == 3


def test_an_event_that_could_not_be_sent_has_a_span_that_says_so(observed: Observed) -> None:
    with pytest.raises(ConnectionError), telemetry.sending("teapot-events", [envelope()]):
        raise ConnectionError("nobody there")
    [span] = observed.spans()
    assert (span.status.status_code, span.events[0].name) == (StatusCode.ERROR, "exception")


@pytest.mark.parametrize(
    ("event", "sent", "invocation", "parent", "link"),
    [
        (None, REQUEST, HOST, HOST, REQUEST),  # in Azure: the host has continued the trace
        (REQUEST, HOST, HOST, HOST, HOST),  # on a laptop: it hands on what it was given
        (None, REQUEST, ELSEWHERE, REQUEST, REQUEST),  # a host that knows nothing of traces
        (REQUEST, None, None, REQUEST, REQUEST),  # an event given by hand
        (None, None, ELSEWHERE, ELSEWHERE, None),
        (None, None, None, None, None),
    ],
)
def test_an_event_is_taken_in_in_the_trace_of_its_command_whatever_the_host_does(
    observed: Observed,
    event: str | None,
    sent: str | None,
    invocation: str | None,
    parent: str | None,
    link: str | None,
) -> None:
    with telemetry.processing("teapot-events", "kitchen", envelope(event), sent, invocation):
        pass
    [span] = observed.spans()
    assert (span.name, span.kind, parent_of(span)) == ("process teapot-events", SpanKind.CONSUMER, parent)
    assert [written(each.context) for each in span.links] == ([link] if link else [])


def lags(observed: Observed) -> list[HistogramDataPoint]:
    return [point for point in observed.points("tandem.projection.lag") if isinstance(point, HistogramDataPoint)]


def test_the_lag_is_what_has_passed_since_the_event(observed: Observed) -> None:
    for ago in (timedelta(minutes=5), timedelta(minutes=1), timedelta(hours=-1)):  # the last by another clock
        with telemetry.processing("teapot-events", "kitchen", envelope(ago=ago), None, None):
            pass
    [point] = lags(observed)
    assert point.attributes == {
        "messaging.destination.name": "teapot-events",
        "messaging.destination.subscription.name": "kitchen",
    }
    assert (point.count, point.min) == (3, 0)
    assert 300 <= point.max < 310


def test_an_event_that_was_not_taken_in_has_no_lag_and_a_failed_span(observed: Observed) -> None:
    with (
        pytest.raises(ConnectionError),
        telemetry.processing("teapot-events", "kitchen", envelope(), None, None),
    ):
        raise ConnectionError("nobody there")
    assert lags(observed) == []
    assert [span.status.status_code for span in observed.spans()] == [StatusCode.ERROR]


def test_the_outbox_is_told_by_context(observed: Observed) -> None:
    telemetry.outbox("kitchen", 3, datetime.now(UTC) - timedelta(minutes=2))
    telemetry.outbox("cellar", 0, None)

    def told(metric: str) -> dict[object, float]:
        points = [point for point in observed.points(metric) if isinstance(point, NumberDataPoint)]
        return {(point.attributes or {})["tandem.context"]: point.value for point in points}

    assert told("tandem.outbox.unpublished") == {"kitchen": 3, "cellar": 0}
    ages = told("tandem.outbox.oldest")
    assert ages["cellar"] == 0
    assert 120 <= ages["kitchen"] < 130


def test_what_is_measured_once_is_exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Azure Monitor's exporter collects it: what repeats itself looks alive, and keeps an alarm from ending."""
    reader = InMemoryMetricReader(cast("dict[type, Any]", APPLICATION_INSIGHTS_METRIC_TEMPORALITIES))
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter(telemetry.NAME)
    monkeypatch.setattr(telemetry, "instruments", telemetry.Instruments(meter))
    one = telemetry.Metric("tandem.kitchen.orders", "{order}", "Orders")

    def measure(value: int) -> None:
        telemetry.outbox("kitchen", value, None)
        telemetry.outbox("cellar", value, None)
        telemetry.subscription("topic", "subscription", value, None)
        telemetry.view_presence("orders", wrong=False)
        telemetry.view_truth("orders", value, value)
        telemetry.record_metrics("kitchen", {one: value})
        telemetry.count(telemetry.Metric("tandem.kitchen.calls", "{call}", "Calls"), {"tandem.step": "call"})
        telemetry.work_done("the relay of orders")
        telemetry.instruments.request_units.record(value)

    measure(6)
    measure(7)
    names = [name for name, _ in exported(reader)]
    assert len(names) == len(set(names)) + 2, "each, and two of the outboxes' for both contexts"
    assert list(exported(reader)) == []
    measure(8)
    values = {name: point.value for name, point in exported(reader) if isinstance(point, NumberDataPoint)}
    assert values["tandem.outbox.unpublished"] == values["tandem.kitchen.orders"] == 8
    assert list(exported(reader)) == []


def test_a_question_about_a_database_is_no_document_whatever_the_account_is_called(observed: Observed) -> None:
    request = HttpRequest("GET", "https://docs-account.documents.azure.com/dbs/tandem")
    answer: Any = SimpleNamespace(headers={"x-ms-request-charge": "2"})
    telemetry.request_charge(PipelineResponse(request, answer, cast("Any", None)))
    [point] = observed.points("tandem.cosmos.request_units")
    assert (point.attributes or {})["db.operation.name"] == "metadata"


def test_an_answer_without_a_charge_is_not_counted(observed: Observed) -> None:
    answer: Any = SimpleNamespace(http_response=SimpleNamespace(headers={}))
    telemetry.request_charge(answer)
    assert observed.points("tandem.cosmos.request_units") == []
