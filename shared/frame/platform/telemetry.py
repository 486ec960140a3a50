"""Telemetry: spans that join a request to its projections, and metrics; see docs/telemetry.md.

Names and attributes follow OpenTelemetry's conventions where there is one. Without an exporter (azure_monitor.py) spans
and metrics are dropped, and the caller's traceparent is passed on unchanged.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from azure.core.pipeline import PipelineResponse
from opentelemetry import metrics, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.frame.messaging.envelope import Accepted, Envelope, Metadata
from shared.frame.platform.activity import ACTIVITY, spend
from shared.kernel.refusals import Refusal

NAME = "tandem"

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800)
"""Bounds of the histograms of times, for backends that keep buckets; Azure Monitor keeps count, sum, least and most."""

_W3C = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a context's own: a gauge, or a counter.

    Attributes:
        name: begins with `tandem.`.
        unit: as OpenTelemetry writes units.
        description: its meaning, for people.
    """

    name: str
    unit: str
    description: str


class Gauge:
    """Exports a value once for each time that it was measured: what is not measured any more falls silent.

    OpenTelemetry's own gauge repeats its last value for as long as the process lives. So an alarm would never end after
    the timer has moved to another instance, and none would begin when nobody measures any more.
    """

    def __init__(self, meter: Meter, name: str, unit: str, description: str) -> None:
        self._measured: dict[frozenset[tuple[str, str]], float] = {}
        self._changing = threading.Lock()
        meter.create_observable_gauge(name, [self._export], unit, description)

    def set(self, value: float, attributes: Mapping[str, str]) -> None:
        """Keep a value until the next export; a later one with the same attributes replaces it."""
        with self._changing:
            self._measured[frozenset(attributes.items())] = value

    def _export(self, _: CallbackOptions) -> list[Observation]:
        with self._changing:
            measured, self._measured = self._measured, {}
        return [Observation(value, dict(attributes)) for attributes, value in measured.items()]


class Instruments:
    """The metrics."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._gauges: dict[Metric, Gauge] = {}
        self._counters: dict[Metric, metrics.Counter] = {}

        def seconds(name: str, description: str) -> metrics.Histogram:
            return meter.create_histogram(
                name, unit="s", description=description, explicit_bucket_boundaries_advisory=SECONDS
            )

        self.command_duration = seconds("tandem.command.duration", "Time to carry a command out, by how it ended")
        self.projection_lag = seconds(
            "tandem.projection.lag", "Time from an event until a subscription has taken it in"
        )
        self.outbox_unpublished = Gauge(
            meter, "tandem.outbox.unpublished", unit="{event}", description="Events that a relay left in the outbox"
        )
        self.outbox_oldest = Gauge(
            meter,
            "tandem.outbox.oldest",
            unit="s",
            description="Age of the oldest event that a relay left; 0: it left none",
        )
        self.dead_letters = Gauge(
            meter, "tandem.dead_letters", unit="{message}", description="Messages that a subscription gave up on"
        )
        self.subscription_oldest = Gauge(
            meter,
            "tandem.subscription.oldest",
            unit="s",
            description="Age of the oldest message that a subscription has yet to take in; 0: it has none",
        )
        self.work_done = meter.create_counter(
            "tandem.work.done", unit="{run}", description="Runs of a timer's piece of work that came to their end"
        )
        self.view_wrong = Gauge(
            meter,
            "tandem.view.wrong",
            unit="1",
            description="1: what a view serves is empty, missing or unreadable; or 0",
        )
        self.view_unapplied = Gauge(
            meter,
            "tandem.view.unapplied",
            unit="{event}",
            description="Events of over a minute ago that a view does not show",
        )
        self.view_differences = Gauge(
            meter, "tandem.view.differences", unit="{document}", description="Documents that the last check found wrong"
        )
        self.request_units = meter.create_histogram(
            "tandem.cosmos.request_units", unit="{request_unit}", description="What a request cost Cosmos DB"
        )

    def gauge(self, metric: Metric) -> Gauge:
        """Give the gauge of a context's metric."""
        if metric not in self._gauges:
            self._gauges[metric] = Gauge(self._meter, metric.name, metric.unit, metric.description)
        return self._gauges[metric]

    def counter(self, metric: Metric) -> metrics.Counter:
        """Give the counter of a context's metric."""
        if metric not in self._counters:
            self._counters[metric] = self._meter.create_counter(metric.name, metric.unit, metric.description)
        return self._counters[metric]


