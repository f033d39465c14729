"""Spans recorded with OpenTelemetry and sent by OTLP over HTTP. Imported only where an endpoint is set."""

from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.tracing import Attribute, Kind
from shared.version import VERSION

SEND_S = 5
"""Longest wait for the collector; while it is away, spans are dropped and nothing else suffers."""

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_PROPAGATOR = TraceContextTextMapPropagator()


class OtelRecorder:
    """`shared.tracing.Recorder`.

    Args:
        endpoint: of the collector, e.g. `http://localhost:4318`.
        service: whose spans these are.
    """

    def __init__(self, endpoint: str, service: str) -> None:
        resource = Resource.create(
            {"service.name": service, "service.namespace": "sora-video-stitcher", "service.version": VERSION}
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer("sora-video-stitcher", VERSION)

    def begin(self, name: str, kind: Kind, parent: str | None, attributes: Mapping[str, Attribute]) -> "OtelSpan":
        """See `Recorder.begin`."""
        above = _PROPAGATOR.extract({"traceparent": parent} if parent is not None else {})
        return OtelSpan(self._tracer.start_span(name, above, _KINDS[kind], dict(attributes)))

    def close(self) -> None:
        """See `Recorder.close`."""
        self._provider.shutdown()


class OtelSpan:
    """`shared.tracing.Recorded`."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """See `Recorded.traceparent`."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def note(self, name: str | None, attributes: Mapping[str, Attribute]) -> None:
        """See `Recorded.note`."""
        if name is not None:
            self._span.update_name(name)
        self._span.set_attributes(dict(attributes))

    def end(self, error: BaseException | None) -> None:
        """See `Recorded.end`."""
        if isinstance(error, Exception):
            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._span.end()
