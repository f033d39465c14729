"""Writing what happened to a job's clips, and telling the other services what that changed."""

from collections.abc import Callable, Iterator

from shared import metrics
from shared.context import Context
from shared.events import EventData, VideoCallback, VideoFailed, VideoReady, VideoRequested
from shared.job.model import AttemptState, ClipStatus, Job, JobStatus
from shared.job.outstanding import announcement


class JobWriter:
    """Writes a transition of a job and tells the other services what it changed."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def write(self, before: Job, transition: Callable[[Job], Job]) -> Job:
        """Apply `transition` in the store, publish what follows from it, and return the job as it stands.

        Raises:
            Refused: the transition does not fit (any more); nothing was written.
        """
        changed = before

        def noting(job: Job) -> Job:
            nonlocal changed
            changed = job  # what `before` has become meanwhile: only our own change is to be told
            return transition(job)

        after = await self._context.store.update(before.id, noting)
        if after is changed:
            return after
        for payload, step in changes(changed, after, self._context.clock()):
            await self._context.emitter.emit(after, payload, step)
        if after.status.is_final and not changed.status.is_final:
            await self._context.emitter.ended(after)
        metrics.AMBIGUOUS.inc(newly_ambiguous(changed, after))
        return after


_ANNOUNCED = {
    (JobStatus.PENDING, JobStatus.GENERATING),
    (JobStatus.PENDING, JobStatus.REVIEW),
    (JobStatus.GENERATING, JobStatus.REVIEW),
}
"""Changes of status that no event about a clip tells the others of."""


def newly_ambiguous(before: Job, after: Job) -> int:
    """Return how many clips have an order of unknown fate that had none before. Pure."""

    def ambiguous(job: Job) -> set[int]:
        return {clip.number for clip in job.clips if clip.attempt and clip.attempt.state is AttemptState.AMBIGUOUS}

    return len(ambiguous(after) - ambiguous(before))


def changes(before: Job, after: Job, now: int) -> Iterator[tuple[EventData, str]]:
    """Yield the events that follow from the difference, with what makes their ids deterministic. Pure."""
    for clip in after.clips:
        was = before.clip(clip.number)
        if clip.status is was.status and len(clip.attempts) == len(was.attempts):
            continue
        number = clip.attempt.number if clip.attempt is not None else 0
        if clip.status is ClipStatus.READY:
            yield VideoReady(clip=clip.number), f"{clip.number}:{number}"
        elif clip.status is ClipStatus.FAILED and clip.failure is not None:
            failure = clip.failure
            yield VideoFailed(clip=clip.number, code=failure.code, message=failure.message), f"{clip.number}:{number}"
        elif clip.status is ClipStatus.GENERATING and clip.source is not None and clip.attempt is not None:
            task_id = clip.attempt.task_id
            look = VideoCallback(clip=clip.number, attempt=number, task_id=task_id, origin="poll")
            yield look, f"{clip.number}:{number}:poll{clip.polls}"
        elif clip.status is ClipStatus.PENDING and clip.not_before <= now and after.failure is None:
            yield VideoRequested(clip=clip.number), f"{clip.number}:{number + 1}"
    if (before.status, after.status) in _ANNOUNCED:
        nudge = announcement(after)
        yield nudge.payload, nudge.step
