"""What is true of every job at all times, whatever happened in whatever order."""

from shared.job._edit import TIMELINE_LIMIT
from shared.job._endings import ATTEMPTS_LIMIT
from shared.job.mirror import is_settled
from shared.job.model import AttemptState, Clip, ClipStatus, Job, JobStatus
from shared.job.outstanding import due_at, expires_at, nudged, outstanding, overdue
from shared.job.policy import AmbiguousPolicy, Policy

ORDER = list(JobStatus)
HOME = (JobStatus.PROCESSING, JobStatus.STITCHING, JobStatus.UPLOADING, JobStatus.COMPLETED)
NEVER_CHANGES_AGAIN = ("status", "passages", "failure", "film", "delivery", "finished_at", "progress_at")


def check_job(job: Job, policy: Policy) -> None:
    """The document makes sense."""
    statuses = [passage.status for passage in job.passages]
    assert statuses[0] is JobStatus.PENDING
    assert statuses[-1] is job.status
    assert statuses == sorted(set(statuses), key=ORDER.index), "every status at most once, in order"
    assert 0 <= job.mirror.written <= len(job.passages)
    for clip in job.clips:
        check_clip(clip, policy)
    if job.status in HOME:
        assert job.failure is None
        assert all(clip.status is ClipStatus.READY for clip in job.clips)
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
            assert state in (None, AttemptState.REFUSED, AttemptState.FAILED, AttemptState.AMBIGUOUS)
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
        given_up = earlier.state is AttemptState.AMBIGUOUS and earlier.ended_at is not None
        assert earlier.state in (AttemptState.REFUSED, AttemptState.FAILED) or (
            given_up and policy.ambiguous is AmbiguousPolicy.RESUBMIT
        ), f"clip {clip.number} was ordered again while attempt {earlier.number} was {earlier.state}"


def check_step(before: Job, after: Job, now: int, policy: Policy) -> None:
    """A transition at `now` led forward."""
    assert ORDER.index(after.status) >= ORDER.index(before.status)
    assert after.passages[: len(before.passages)] == before.passages
    assert after.mirror.written >= before.mirror.written
    if before.status.is_final:
        for name in NEVER_CHANGES_AGAIN:
            assert getattr(after, name) == getattr(before, name), f"{name} of a finished job changed"
    if is_settled(before):
        assert is_settled(after)
    for was, is_now in zip(before.clips, after.clips, strict=True):
        if was.status is ClipStatus.READY:
            assert is_now == was
        if len(is_now.attempts) > len(was.attempts):
            assert not before.status.is_final
            assert before.failure is None, "an order for a job that is failing already"
        if before.status.is_final and is_now.status is ClipStatus.PENDING:
            assert was.status is ClipStatus.PENDING, "a job that is over orders nothing again"
        if _given_up(is_now) and not _given_up(was) and was.attempt is not None:
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