tracer = trace.get_tracer(NAME)
instruments = Instruments(metrics.get_meter(NAME))


def command(name: str, metadata: Metadata, carry_out: Callable[[Metadata], Accepted]) -> Accepted:
    """Carry a command out in a span of its request's trace, which its events then name, and time it."""
    attributes = {"tandem.command": name, "tandem.outcome": "failed"}
    started = time.perf_counter()
    span = tracer.start_span(name, _context(metadata.traceparent))
    # tracer.start_as_current_span does the same; its two context managers take four times as long, without an exporter
    outer = attach(trace.set_span_in_context(span))
    try:
        traceparent = _traceparent(span)
        accepted = carry_out(
            metadata if traceparent == metadata.traceparent else replace(metadata, traceparent=traceparent)
        )
        attributes["tandem.outcome"] = "replayed" if accepted.replayed else "accepted"
    except Refusal as refusal:  # a refusal is an ordinary answer, no error of the system
        attributes |= {"tandem.outcome": "refused", "error.type": refusal.code}
        raise
    except Exception as error:
        attributes["error.type"] = type(error).__name__
        _fail(span, error)
        raise
    else:
        return accepted
    finally:
        detach(outer)
        span.set_attributes(attributes)
        span.end()
        instruments.command_duration.record(time.perf_counter() - started, attributes)
        ACTIVITY.count(attributes["tandem.outcome"])


@contextmanager
def sending(topic: str, envelopes: Sequence[Envelope]) -> Iterator[list[str | None]]:
    """Make a span of the sending of events in each command's trace; give the traceparent for each message."""
    spans = [
        tracer.start_span(
            f"send {topic}",
            _context(envelope.traceparent),
            SpanKind.PRODUCER,
            _message("send", topic, envelope) | {"messaging.batch.message_count": len(envelopes)},
        )
        for envelope in envelopes
    ]
    try:
        yield [_traceparent(span) for span in spans]
    except BaseException as error:
        for span in spans:
            _fail(span, error)
        raise
    finally:
        for span in spans:
            span.end()


