"""Publishing what a step decided, without making the step depend on the broker.

The job document is the outbox: an event that could not be published is published again by the reconciler,
so a failed publish is logged and counted but never fails the step that was recorded already.
"""

from itertools import pairwise

import structlog

from shared import metrics, tracing
from shared.bus.protocol import Bus
from shared.errors import PublishFailed
from shared.events import Event, EventData
from shared.job.failure_codes import NONE, OTHER, counted_code
from shared.job.model import Job, JobStatus
from shared.job.outstanding import Nudge, announcement

log = structlog.get_logger(__name__)

_A_PERSONS_TURN = (JobStatus.REVIEW, JobStatus.FAILED)
"""Statuses that last until somebody approves the clips, or asks for a retry."""


class Emitter:
    """Publishes events about jobs in the name of one service."""

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus = bus
        self._service = service

    async def publish(self, job: Job, payload: EventData, step: str, *, transient: bool = False) -> None:
        """Publish one event. Raises `PublishFailed` (for those who must know, such as the callback route)."""
        above = tracing.continued(job.traceparent)
        with tracing.span(f"publish {payload.name}", "producer", above, sora__job=job.id) as step_of_trace:
            event = Event.of(job.id, payload, source=self._service, step=step, traceparent=step_of_trace.traceparent)
            await self._bus.publish(event, transient=transient)

    async def emit(self, job: Job, payload: EventData, step: str, *, transient: bool = False) -> bool:
        """Publish one event; return False if the broker did not confirm it (the reconciler will repeat it).

        A `transient` one is only for those who listen just now: it may get lost, and nobody repeats it.
        """
        try:
            await self.publish(job, payload, step, transient=transient)
        except PublishFailed as failed:
            log.warning("event not published now", event_name=payload.name, job=job.id, problem=str(failed))
            return False
        return True

    async def nudge(self, job: Job, nudge: Nudge) -> bool:
        """Publish something outstanding."""
        return await self.emit(job, nudge.payload, nudge.step)

    async def announce(self, job: Job) -> bool:
        """Publish where the job stands now."""
        return await self.nudge(job, announcement(job))

    async def ended(self, job: Job) -> None:
        """Announce and count a job that has just come to its end."""
        outcome = str(job.status)
        metrics.JOBS_ENDED.labels(outcome, _counted_as(job)).inc()
        metrics.JOB_DURATION.labels(outcome).observe(_worked_s(job), tracing.exemplar(job.traceparent))
        await self.announce(job)


def _worked_s(job: Job) -> float:
    """Return how long the job took from its acceptance to its end, without what it waited for a person to decide."""
    ended_at = job.finished_at or job.created_at
    waited = sum(after.at - before.at for before, after in pairwise(job.passages) if before.status in _A_PERSONS_TURN)
    return max(0, ended_at - job.created_at - waited) / 1000


def _counted_as(job: Job) -> str:
    """Return why the job failed, in the metrics' words; a job that was cancelled may carry the failure of a clip."""
    if job.status is not JobStatus.FAILED:
        return NONE
    return counted_code(job.failure.code) if job.failure is not None else OTHER
