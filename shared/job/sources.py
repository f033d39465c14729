"""Clips that are existing files: there is nothing to order, and no money in it. Pure."""

from shared.errors import Refused
from shared.job._edit import log, progressed, reached, with_clip
from shared.job._endings import kept_attempts
from shared.job.model import MAKING, Attempt, AttemptState, ClipStatus, Job, JobStatus, Stage

PROVIDER = "source"
"""What stands for the provider in the attempts of such clips."""
ARTIFACT = "artifact:"
"""Prefix of a source that is a file in our own artifact store."""


def take_source(job: Job, number: int, *, now: int) -> Job:
    """Have the file of clip `number` brought home.

    Written in one step: unlike an order it needs no intent, since fetching twice costs nothing.

    Raises:
        Refused: the job is over or failing, or it is too early.
        ValueError: the clip has no source.
    """
    clip = job.clip(number)
    if clip.source is None:
        raise ValueError(f"clip {number} of job {job.id} has no source")
    if clip.status is not ClipStatus.PENDING:
        return job
    if job.status not in MAKING or job.failure is not None:
        raise Refused("finished", f"the job is {job.status}")
    if now < clip.not_before:
        raise Refused("too_early", f"clip {number} waits until {clip.not_before}")
    attempt = Attempt(
        number=clip.attempt.number + 1 if clip.attempt else 1,
        provider=PROVIDER,
        model="artifact" if clip.source.startswith(ARTIFACT) else "url",
        state=AttemptState.GENERATING,
        task_id=f"source-{clip.task_id}",
        started_at=now,
        submitted_at=now,
    )
    clip = clip.but(
        status=ClipStatus.GENERATING,
        changed_at=now,
        attempts=(*kept_attempts(clip), attempt),
        poll_at=now,
        polls=0,
        fetches=0,
    )
    job = with_clip(job, clip)
    job = reached(job, JobStatus.GENERATING, now) if job.status is JobStatus.PENDING else progressed(job, now)
    return log(job, now, Stage.GENERATING, f"fetching its {attempt.model}", clip=number, attempt=attempt.number)
