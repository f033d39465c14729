"""Small edits that the transitions are made of."""

from shared.job._told import JOB_EVENTS, with_webhook
from shared.job.document import shortened
from shared.job.lease import Lease
from shared.job.model import (
    Attempt,
    Clip,
    Failure,
    Job,
    JobStatus,
    Passage,
    Stage,
    TimelineEntry,
)

TIMELINE_LIMIT = 400
"""Entries kept in a job's timeline; the oldest go first. Keeps documents bounded whatever partners do."""


def with_clip(job: Job, clip: Clip) -> Job:
    """Return the job with `clip` in the place of the clip of that number."""
    return job.but(clips=tuple(clip if old.number == clip.number else old for old in job.clips))


def with_attempt(clip: Clip, attempt: Attempt) -> Clip:
    """Return the clip with `attempt` in the place of the attempt of that number."""
    return clip.but(attempts=tuple(attempt if old.number == attempt.number else old for old in clip.attempts))


def log(job: Job, now: int, stage: Stage, what: str, *, clip: int | None = None, attempt: int | None = None) -> Job:
    """Return the job with one more line in its timeline."""
    entry = TimelineEntry(at=now, stage=stage, what=shortened(what), clip=clip, attempt=attempt)
    return job.but(timeline=(*job.timeline, entry)[-TIMELINE_LIMIT:])


def touched(job: Job) -> Job:
    """Return the job with the reconciler's patience restored: something happened."""
    return job.but(nudges=0) if job.nudges else job


def progressed(job: Job, now: int) -> Job:
    """Return the job with its deadline counting from now: it came closer to its end. A final job has none."""
    return touched(job) if job.status.is_final else touched(job).but(progress_at=now)


def reached(job: Job, status: JobStatus, now: int) -> Job:
    """Return the job in `status`."""
    passages = (*job.passages, Passage(status=status, at=now))
    job = touched(job).but(status=status, passages=passages, progress_at=now, step_tries=0)
    return with_webhook(job, JOB_EVENTS[status], now) if status in JOB_EVENTS else job


def lease_for(owner: str, now: int, lease_ms: int) -> Lease:
    """Return a lease for `owner` from now on."""
    return Lease(owner=owner, expires_at=now + lease_ms)


def ended_badly(job: Job, failure: Failure, now: int) -> Job:
    """Return the job failed for good with `failure`."""
    failed = reached(job, JobStatus.FAILED, now).but(failure=failure, finished_at=now, lease=None)
    return log(failed, now, failure.stage, f"failed ({failure.code}): {failure.message}", clip=failure.clip)
