"""What should happen next to a job: the pure function that makes events mere nudges.

Whatever is lost (a message, a broker, a process), `outstanding` derives it again from the document. The
reconciler publishes it, and `due_at` tells the store when to show the job to the reconciler again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.events import (
    EventData,
    JobCancelled,
    JobCompleted,
    JobCreated,
    JobFailed,
    JobReview,
    JobStitched,
    JobStitching,
    VideoCallback,
    VideoReady,
    VideoRequested,
    WebhookDue,
)
from shared.job.clips import ambiguous_failure
from shared.job.mirror import is_settled
from shared.job.model import Clip, ClipStatus, Failure, Job, JobStatus, Stage
from shared.job.policy import AmbiguousPolicy, Policy
from shared.job.webhooks import due_at as webhook_due_at

CROWDED_PAUSE_MS = 30_000
"""How much later a job is looked at again if what it waits for stands in a long queue."""


@dataclass(frozen=True, slots=True)
class Nudge:
    """An event that should be published, and what makes its id deterministic."""

    payload: EventData
    step: str


@dataclass(frozen=True, slots=True)
class _Want:
    due_at: int
    nudge: Nudge


STAGE_OF: dict[JobStatus, Stage] = {
    JobStatus.PENDING: Stage.GENERATING,
    JobStatus.GENERATING: Stage.GENERATING,
    JobStatus.PROCESSING: Stage.STITCHING,
    JobStatus.STITCHING: Stage.STITCHING,
    JobStatus.UPLOADING: Stage.UPLOADING,
    JobStatus.COMPLETED: Stage.UPLOADING,
    JobStatus.FAILED: Stage.UPLOADING,
    JobStatus.REVIEW: Stage.GENERATING,
    JobStatus.CANCELLED: Stage.UPLOADING,
}
"""The stage in which a job of this status waits."""


def outstanding(job: Job, now: int, policy: Policy) -> tuple[Nudge, ...]:
    """Return the events that should be (re-)published now. Empty for a settled job."""
    if now < _patience_until(job, policy):
        return ()
    found: dict[tuple[str, str], Nudge] = {}
    for want in _wants(job, policy):
        if want.due_at <= now:
            found.setdefault((want.nudge.payload.name, want.nudge.step), want.nudge)
    return tuple(found.values())


def due_at(job: Job, policy: Policy) -> int | None:
    """Return when the reconciler must look at the job next (ms), or None for a settled job."""
    if is_settled(job):
        return None
    patience = _patience_until(job, policy)
    times = [max(want.due_at, patience) for want in _wants(job, policy)]
    if not job.status.is_final:
        times.append(job.progress_at + _timeout_ms(job, policy))
    return min(times)


def expires_at(job: Job, policy: Policy) -> int | None:
    """Return when the job and its files may be purged, or None while it is not settled."""
    if not is_settled(job) or job.finished_at is None:
        return None
    return job.finished_at + policy.job_ttl_ms


def overdue(job: Job, now: int, policy: Policy) -> Failure | None:
    """Return why the job must be failed now for want of progress, or None."""
    if job.status.is_final or now < job.progress_at + _timeout_ms(job, policy):
        return None
    if job.failure is not None:
        return job.failure
    if job.status is JobStatus.REVIEW:
        hours = policy.review_timeout_ms / 3_600_000
        message = f"Nobody approved the clips within {hours:g} hours"
        return Failure(stage=STAGE_OF[job.status], code="review_timeout", message=message, retryable=True)
    for clip in job.clips:
        if clip.status is ClipStatus.SUBMITTING:  # ambiguous, or soon to be: the order may have been taken
            return ambiguous_failure(clip)
        if clip.status is ClipStatus.GENERATING and clip.attempt is not None and clip.attempt.problem is not None:
            return clip.attempt.problem
    seconds = policy.job_timeout_ms // 1000
    message = f"Timed out: no progress for {seconds} s while {job.status}"
    waiting = (clip for clip in job.clips if clip.status not in (ClipStatus.READY, ClipStatus.FAILED))
    stuck = next(waiting, None)
    if stuck is not None:
        message += f"; video {stuck.number} is {stuck.status}"
        last = next((a.failure for a in reversed(stuck.attempts) if a.failure is not None), None)
        if last is not None:
            message += f" (last problem: {last.message})"
    number = stuck.number if stuck is not None else None
    return Failure(stage=STAGE_OF[job.status], code="timeout", message=message, retryable=True, clip=number)


def announcement(job: Job) -> Nudge:
    """Return the event that says where the job stands."""
    status = job.status
    payload: EventData
    if status in (JobStatus.PENDING, JobStatus.GENERATING):
        payload = JobCreated(clips=len(job.clips))
    elif status is JobStatus.PROCESSING:
        payload = VideoReady(clip=len(job.clips))
    elif status is JobStatus.STITCHING:
        payload = JobStitched() if job.film is not None else JobStitching()
    elif status is JobStatus.UPLOADING:
        payload = JobStitched()
    elif status is JobStatus.COMPLETED:
        payload = JobCompleted()
    elif status is JobStatus.CANCELLED:
        payload = JobCancelled()
    elif status is JobStatus.REVIEW:
        payload = JobReview()
    else:
        assert job.failure is not None
        payload = JobFailed(stage=job.failure.stage, code=job.failure.code, message=job.failure.message)
    return Nudge(payload, str(len(job.passages)))


def nudged(job: Job, now: int) -> Job:
    """Note that what was outstanding has been published once more."""
    return job.but(nudges=job.nudges + 1, nudged_at=now)


def postponed(job: Job, now: int) -> Job:
    """Note that what is outstanding waits in a long queue and was not published once more."""
    return job.but(nudges=job.nudges + 1, nudged_at=now + CROWDED_PAUSE_MS)


def _timeout_ms(job: Job, policy: Policy) -> int:
    """Return how long the job may stay without progress: a person is given more time than a machine."""
    return policy.review_timeout_ms if job.status is JobStatus.REVIEW else policy.job_timeout_ms


def _patience_until(job: Job, policy: Policy) -> int:
    """Do not publish again before this: the pause doubles with every nudge that changed nothing."""
    if not job.nudges:
        return 0
    return job.nudged_at + min(policy.nudge_after_ms << min(job.nudges, 16), policy.nudge_max_ms)


def _wants(job: Job, policy: Policy) -> Iterator[_Want]:
    if is_settled(job):
        return
    reached_at = job.passages[-1].at + policy.nudge_after_ms
    if job.record_id is not None and job.mirror.written < len(job.passages):
        mirror_at = max(reached_at, job.mirror.not_before)
        if job.mirror.lease is not None:
            mirror_at = max(mirror_at, job.mirror.lease.expires_at)
        yield _Want(mirror_at, announcement(job))
    for webhook in job.webhooks:
        if webhook.is_pending:
            telling = Nudge(WebhookDue(webhook=webhook.id), f"{webhook.id}:{webhook.tried}")
            yield _Want(max(webhook_due_at(webhook), webhook.since + policy.nudge_after_ms), telling)
    if job.status.is_final:
        return
    for clip in job.clips:
        yield from _clip_wants(job, clip, policy)
    step_at = (
        job.lease.expires_at if job.lease is not None else max(reached_at, job.progress_at + policy.nudge_after_ms)
    )
    if job.status is JobStatus.PROCESSING or (job.status is JobStatus.STITCHING and job.film is None):
        yield _Want(step_at, Nudge(VideoReady(clip=len(job.clips)), str(len(job.passages))))
    elif job.status in (JobStatus.STITCHING, JobStatus.UPLOADING):
        yield _Want(step_at, Nudge(JobStitched(), str(len(job.passages))))


def _clip_wants(job: Job, clip: Clip, policy: Policy) -> Iterator[_Want]:
    attempt = clip.attempt
    number = attempt.number if attempt is not None else 0
    order = Nudge(VideoRequested(clip=clip.number), f"{clip.number}:{number + 1}")
    if clip.status is ClipStatus.PENDING and job.failure is None:
        yield _Want(max(clip.not_before, clip.changed_at + policy.nudge_after_ms), order)
    elif clip.status is ClipStatus.SUBMITTING:
        if clip.lease is not None:
            yield _Want(clip.lease.expires_at, order)
        elif policy.ambiguous is not AmbiguousPolicy.WAIT:
            yield _Want(clip.changed_at + policy.ambiguous_window_ms, order)
    elif clip.status is ClipStatus.GENERATING and attempt is not None:
        look = VideoCallback(clip=clip.number, attempt=number, task_id=attempt.task_id, origin="poll")
        due = clip.lease.expires_at if clip.lease is not None else clip.poll_at
        if due is not None:
            yield _Want(due, Nudge(look, f"{clip.number}:{number}:poll{clip.polls}"))
