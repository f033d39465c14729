"""Files that nobody wants are deleted, and files that somebody wants, or will want, are not."""

from functools import partial

import pytest

from shared.artifacts.memory import MemoryArtifacts
from shared.bus.topology import SUBSCRIPTIONS
from shared.context import Context
from shared.emitter import Emitter
from shared.job.control import regenerate
from shared.job.files import clip_key, files_of, film_key
from shared.job.model import Job, JobStatus
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.store.jobs import JobStore
from shared.tidying import delete_discarded, delete_unwanted_clip, delete_unwanted_film
from tests.support.faulty import FaultyBackend, FaultyBus
from tests.unit.shared.job.builders import T, accepted, all_home, completed, fetching, generating, stitching

POLICY = Policy()


@pytest.fixture
async def context() -> Context:
    bus = FaultyBus(SUBSCRIPTIONS)
    await bus.start()
    store = JobStore(
        FaultyBackend(), due_at=partial(due_at, policy=POLICY), expires_at=partial(expires_at, policy=POLICY)
    )
    return Context(store=store, emitter=Emitter(bus, "generator"), artifacts=MemoryArtifacts(), policy=POLICY)


async def put(context: Context, *keys: str) -> None:
    for key in keys:
        async with context.artifacts.writer(key) as writer:
            await writer.write(b"content")


async def kept(context: Context) -> set[str]:
    return {stat.key async for stat in context.artifacts.list()}


async def created(context: Context, job: Job) -> Job:
    await context.store.create(job)
    return await context.store.get(job.id)


def anew(job: Job) -> Job:
    """Return the job once its first clip is to be made anew."""
    return regenerate(job, number=1, prompt="another", request_id="r1", now=T)


async def test_a_clip_whose_order_is_history_is_deleted(context: Context) -> None:
    job = all_home(review=True)
    old = clip_key(job, job.clip(1))
    job = anew(job)
    job = await created(context, job.but(discarded=()))  # what was thrown away before is deleted by now
    await put(context, old)
    await delete_unwanted_clip(context, job.id, 1, old)
    assert await kept(context) == set()


async def test_a_clip_that_another_still_brings_home_is_kept(context: Context) -> None:
    job = await created(context, fetching(generating(accepted())))
    key = clip_key(job, job.clip(1))
    await put(context, key)
    await delete_unwanted_clip(context, job.id, 1, key)
    assert await kept(context) == {key}


async def test_a_clip_of_a_job_that_is_being_deleted_is_deleted(context: Context) -> None:
    job = await created(context, fetching(generating(accepted())).but(purging=True))
    key = clip_key(job, job.clip(1))
    await put(context, key)
    await delete_unwanted_clip(context, job.id, 1, key)
    assert await kept(context) == set()


async def test_a_clip_of_a_job_that_is_gone_is_deleted(context: Context) -> None:
    job = fetching(generating(accepted()))
    key = clip_key(job, job.clip(1))
    await put(context, key)
    await delete_unwanted_clip(context, job.id, 1, key)
    assert await kept(context) == set()


async def test_a_clip_that_somebody_else_brought_home_is_kept(context: Context) -> None:
    job = await created(context, all_home())
    key = clip_key(job, job.clip(1))
    await put(context, key)
    await delete_unwanted_clip(context, job.id, 1, key)
    assert await kept(context) == {key}


async def test_what_a_job_threw_away_is_deleted_once_and_noted(context: Context) -> None:
    job = await created(context, anew(all_home(review=True)))
    assert job.discarded
    await put(context, *job.discarded, *files_of(job))
    job = await delete_discarded(context, job)
    assert job.discarded == ()
    assert await kept(context) == files_of(job)
    assert await delete_discarded(context, job) is job


async def test_a_film_that_is_being_joined_by_another_is_kept(context: Context) -> None:
    job = await created(context, stitching())
    film = film_key(job)
    await put(context, film)
    await delete_unwanted_film(context, job.id, film, [])
    assert await kept(context) == {film}


async def test_a_film_of_a_job_that_is_over_is_deleted_with_what_is_beside_it_but_not_the_jobs_own(
    context: Context,
) -> None:
    job = await created(context, completed())
    assert job.status is JobStatus.COMPLETED
    unwanted = f"jobs/{job.id}/film-9.mp4"
    poster = f"jobs/{job.id}/poster-9.jpg"
    await put(context, unwanted, poster, *files_of(job))
    await delete_unwanted_film(context, job.id, unwanted, [poster, *files_of(job)])
    assert await kept(context) == files_of(job)