@contextmanager
def processing(
    topic: str, subscription: str, envelope: Envelope, sent: str | None, invocation: str | None, attempt: int = 1
) -> Iterator[None]:
    """Make a span of a delivery of an event in the trace of its command, and measure how late it is.

    Args:
        topic: the event's topic.
        subscription: the subscription that delivered it.
        envelope: the event.
        sent: the message's traceparent; None if it has none.
        invocation: traceparent of the host's own span of this delivery, which is the parent if it is in that trace.
        attempt: which delivery it is, counted from 1.
    """
    creation = trace.get_current_span(_context(sent or envelope.traceparent)).get_span_context()
    host = trace.get_current_span(_context(invocation)).get_span_context()
    parent = host if host.trace_id == creation.trace_id or not creation.is_valid else creation
    where = {"messaging.destination.name": topic, "messaging.destination.subscription.name": subscription}
    path = f"{topic}/{subscription}"
    with tracer.start_as_current_span(
        f"process {topic}",
        trace.set_span_in_context(trace.NonRecordingSpan(parent), Context()),
        SpanKind.CONSUMER,
        {
            **_message("process", topic, envelope),
            **where,
            "messaging.servicebus.message.delivery_count": attempt,
            "tandem.subscription": path,  # Azure Monitor's exporter drops all of messaging.*
        },
        [Link(creation)] if creation.is_valid else None,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            with ACTIVITY.delivery(path, envelope.event_id, envelope.occurred_at, attempt) as delivery:
                yield
        except BaseException as error:
            _fail(span, error)
            raise
        finally:
            span.set_attribute("tandem.cosmos.request_units", delivery.units)
    lag = (datetime.now(UTC) - envelope.occurred_at).total_seconds()
    # the clocks of two machines differ by more than a fast projection takes
    instruments.projection_lag.record(max(lag, 0), where)


def problem(status: int, code: str) -> None:
    """Count an answer that is the system's own error, or a request that found no room."""
    if code == "overloaded":
        ACTIVITY.count("overloaded")
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        ACTIVITY.count("errors")


def asked_too_soon() -> None:
    """Count an answer of 503 for which its caller alone is the reason: nobody has to do anything about it."""
    ACTIVITY.count("tooSoon")


def outbox(context: str, unpublished: int, oldest: datetime | None) -> None:
    """Record how many events a relay left unpublished, and since when the oldest of them waits."""
    instruments.outbox_unpublished.set(unpublished, {"tandem.context": context})
    instruments.outbox_oldest.set(_age(oldest), {"tandem.context": context})


def _age(oldest: datetime | None) -> float:
    """Give the seconds since then; 0: nothing waits."""
    return 0.0 if oldest is None else max((datetime.now(UTC) - oldest).total_seconds(), 0)


def work_done(name: str) -> None:
    """Count that a timer has done a piece of its work; alarms compare who is counted with who should be."""
    instruments.work_done.add(1, {"tandem.work": name})


def subscription(topic: str, name: str, dead: int, oldest: datetime | None) -> None:
    """Record how many dead letters a subscription has, and since when its oldest message waits to be taken in."""
    where = {"messaging.destination.name": topic, "messaging.destination.subscription.name": name}
    instruments.dead_letters.set(dead, where)
    instruments.subscription_oldest.set(_age(oldest), where)


def view_presence(view: str, *, wrong: bool) -> None:
    """Record whether something is wrong with a view as a whole."""
    instruments.view_wrong.set(int(wrong), {"tandem.view": view})


def view_truth(view: str, unapplied: int, differences: int) -> None:
    """Record how many events a view does not show, and how many of its documents were found wrong."""
    instruments.view_unapplied.set(unapplied, {"tandem.view": view})
    instruments.view_differences.set(differences, {"tandem.view": view})


def record_metrics(context: str, values: Mapping[Metric, float]) -> None:
    """Record a context's own metrics."""
    for metric, value in values.items():
        instruments.gauge(metric).set(value, {"tandem.context": context})


def count(metric: Metric, attributes: Mapping[str, str]) -> None:
    """Add one to a context's counter."""
    instruments.counter(metric).add(1, attributes)


def request_charge(response: PipelineResponse[Any, Any]) -> None:
    """Record the request units of a request, whatever its outcome; a hook for Cosmos DB's client."""
    charge = response.http_response.headers.get("x-ms-request-charge")
    if charge is not None:
        request = response.http_request
        collection = request.url.partition("/colls/")[2].partition("/")[0]
        spend(float(charge))
        instruments.request_units.record(
            float(charge), {"db.collection.name": collection, "db.operation.name": _operation(request)}
        )


def _operation(request: Any) -> str:
    """Name what a request does, in the words of OpenTelemetry's conventions for Cosmos DB."""
    if "/docs" not in urlsplit(request.url).path:
        return "metadata"
    if request.headers.get("x-ms-cosmos-is-batch-request"):
        return "execute_batch"
    if request.headers.get("x-ms-documentdb-isquery"):
        return "query_items"
    verbs = {"GET": "read", "POST": "create", "PATCH": "patch", "PUT": "replace", "DELETE": "delete"}
    return f"{verbs[request.method]}_item"


def _message(operation: str, topic: str, envelope: Envelope) -> dict[str, str | int]:
    return {
        "messaging.system": "servicebus",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        "messaging.message.id": str(envelope.event_id),
        "messaging.message.conversation_id": envelope.correlation_id,
        "tandem.event": envelope.type,
    }


def _context(traceparent: str | None) -> Context:
    """Read a traceparent; a malformed one counts as missing."""
    return Context() if traceparent is None else _W3C.extract({"traceparent": traceparent}, Context())


def _traceparent(span: Span) -> str | None:
    if not span.get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier.get("traceparent")


def _fail(span: Span, error: BaseException) -> None:
    span.record_exception(error)
    span.set_status(StatusCode.ERROR, type(error).__name__)
