"""What is true of every job at all times, whatever happened in whatever order."""

import itertools

from shared.job._edit import TIMELINE_LIMIT
from shared.job._endings import ATTEMPTS_LIMIT
from shared.job.files import files_of
from shared.job.mirror import is_settled
from shared.job.model import AttemptState, Clip, ClipStatus, Job, JobStatus
from shared.job.outstanding import due_at, expires_at, nudged, outstanding, overdue
from shared.job.policy import AmbiguousPolicy, Policy
from shared.job.wishes import ClipFailurePolicy

S = JobStatus
FOLLOWS: dict[JobStatus, set[JobStatus]] = {
    S.PENDING: {S.GENERATING, S.PROCESSING, S.REVIEW, S.FAILED, S.CANCELLED},
    S.GENERATING: {S.REVIEW, S.PROCESSING, S.FAILED, S.CANCELLED},
    S.REVIEW: {S.PROCESSING, S.GENERATING, S.FAILED, S.CANCELLED},
    S.PROCESSING: {S.STITCHING, S.FAILED, S.CANCELLED},
    S.STITCHING: {S.UPLOADING, S.FAILED, S.CANCELLED},
    S.UPLOADING: {S.COMPLETED, S.FAILED, S.CANCELLED},
    S.COMPLETED: set(),
    S.FAILED: {S.GENERATING},
    S.CANCELLED: set(),
}
"""Which status can follow which; `generating` is also followed by `stitching` when a retried job has its film."""
HOME = (JobStatus.PROCESSING, JobStatus.STITCHING, JobStatus.UPLOADING, JobStatus.COMPLETED)
NEVER_CHANGES_AGAIN = ("status", "passages", "failure", "film", "delivery", "finished_at", "progress_at")


def check_job(job: Job, policy: Policy) -> None:
    """The document makes sense."""
    statuses = [passage.status for passage in job.passages]
    assert statuses[0] is JobStatus.PENDING
    assert statuses[-1] is job.status
    for earlier, later in itertools.pairwise(statuses):
        film_stands = earlier is S.GENERATING and later is S.STITCHING and job.retries > 0
        assert later in FOLLOWS[earlier] or film_stands, f"{later} after {earlier}"
    assert statuses.count(S.FAILED) == job.retries + (job.status is S.FAILED), "only a retry ends a failure"
    assert 0 <= job.mirror.written <= len(job.passages)
    for clip in job.clips:
        check_clip(clip, policy)
    if job.status in HOME:
        assert job.failure is None
        if job.on_clip_failure is not ClipFailurePolicy.SKIP:
            assert all(clip.status is ClipStatus.READY for clip in job.clips)
        assert all(clip.status is not ClipStatus.PENDING for clip in job.clips)
        assert sum(clip.status is ClipStatus.READY for clip in job.shots) >= min(job.min_clips, len(job.shots))
        assert job.approved_at is not None or not job.review
    assert not files_of(job.but(discarded=())) & set(job.discarded), "a file that is used is to be deleted"
    if job.status is JobStatus.COMPLETED:
        assert job.film is not None
        assert (job.delivery is not None) == (job.record_id is not None)
    if job.status is JobStatus.FAILED:
        assert job.failure is not None
    if job.status.is_final:
        assert job.finished_at is not None
        assert job.lease is None
    elif job.failure is not None:
        assert any(clip.in_flight for clip in job.clips), "a failing job waits only for what is paid for"
    assert len(job.timeline) <= TIMELINE_LIMIT


