"""Jobs made and steered without the gateway: for tests of what the other services do with them."""

from collections.abc import Callable
from typing import Any

from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.model import Job
from tests.support.world import World


async def order(w: World, *clips: ClipWish | str, **wishes: Any) -> str:
    """Store and announce a job of these clips (a text is a prompt), and return its id."""
    wish = JobWish(clips=tuple(ClipWish(clip) if isinstance(clip, str) else clip for clip in clips), **wishes)
    now = w.clock()
    job = await w.put(new_job(new_job_id(now), [new_task_id() for _ in wish.clips], wish, now))
    await w.parts.context.emitter.announce(job)
    return job.id


async def command(w: World, job_id: str, transition: Callable[..., Job], **options: Any) -> Job:
    """Do to a job what somebody asks for, as the gateway does it: write it, then announce it."""
    job = await w.store.update(job_id, lambda job: transition(job, now=w.clock(), **options))
    await w.parts.context.emitter.announce(job)
    return job


async def files(w: World, job_id: str) -> set[str]:
    """Return the keys of a job's files in the artifact store."""
    return {stat.key async for stat in w.artifacts.list(f"jobs/{job_id}/")}
