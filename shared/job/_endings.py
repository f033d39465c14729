"""How an attempt and a clip end, and what that means for their job."""

from itertools import takewhile

from shared.job._edit import ended_badly, log, reached, touched, with_clip
from shared.job.model import Attempt, AttemptState, Clip, ClipStatus, Failure, Job, JobStatus, Stage

ATTEMPTS_LIMIT = 20
"""Attempts kept of a clip as long as some of them were declined: declined orders have no other limit than time."""


def attempt_over(job: Job, clip: Clip, failure: Failure, again_at: int | None, now: int, what: str) -> Job:
    """Send the clip back to be ordered again, or give it up."""
    assert clip.attempt is not None
    job = log(
        job,
        now,
        Stage.GENERATING,
        f"{what} ({failure.code}): {failure.message}",
        clip=clip.number,
        attempt=clip.attempt.number,
    )
    job = forgiven(job, clip.number)
    clip = clip.but(lease=None, poll_at=None, changed_at=now, failure=None)
    if again_at is None or job.status.is_final:
        return give_up(job, clip, failure, now)
    clip = clip.but(status=ClipStatus.PENDING, not_before=again_at)
    # A failing job waited for this clip only because its order was out: it is not, any more.
    return after_clip_ended(touched(with_clip(job, clip)), now)


def give_up(job: Job, clip: Clip, failure: Failure, now: int) -> Job:
    """Give the clip up; its job fails as soon as nothing that is paid for is out any more."""
    clip = clip.but(status=ClipStatus.FAILED, failure=failure, changed_at=now)
    job = touched(with_clip(job, clip))
    if job.failure is None and not job.status.is_final:
        job = job.but(failure=failure)
    return after_clip_ended(job, now)


def after_clip_ended(job: Job, now: int) -> Job:
    """Move the job on once no clip is in flight any more.

    A failed clip does not end the job while a sibling's order is out: that one is paid for and is brought
    home first, so that a retry need not buy it again.
    """
    if job.status.is_final:
        return job
    if all(clip.status is ClipStatus.READY for clip in job.clips):
        if job.status in (JobStatus.PENDING, JobStatus.GENERATING):
            return log(reached(job, JobStatus.PROCESSING, now), now, Stage.GENERATING, "all clips are home")
        return job
    if job.failure is not None and not any(clip.in_flight for clip in job.clips):
        return ended_badly(job, job.failure, now)
    return job


def forgiven(job: Job, number: int) -> Job:
    """Return a running job without the failure of clip `number`; that of another clip takes its place."""
    if job.status.is_final or job.failure is None or job.failure.clip != number:
        return job
    others = (clip.failure for clip in job.clips if clip.number != number and clip.status is ClipStatus.FAILED)
    return job.but(failure=next(others, None))


def refusals(clip: Clip) -> int:
    """Return how many orders of the clip were declined since one was taken."""
    return sum(1 for _ in takewhile(lambda attempt: attempt.state is AttemptState.REFUSED, reversed(clip.attempts)))


def kept_attempts(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Return the attempts to keep when one more comes: without the oldest that bought nothing, if there are many."""
    refused = [attempt.number for attempt in attempts if attempt.state is AttemptState.REFUSED]
    dropped = refused[: max(0, len(attempts) + 1 - ATTEMPTS_LIMIT)]
    return tuple(attempt for attempt in attempts if attempt.number not in dropped)