def check_clip(clip: Clip, policy: Policy) -> None:
    """No two orders are out; what the clip says and what its newest attempt says fit together."""
    attempt, state = clip.attempt, clip.attempt.state if clip.attempt else None
    match clip.status:
        case ClipStatus.PENDING:
            anew = attempt is not None and attempt.number <= clip.counted_from
            assert state in (None, AttemptState.REFUSED, AttemptState.FAILED, AttemptState.AMBIGUOUS) or (
                anew and state is AttemptState.SUCCEEDED
            )
        case ClipStatus.SUBMITTING:
            assert state in (AttemptState.SUBMITTING, AttemptState.AMBIGUOUS)
            assert (clip.lease is None) == (state is AttemptState.AMBIGUOUS)
        case ClipStatus.GENERATING:
            assert state is AttemptState.GENERATING
            assert attempt is not None
            assert attempt.task_id is not None
            assert clip.poll_at is not None
        case ClipStatus.READY:
            assert state is AttemptState.SUCCEEDED
            assert clip.artifact is not None
        case ClipStatus.FAILED:
            assert clip.failure is not None
    if not clip.in_flight:
        assert clip.lease is None
        assert clip.poll_at is None
    assert (clip.failure is not None) == (clip.status is ClipStatus.FAILED)
    numbers = [attempt.number for attempt in clip.attempts]
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= ATTEMPTS_LIMIT
    for earlier in clip.attempts[:-1]:
        if earlier.number <= clip.counted_from:  # somebody asked for another one
            assert earlier.state is not AttemptState.GENERATING, "an order that was out was paid for again"
            assert earlier.state is not AttemptState.SUBMITTING
            continue
        given_up = earlier.state is AttemptState.AMBIGUOUS and earlier.ended_at is not None
        assert earlier.state in (AttemptState.REFUSED, AttemptState.FAILED) or (
            given_up and policy.ambiguous is AmbiguousPolicy.RESUBMIT
        ), f"clip {clip.number} was ordered again while attempt {earlier.number} was {earlier.state}"


def check_step(before: Job, after: Job, now: int, policy: Policy) -> None:
    """A transition at `now` led forward."""
    revived = after.retries > before.retries
    assert not revived or before.status is S.FAILED
    assert after.passages[: len(before.passages)] == before.passages
    assert after.mirror.written >= before.mirror.written
    if before.status.is_final and not revived:
        for name in NEVER_CHANGES_AGAIN:
            assert getattr(after, name) == getattr(before, name), f"{name} of a finished job changed"
    if is_settled(before) and not revived:
        assert is_settled(after)
    for was, is_now in zip(before.clips, after.clips, strict=True):
        made_anew = is_now.takes > was.takes
        if was.status is ClipStatus.READY and not made_anew:
            assert is_now == was
        if made_anew:
            assert is_now.artifact is None
            assert was.artifact is None or was.artifact.key in after.discarded
            assert not was.in_flight
        if len(is_now.attempts) > len(was.attempts):
            assert not before.status.is_final
            assert before.failure is None, "an order for a job that is failing already"
        if before.status.is_final and not revived and is_now.status is ClipStatus.PENDING:
            assert was.status is ClipStatus.PENDING, "a job that is over orders nothing again"
        if _given_up(is_now) and not _given_up(was) and was.attempt is not None:
            if revived:
                continue
            assert policy.ambiguous is not AmbiguousPolicy.WAIT
            assert was.attempt.state is AttemptState.AMBIGUOUS
            assert now >= was.changed_at + policy.ambiguous_window_ms, "its callback could still have come"


def _given_up(clip: Clip) -> bool:
    attempt = clip.attempt
    return attempt is not None and attempt.state is AttemptState.AMBIGUOUS and attempt.ended_at is not None


def check_calendar(job: Job, now: int, policy: Policy) -> None:
    """The reconciler is shown the job when there is something to do, and only then."""
    due = due_at(job, policy)
    if is_settled(job):
        assert due is None
        assert expires_at(job, policy) is not None
        for moment in (now, now + policy.job_timeout_ms * 100):
            assert outstanding(job, moment, policy) == ()
            assert overdue(job, moment, policy) is None
        return
    assert due is not None, "an unsettled job that nobody will ever look at again"
    assert expires_at(job, policy) is None
    for moment in (now, due - 1):
        something = outstanding(job, moment, policy) != () or overdue(job, moment, policy) is not None
        assert something == (due <= moment)
    wanted = outstanding(job, due, policy)
    if overdue(job, due, policy) is None:
        assert wanted != (), "the reconciler would look at the job again and again without anything to do"
        again = due_at(nudged(job, due), policy)
        assert again is not None
        assert again > due
