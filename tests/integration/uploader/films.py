"""Jobs whose film is ready, for the uploader's tests: made by the state machine's own steps, now."""

import secrets
from pathlib import Path

from shared.job.clips import begin_fetch, begin_order, clip_home, order_taken
from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.film import begin_stitch, film_stitched
from shared.job.model import Artifact, Film, Job
from tests.support.world import World


def new(w: World, record: str | None) -> Job:
    """Return a job of one clip that was just accepted."""
    now = w.clock()
    return new_job(new_job_id(now), [new_task_id()], JobWish(clips=(ClipWish("a boat"),), record_id=record), now)


def ordered(w: World, job: Job) -> Job:
    """Return the job with its clip at the provider."""
    now, policy = w.clock(), w.parts.context.policy
    job = begin_order(job, 1, owner="generator", provider="kie", model="m", now=now, policy=policy)
    return order_taken(job, 1, 1, task_id="task", now=now, policy=policy)


def brought_home(w: World, job: Job) -> Job:
    """Return the job with its clip at home."""
    now = w.clock()
    clip = Artifact(key=f"jobs/{job.id}/clip-1.mp4", size_bytes=1)
    job = begin_fetch(job, 1, 1, owner="generator", now=now, policy=w.parts.context.policy)
    return clip_home(job, 1, 1, owner="generator", artifact=clip, credits_spent=30, now=now)


def being_stitched(w: World, job: Job) -> Job:
    """Return the job on the stitcher's table."""
    return begin_stitch(job, owner="stitcher", now=w.clock(), policy=w.parts.context.policy)


def stitched(w: World, job: Job, size: int) -> Job:
    """Return the job with its film."""
    film = Film(video=Artifact(key=f"jobs/{job.id}/film.mp4", size_bytes=size))
    return film_stitched(job, owner="stitcher", film=film, now=w.clock())


def with_film(w: World, record: str | None, size: int = 10_000) -> Job:
    """Return a job whose film is ready."""
    return stitched(w, being_stitched(w, brought_home(w, ordered(w, new(w, record)))), size)


async def keep_film(w: World, job: Job, folder: Path, size: int = 10_000) -> bytes:
    """Put the job's film into the artifact store and return its content."""
    content = secrets.token_bytes(size)
    path = folder / f"{job.id}.mp4"
    path.write_bytes(content)
    await w.artifacts.put_file(f"jobs/{job.id}/film.mp4", path)
    path.unlink()
    return content


async def deliver(w: World, folder: Path, record: str | None, size: int = 10_000) -> tuple[str, bytes]:
    """Have a film delivered; return its job's id and its content."""
    job = with_film(w, record, size)
    content = await keep_film(w, job, folder, size)
    job = await w.put(job)
    await w.parts.context.emitter.announce(job)
    return job.id, content
