"""Where the milliseconds of a job go: milestones on its way through the services, read from its trace."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from shared.store import redis_layout
from tests.support.otlp import Seen

MILESTONES = (
    "the provider is done",
    "its callback is here",
    "the callback is queued",
    "the generator has it",
    "the provider has been asked",
    "the clip is home",
    "the stitcher has it",
    "joining begins",
    "the film is joined",
    "the film is stored and told of",
    "the uploader has it",
    "the film is being sent",
    "the film is in the record",
    "the job is completed",
)
"""The path of the job's last clip, in order. The time up to each is that of what stands between it and the last one."""
CALLBACK = "POST /api/callback/sora"
SCRIPTS = {
    value.sha1: f"script {name.lower()}"
    for name, value in vars(redis_layout).items()
    if isinstance(value, redis_layout.Script)
}


@dataclass(frozen=True)
class Path:
    """When a job passed each of `MILESTONES`, in Unix ms."""

    at_ms: tuple[float, ...]

    @property
    def steps(self) -> list[float]:
        """The time between each milestone and the one before."""
        return [later - earlier for earlier, later in zip(self.at_ms, self.at_ms[1:], strict=False)]


def path_of(spans: Sequence[Seen], job_id: str, done_ms: float) -> Path:
    """Find a job's milestones in its spans.

    Args:
        spans: all that were recorded.
        job_id: the job.
        done_ms: when its last clip was done at the provider.

    Raises:
        LookupError: a span of the path is missing.
    """
    trace = _latest(spans, "stitcher video.ready", job=job_id).trace_id
    home = _latest(spans, "bring clip home", trace=trace)
    callback = _latest(spans, "generator video.callback", job=job_id)
    called = [span for span in spans if span.name == CALLBACK and span.started_ms <= callback.started_ms]
    received = max(called, key=lambda span: span.started_ms)  # jobs come one at a time
    ready = _latest(spans, "publish video.ready", job=job_id)
    joined = _latest(spans, "join film", trace=trace)
    stitching = next(span for span in spans if span.span_id == joined.parent_id)
    told = _latest(spans, "publish job.stitched", job=job_id)
    delivering = _latest(spans, "uploader job.stitched", job=job_id)
    sent = _latest(spans, "airtable upload", trace=trace)
    return Path(
        (
            done_ms,
            received.started_ms,
            received.ended_ms,
            callback.started_ms,
            max(span.ended_ms for span in spans if span.name == "kie look" and span.parent_id == home.span_id),
            ready.started_ms,
            stitching.started_ms,
            joined.started_ms,
            joined.ended_ms,
            told.ended_ms,
            delivering.started_ms,
            sent.started_ms,
            sent.ended_ms,
            delivering.ended_ms,
        )
    )


def typical(paths: Iterable[Path]) -> list[tuple[str, float]]:
    """Return the median time of every step, named by the milestone it leads to."""
    columns = zip(*(path.steps for path in paths), strict=True)
    return list(zip(MILESTONES[1:], map(statistics.median, columns), strict=True))


def _latest(spans: Sequence[Seen], name: str, *, job: str = "", trace: str = "") -> Seen:
    """Return the span that ended last: that of the last clip, and the one that did the work."""
    found = [s for s in spans if s.name == name and (s.job == job if job else s.trace_id == trace)]
    if not found:
        raise LookupError(f"no span {name!r} of job {job or trace}")
    return max(found, key=lambda span: span.ended_ms)


@asynccontextmanager
async def round_trips(store: Redis) -> AsyncIterator[Counter[str]]:
    """Count the commands that clients send while the body runs, scripts by their names; what scripts call is not one.

    Redis counts both kinds together (`INFO commandstats`), so this listens in by MONITOR, which slows the server down.
    """
    found: Counter[str] = Counter()
    async with store.monitor() as monitor:

        async def listen() -> None:
            async for command in monitor.listen():
                if command["client_type"] == "lua":
                    continue
                words = str(command["command"]).split()
                name = words[0].upper()
                found[SCRIPTS.get(words[1], name) if name == "EVALSHA" else name] += 1

        listening = asyncio.create_task(listen())
        try:
            yield found
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def per_job(counts: Mapping[str, float], idle: Mapping[str, float], jobs: int) -> dict[str, float]:
    """Return what a job takes: `counts` less what happened without jobs in the same time."""
    return {name: max(0.0, count - idle.get(name, 0)) / jobs for name, count in counts.items()}
