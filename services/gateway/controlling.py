"""What people do to a job that exists: cancel it, retry it, approve its clips, have one made anew."""

from collections.abc import Callable
from functools import partial

import structlog

from services.gateway.accepting import Accepting
from services.gateway.caller import Caller
from services.gateway.errors import ApiError
from services.gateway.estimating import Estimate
from services.gateway.wishes import refuse
from shared.context import Context
from shared.job.control import approve, cancel, regenerate, retry
from shared.job.create import ClipWish, JobWish
from shared.job.model import Clip, ClipStatus, Job, JobStatus

log = structlog.get_logger(__name__)


class Controlling:
    """Changes jobs, and announces it, so that the pipeline moves at once.

    All methods raise `Refused` where the job does not allow it now, and `JobNotFound`.
    """

    def __init__(self, context: Context, accepting: Accepting) -> None:
        self._context = context
        self._accepting = accepting

    async def cancel(self, job_id: str, caller: Caller) -> Job:
        """Stop a job."""
        return await self._change(job_id, partial(cancel, now=self._context.clock(), by=caller.name or ""))

    async def approve(self, job_id: str, caller: Caller) -> Job:
        """Let the clips be joined."""
        return await self._change(job_id, partial(approve, now=self._context.clock(), by=caller.name or ""))

    async def retry(self, job_id: str, caller: Caller) -> Job:
        """Let a failed job go on.

        Raises:
            ApiError: 402; the clips that are missing are more than may be ordered.
        """
        transition = partial(retry, now=self._context.clock())
        job = await self._context.store.get(job_id)
        going_on = transition(job)
        if going_on is not job:
            found = await self._estimate(job, _waiting(going_on))
            await self._accepting.budgets.reserve(f"{job.id}:retry:{job.retries}", caller, found.cost)
        return await self._change(job_id, transition)

    async def regenerate(self, job_id: str, number: int, caller: Caller, *, prompt: str | None, request_id: str) -> Job:
        """Have a clip made anew.

        Raises:
            ApiError: 404, no such clip; 400, no model makes a clip of this prompt; 402, it may not be ordered.
        """
        transition = partial(regenerate, number=number, prompt=prompt, now=self._context.clock(), request_id=request_id)
        job = await self._context.store.get(job_id)
        try:
            takes = job.clip(number).takes
        except KeyError:
            raise ApiError(404, "clip_not_found", f"Job {job_id} has no clip {number}") from None
        going_on = transition(job)
        if going_on is not job:
            found = await self._estimate(job, [going_on.clip(number)])
            refuse([("prompt", problem) for _, problem in found.problems])
            if job.status is JobStatus.FAILED:  # everything else that is missing is ordered with it
                found = await self._estimate(job, _waiting(going_on))
            await self._accepting.budgets.reserve(f"{job.id}:{number}:{takes + 1}", caller, found.cost)
        return await self._change(job_id, transition)

    async def _estimate(self, job: Job, clips: list[Clip]) -> Estimate:
        """Return what making these clips would come to."""
        wishes = tuple(
            ClipWish(prompt=clip.prompt, duration_s=clip.duration_s, model=clip.model, aspect_ratio=clip.aspect_ratio)
            for clip in clips
            if clip.source is None
        )
        wish = JobWish(clips=wishes, aspect_ratio=job.aspect_ratio, models=job.models)
        return await self._accepting.estimate(wish)

    async def _change(self, job_id: str, transition: Callable[[Job], Job]) -> Job:
        before: Job | None = None

        def change(job: Job) -> Job:
            nonlocal before
            before = job
            return transition(job)

        job = await self._context.store.update(job_id, change)
        if before is None or before.version == job.version:
            return job
        log.info("job changed by a person", job=job.id, status=job.status, was=before.status)
        if job.status.is_final and not before.status.is_final:
            await self._context.emitter.ended(job)
        else:
            await self._context.emitter.announce(job)
        return job


def _waiting(job: Job) -> list[Clip]:
    """Return the clips that will be ordered."""
    return [clip for clip in job.clips if clip.status is ClipStatus.PENDING]
