"""W3C trace context (https://www.w3.org/TR/trace-context/): one trace from the HTTP request to the last webhook.

A `traceparent` comes with a request or an event, every step and every message it leads to gets a span id of its
own, and log lines name the trace. That costs some random digits. Spans are recorded only where `exporting` was
given an endpoint; OpenTelemetry is not even imported otherwise.
"""

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, Protocol

from shared.errors import ConfigurationError

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attribute = str | int | float | bool

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_random = random.Random()  # noqa: S311 - names of steps, no secrets


class Recorded(Protocol):
    """A span that is being recorded."""

    @property
    def traceparent(self) -> str:
        """Its own context, for what it leads to."""

    def note(self, name: str | None, attributes: Mapping[str, Attribute]) -> None:
        """Give it another name, and attributes."""

    def end(self, error: BaseException | None) -> None:
        """It is over."""


class Recorder(Protocol):
    """Records spans; see `shared.otel`."""

    def begin(self, name: str, kind: Kind, parent: str | None, attributes: Mapping[str, Attribute]) -> Recorded:
        """Begin a span below `parent`, or a new trace."""

    def close(self) -> None:
        """Send what is not sent yet."""


_recorder: Recorder | None = None


class Span:
    """A step that is under way."""

    def __init__(self, traceparent: str, recorded: Recorded | None) -> None:
        self.traceparent = traceparent
        self._recorded = recorded

    def note(self, name: str | None = None, **attributes: Attribute | None) -> None:
        """Give it another name, and attributes; those that are None are left out."""
        if self._recorded is not None:
            self._recorded.note(name, _known(attributes))


def accept_traceparent(header: str | None) -> str:
    """Return the caller's `traceparent` if it is well formed, else a new one (sampled)."""
    if header is not None and _TRACEPARENT.fullmatch(header.strip()):
        return header.strip()
    return f"00-{_digits(32)}-{_digits(16)}-01"


@contextmanager
def span(
    name: str,
    kind: Kind = "internal",
    parent: str | None = None,
    outcomes: tuple[type[BaseException], ...] = (),
    **attributes: Attribute | None,
) -> Iterator[Span]:
    """Do a step of a trace: of `parent`'s, else of the current step's, else of a new one.

    Args:
        name: what is done, without ids.
        kind: its place between services, as OpenTelemetry divides them.
        parent: a `traceparent`; a malformed one counts as none.
        outcomes: exceptions that are no errors.
        **attributes: what to record; those that are None are left out. `__` in a name stands for a dot.
    """
    above = parent if parent is not None and _TRACEPARENT.fullmatch(parent) else _current.get()
    recorded = _recorder.begin(name, kind, above, _known(attributes)) if _recorder is not None else None
    step = Span(recorded.traceparent if recorded is not None else _child(above), recorded)
    token = _current.set(step.traceparent)
    error: BaseException | None = None
    try:
        yield step
    except BaseException as raised:
        error = raised
        raise
    finally:
        _current.reset(token)
        if recorded is not None:
            recorded.end(None if isinstance(error, outcomes) else error)


def current() -> str | None:
    """Return the context of the step under way, if there is one."""
    return _current.get()


def continued(traceparent: str | None) -> str | None:
    """Return the context to go on from in a job's trace: the step under way if it belongs to it, else the job's own."""
    here = _current.get()
    if here is not None and (traceparent is None or trace_id(here) == trace_id(traceparent)):
        return here
    return traceparent


def trace_id(traceparent: str | None) -> str | None:
    """Return the trace's id, 32 hexadecimal digits."""
    return traceparent[3:35] if traceparent is not None else None


def exemplar(traceparent: str | None = None) -> dict[str, str] | None:
    """Return the label by which a measurement names the trace of a step (the one under way if not given)."""
    trace = trace_id(traceparent or _current.get())
    return {"trace_id": trace} if trace is not None else None


def headers() -> dict[str, str]:
    """Return the header that carries the step under way to whom it calls."""
    here = _current.get()
    return {"traceparent": here} if here is not None else {}


def into_log_line(_logger: object, _method: str, line: Any) -> Any:
    """Name the trace in a log line; a structlog processor."""
    trace = trace_id(_current.get())
    if trace is not None:
        line.setdefault("trace_id", trace)
    return line


@contextmanager
def exporting(endpoint: str | None, service: str) -> Iterator[None]:
    """Record spans and send them to an OTLP/HTTP endpoint, while the context lasts; without one, do nothing.

    Raises:
        ConfigurationError: there is an endpoint, but OpenTelemetry is not installed.
    """
    global _recorder  # noqa: PLW0603 - one recorder a process, as there is one log
    if endpoint is None:
        yield
        return
    try:
        from shared.otel import OtelRecorder
    except ImportError as error:
        raise ConfigurationError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
            "install sora-video-stitcher[otel], or unset it"
        ) from error
    recorder = _recorder = OtelRecorder(endpoint, service)
    try:
        yield
    finally:
        _recorder = None
        recorder.close()


def _child(parent: str | None) -> str:
    if parent is None:
        return accept_traceparent(None)
    return f"{parent[:36]}{_digits(16)}{parent[52:]}"


def _digits(count: int) -> str:
    """Return so many random hexadecimal digits. They need to differ, not to be unguessable: no system call each."""
    return f"{_random.getrandbits(4 * count):0{count}x}"


def _known(attributes: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    return {name.replace("__", "."): value for name, value in attributes.items() if value is not None}
