"""What the system tells of itself, kept in memory by OpenTelemetry's own SDK."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from shared.frame.platform import telemetry

type Point = NumberDataPoint | HistogramDataPoint


class Observed:
    """Spans and metrics since the block began."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self._told: dict[str, dict[frozenset[object], Point]] = {}  # a gauge is told once, whoever asks for what

    def spans(self, trace_id: str | None = None) -> list[ReadableSpan]:
        """The spans that have ended, in the order in which they did; of one trace, or all."""
        return [span for span in self._exporter.get_finished_spans() if trace_id in {None, trace_of(span)}]

    def points(self, metric: str) -> list[Point]:
        """The points of a metric, one for each set of attributes."""
        for name, point in exported(self._reader):
            self._told.setdefault(name, {})[frozenset((point.attributes or {}).items())] = point
        return list(self._told.get(metric, {}).values())


def exported(reader: InMemoryMetricReader) -> Iterator[tuple[str, Point]]:
    """What a reader collects now: each point, with its metric's name."""
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    if isinstance(point, NumberDataPoint | HistogramDataPoint):
                        yield metric.name, point


def trace_of(span: ReadableSpan) -> str:
    """The id of a span's trace, as a traceparent writes it."""
    return traceparent_of(span).split("-")[1]


def traceparent_of(span: ReadableSpan) -> str:
    """What names a span as a parent."""
    context = span.get_span_context()
    assert context is not None
    return written(context)


def parent_of(span: ReadableSpan) -> str | None:
    """The same of its parent."""
    return None if span.parent is None else written(span.parent)


def written(context: SpanContext) -> str:
    """A span's context as a traceparent (https://www.w3.org/TR/trace-context/)."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@contextmanager
def observing() -> Iterator[Observed]:
    """Keep what is told while the block runs, by this process and by all of its threads."""
    observed = Observed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(telemetry, "tracer", observed.tracers.get_tracer(telemetry.NAME))
        patch.setattr(telemetry, "instruments", telemetry.Instruments(observed.meters.get_meter(telemetry.NAME)))
        yield observed
