"""Deleting the files of clips and films that were thrown away."""

from collections.abc import Collection
from functools import partial

from shared.context import Context
from shared.errors import JobNotFound
from shared.job.files import clip_key, discarded_deleted, files_of, film_key, pieces_prefix
from shared.job.model import Job


async def delete_discarded(context: Context, job: Job) -> Job:
    """Delete what the job has thrown away, and return the job without it."""
    if not job.discarded:
        return job
    for key in job.discarded:
        await context.artifacts.delete(key)
    return await context.store.update(job.id, partial(discarded_deleted, keys=job.discarded))


async def delete_unwanted_clip(context: Context, job_id: str, number: int, key: str) -> None:
    """Delete a clip's file that nobody took, because its order is history by now, or its job is being deleted.

    Kept if somebody else brings home the same order: they put the same file there. A job that is gone needs no file,
    nor does any other: ids are never used again.
    """
    try:
        job = await context.store.get(job_id)
    except JobNotFound:
        await context.artifacts.delete(key)
        return
    clip = job.clip(number)
    if job.purging or (not (clip.in_flight and clip_key(job, clip) == key) and key not in files_of(job)):
        await context.artifacts.delete(key)


async def delete_unwanted_film(context: Context, job_id: str, film: str, others: Collection[str]) -> None:
    """Delete a film that nobody took, and the files beside it: its job was cancelled or given up meanwhile.

    Kept if somebody else joins the same film: they put it there.
    """
    job = await context.store.get(job_id)
    if not job.status.is_final and film_key(job) == film:
        return
    for key in {film, *others} - files_of(job):
        await context.artifacts.delete(key)


async def delete_pieces(context: Context, job_id: str) -> int:
    """Delete what was encoded before all clips of a job were home; return how many files that were."""
    return await context.artifacts.delete_prefix(pieces_prefix(job_id))
