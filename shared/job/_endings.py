"""How an attempt and a clip end, and what that means for their job."""

from itertools import takewhile

from shared.job._edit import ended_badly, log, reached, touched, with_attempt, with_clip
from shared.job.model import MAKING, Attempt, AttemptState, Clip, ClipRole, ClipStatus, Failure, Job, JobStatus, Stage
from shared.job.wishes import ClipFailurePolicy

ATTEMPTS_LIMIT = 20
"""Attempts kept of a clip as long as some of them are history: declined orders have no other limit than time."""

BEGIN_ANEW_AFTER_MS = 5_000
"""Pause before a clip is begun anew by itself."""


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
    clip = clip.but(lease=None, poll_at=None, changed_at=now, failure=None)
    job = forgiven(job, clip.number)
    if again_at is None or job.status not in MAKING:
        return give_up(job, clip, failure, now)
    clip = clip.but(status=ClipStatus.PENDING, not_before=again_at)
    # A failing job waited for this clip only because its order was out: it is not, any more.
    return after_clip_ended(touched(with_clip(job, clip)), now)


def give_up(job: Job, clip: Clip, failure: Failure, now: int) -> Job:
    """Give the clip up, or begin it anew if that was wished for.

    The job fails as soon as nothing that is paid for is out any more, unless it can do without the clip.
    """
    if _has_second_chance(job, clip, failure):
        soon, clip = now + BEGIN_ANEW_AFTER_MS, clip.but(auto_retries=clip.auto_retries + 1)
        if clip.attempt is not None and clip.attempt.result_waits:
            return touched(fetched_again(job, clip, clip.attempt, now, at=soon))
        clip = begun_anew(clip, now).but(not_before=soon)
        what = "begun anew, as was wished for when a clip fails"
        return log(touched(with_clip(job, clip)), now, Stage.GENERATING, what, clip=clip.number)
    clip = clip.but(status=ClipStatus.FAILED, failure=failure, changed_at=now)
    job = touched(with_clip(job, clip))
    if job.failure is None and job.status in MAKING:
        if may_skip(job):
            what = "given up; the film is made without it"
            job = log(job, now, Stage.GENERATING, what, clip=clip.number)
        else:
            job = job.but(failure=failure)
    return after_clip_ended(job, now)


def begun_anew(clip: Clip, now: int) -> Clip:
    """Return the clip as one that waits to be ordered, with the attempts so far not counting any more."""
    return clip.but(
        status=ClipStatus.PENDING,
        counted_from=clip.attempt.number if clip.attempt is not None else 0,
        changed_at=now,
        not_before=0,
        poll_at=None,
        polls=0,
        fetches=0,
        lease=None,
        failure=None,
    )


def fetched_again(job: Job, clip: Clip, attempt: Attempt, now: int, *, at: int) -> Job:
    """Return the job with the clip on its way home, from time `at` on, from the order that was paid for already."""
    attempt = attempt.but(state=AttemptState.GENERATING, ended_at=None, failure=None, result_waits=False)
    clip = with_attempt(clip, attempt).but(
        status=ClipStatus.GENERATING, changed_at=now, poll_at=at, polls=0, fetches=0, failure=None
    )
    what = "its result is fetched again"
    return log(with_clip(job, clip), now, Stage.GENERATING, what, clip=clip.number, attempt=attempt.number)


def after_clip_ended(job: Job, now: int) -> Job:
    """Move the job on once no clip is in flight any more.

    A failed clip does not end the job while a sibling's order is out: that one is paid for and is brought
    home first, so that a retry need not buy it again.
    """
    if job.status not in MAKING:
        return job
    if job.failure is None:
        return _all_home(job, now) if all_home(job) else job
    if all(clip.status is ClipStatus.READY for clip in job.clips):
        return _all_home(job.but(failure=None), now)
    if not any(clip.in_flight for clip in job.clips):
        return ended_badly(job, job.failure, now)
    return job


def all_home(job: Job) -> bool:
    """Whether every clip is home, or can be done without."""
    missing = [clip for clip in job.clips if clip.status is not ClipStatus.READY]
    return not missing or (all(clip.status is ClipStatus.FAILED for clip in missing) and may_skip(job))


def may_skip(job: Job) -> bool:
    """Whether the film may be made without the clips that are given up so far."""
    left = sum(clip.role is ClipRole.CLIP and clip.status is not ClipStatus.FAILED for clip in job.clips)
    return job.on_clip_failure is ClipFailurePolicy.SKIP and left >= max(1, job.min_clips)


def forgiven(job: Job, number: int) -> Job:
    """Return a running job without the failure of clip `number`; that of another clip takes its place.

    The clip counts as still to come, whatever its status is at this moment.
    """
    if job.status.is_final or job.failure is None:
        return job
    clip = job.clip(number)
    if may_skip(with_clip(job, clip.but(status=ClipStatus.PENDING))):
        return job.but(failure=None)
    if job.failure.clip != number:
        return job
    others = (clip.failure for clip in job.clips if clip.number != number and clip.status is ClipStatus.FAILED)
    return job.but(failure=next(others, None))


def refusals(clip: Clip) -> int:
    """Return how many orders of the clip were declined since one was taken."""
    return sum(1 for _ in takewhile(lambda attempt: attempt.state is AttemptState.REFUSED, reversed(clip.tries)))


def kept_attempts(clip: Clip) -> tuple[Attempt, ...]:
    """Return the attempts to keep when one more comes: without the oldest that are history, if there are many."""
    history = [
        attempt.number
        for attempt in clip.attempts
        if attempt.state is AttemptState.REFUSED or attempt.number <= clip.counted_from
    ]
    dropped = history[: max(0, len(clip.attempts) + 1 - ATTEMPTS_LIMIT)]
    return tuple(attempt for attempt in clip.attempts if attempt.number not in dropped)


def _has_second_chance(job: Job, clip: Clip, failure: Failure) -> bool:
    """Whether the clip gets its second chance.

    Never after an order of unknown fate, which may be paid for, nor after one that was billed without a result.
    """
    billed_in_vain = any((last.billed or last.credits) and not last.result_waits for last in clip.tries[-1:])
    return (
        job.on_clip_failure is ClipFailurePolicy.RETRY
        and job.status in MAKING
        and job.failure is None
        and clip.auto_retries == 0
        and failure.code != "ambiguous"
        and not billed_in_vain
    )


def _all_home(job: Job, now: int) -> Job:
    given_up = [str(clip.number) for clip in job.clips if clip.status is ClipStatus.FAILED]
    what = f"all clips are home but {', '.join(given_up)}" if given_up else "all clips are home"
    if job.film is not None:
        return log(reached(job, JobStatus.STITCHING, now), now, Stage.STITCHING, "the film is there already")
    if job.review and job.approved_at is None:
        return log(reached(job, JobStatus.REVIEW, now), now, Stage.GENERATING, f"{what}; waiting for approval")
    return log(reached(job, JobStatus.PROCESSING, now), now, Stage.GENERATING, what)
