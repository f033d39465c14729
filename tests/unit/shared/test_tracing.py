"""Trace context: carried on, with a span of its own for every hop, and recorded only where that was asked for."""

import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from shared import tracing
from shared.errors import ConfigurationError

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_span_belongs_to_its_parents_trace_and_has_an_id_of_its_own() -> None:
    with tracing.span("outer", parent=PARENT) as outer:
        assert outer.traceparent[:36] == PARENT[:36]
        assert outer.traceparent[-3:] == PARENT[-3:]
        with tracing.span("inner") as inner:
            assert tracing.current() == inner.traceparent
            assert tracing.headers() == {"traceparent": inner.traceparent}
        assert tracing.current() == outer.traceparent
    assert len({PARENT, outer.traceparent, inner.traceparent}) == 3
    assert tracing.current() is None
    assert tracing.headers() == {}


@pytest.mark.parametrize("parent", [None, "", "nonsense", PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32)])
def test_without_a_usable_parent_a_trace_begins(parent: str | None) -> None:
    with tracing.span("root", parent=parent) as root:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", root.traceparent)
        assert root.traceparent[:36] != PARENT[:36]


def test_a_jobs_trace_goes_on_in_the_step_under_way_if_that_is_of_the_same_trace() -> None:
    assert tracing.continued(PARENT) == PARENT
    assert tracing.continued(None) is None
    with tracing.span("of the job", parent=PARENT) as step:
        assert tracing.continued(PARENT) == step.traceparent
        assert tracing.continued(None) == step.traceparent
    with tracing.span("of something else"):
        assert tracing.continued(PARENT) == PARENT


def test_measurements_and_log_lines_name_the_trace() -> None:
    assert tracing.exemplar() is None
    assert tracing.into_log_line(None, "info", {"event": "x"}) == {"event": "x"}
    with tracing.span("step", parent=PARENT):
        trace = PARENT[3:35]
        assert tracing.exemplar() == {"trace_id": trace}
        assert tracing.into_log_line(None, "info", {"event": "x"}) == {"event": "x", "trace_id": trace}


def test_a_span_ends_whatever_happens_in_it() -> None:
    with pytest.raises(ZeroDivisionError), tracing.span("step"):
        raise ZeroDivisionError
    assert tracing.current() is None


def test_without_an_endpoint_neither_sdk_nor_exporter_are_imported() -> None:
    """FastAPI imports the API by itself where it is installed; that records nothing."""
    program = """
import sys
from shared import tracing
import services.gateway.bootstrap, services.generator.bootstrap
import services.stitcher.bootstrap, services.uploader.bootstrap
with tracing.exporting(None, "gateway"), tracing.span("step"):
    pass
ours = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "shared.otel")
print([name for name in sys.modules if name.startswith(ours)])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_an_endpoint_without_opentelemetry_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shared.otel", None)
    with (
        pytest.raises(ConfigurationError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT is set, .*\[otel\]"),
        tracing.exporting("http://127.0.0.1:4318", "gateway"),
    ):
        pass


class Recording:
    """A `Recorder` that keeps how spans ended."""

    def __init__(self) -> None:
        self.ended: list[BaseException | None] = []

    def begin(
        self, name: str, kind: tracing.Kind, parent: str | None, attributes: Mapping[str, tracing.Attribute]
    ) -> "Recording":
        return self

    @property
    def traceparent(self) -> str:
        return PARENT

    def note(self, name: str | None, attributes: Mapping[str, tracing.Attribute]) -> None:
        """Ignore."""

    def end(self, error: BaseException | None) -> None:
        self.ended.append(error)

    def close(self) -> None:
        """Nothing to send."""


def test_an_exception_is_an_error_unless_it_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording()
    monkeypatch.setattr(tracing, "_recorder", recording)
    error = ZeroDivisionError()
    for outcomes in ((), (ZeroDivisionError,)):
        with pytest.raises(ZeroDivisionError), tracing.span("step", outcomes=outcomes):
            raise error
    assert recording.ended == [error, None]
