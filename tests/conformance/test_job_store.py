"""`JobStore` on every backend: updates by transitions, from several processes, with nothing lost."""

import asyncio

import pytest

from shared.errors import JobExists, JobNotFound
from shared.job.model import Clip, Job, JobStatus
from shared.store.jobs import JobStore
from tests.support.fixtures_store import Connect, FakeClock


def a_job(job_id: str = "job_1", created_at: int = 1_000, clips: int = 2) -> Job:
    return Job(
        id=job_id,
        created_at=created_at,
        updated_at=created_at,
        progress_at=created_at,
        clips=tuple(Clip(number=n + 1, task_id=f"t{n}", prompt="Möwen über dem Meer 🌊") for n in range(clips)),
    )


def nudge(job: Job) -> Job:
    return job.but(nudges=job.nudges + 1)


def finish(job: Job) -> Job:
    return job.but(status=JobStatus.COMPLETED, finished_at=job.updated_at)


async def open_store(connect: Connect, clock: FakeClock) -> JobStore:
    return JobStore(
        await connect(),
        due_at=lambda job: None if job.status.is_final else job.updated_at + 100,
        expires_at=lambda job: None if job.finished_at is None else job.finished_at + 1_000,
        clock=clock,
    )


@pytest.fixture
async def store(connect_store: Connect, store_clock: FakeClock) -> JobStore:
    return await open_store(connect_store, store_clock)


async def test_a_created_job_is_version_one(store: JobStore) -> None:
    created = await store.create(a_job())
    assert created == a_job().but(version=1)
    assert await store.get("job_1") == created


async def test_an_id_is_taken_once(store: JobStore) -> None:
    await store.create(a_job())
    with pytest.raises(JobExists, match="job_1"):
        await store.create(a_job(created_at=5))
    assert (await store.get("job_1")).created_at == 1_000


async def test_an_update_returns_what_is_stored(store: JobStore, store_clock: FakeClock) -> None:
    await store.create(a_job())
    updated = await store.update("job_1", nudge)
    assert (updated.version, updated.nudges, updated.updated_at) == (2, 1, store_clock.now)
    assert await store.get("job_1") == updated


async def test_a_hundred_simultaneous_updates_are_a_hundred_increments(
    connect_store: Connect, store_clock: FakeClock
) -> None:
    processes = [await open_store(connect_store, store_clock) for _ in range(4)]
    await processes[0].create(a_job())
    async with asyncio.TaskGroup() as updates:
        for n in range(100):
            updates.create_task(processes[n % 4].update("job_1", nudge))
    job = await processes[0].get("job_1")
    assert (job.nudges, job.version) == (100, 101)


async def test_an_unknown_job_is_named(store: JobStore) -> None:
    with pytest.raises(JobNotFound, match="job_nobody"):
        await store.get("job_nobody")
    with pytest.raises(JobNotFound, match="job_nobody"):
        await store.update("job_nobody", nudge)


async def test_due_and_expiry_follow_the_job(store: JobStore, store_clock: FakeClock) -> None:
    await store.create(a_job(created_at=store_clock.now))
    assert await store.due(10) == []
    store_clock.now += 100
    assert await store.due(10) == ["job_1"]
    assert await store.oldest_due_created_at() == store_clock.now - 100
    await store.update("job_1", finish)
    assert await store.due(10) == []
    assert await store.oldest_due_created_at() is None
    store_clock.now += 10_000
    assert await store.expired(10) == ["job_1"]
    await store.delete("job_1")
    assert await store.expired(10) == []


async def test_a_job_whose_time_is_over_is_marked_before_it_is_deleted(store: JobStore, store_clock: FakeClock) -> None:
    await store.create(a_job(created_at=store_clock.now))
    await store.update("job_1", finish)
    assert not await store.begin_purge("job_1")
    store_clock.now += 10_000
    assert await store.begin_purge("job_1")
    marked = await store.get("job_1")
    assert marked.purging
    assert await store.begin_purge("job_1"), "whoever did it before may have died"
    assert await store.get("job_1") == marked
    assert await store.expired(10) == ["job_1"]
    await store.delete("job_1")
    assert not await store.begin_purge("job_1")


async def test_jobs_are_listed_and_counted(store: JobStore) -> None:
    for n in range(5):
        await store.create(a_job(f"job_{n}", created_at=n))
    await store.update("job_3", finish)
    first, cursor = await store.page(limit=3)
    rest, end = await store.page(limit=3, cursor=cursor)
    assert [job.id for job in (*first, *rest)] == ["job_4", "job_3", "job_2", "job_1", "job_0"]
    assert end is None
    done, _ = await store.page(JobStatus.COMPLETED)
    assert [job.id for job in done] == ["job_3"]
    counts = await store.counts()
    assert set(counts) == set(JobStatus)
    assert (counts[JobStatus.PENDING], counts[JobStatus.COMPLETED], counts[JobStatus.FAILED]) == (4, 1, 0)


async def test_locks_marks_and_permits_reach_the_backend(store: JobStore, store_clock: FakeClock) -> None:
    assert await store.claim("lock", "me", 60_000) == "me"
    await store.release("lock", "me")
    assert await store.claim("lock", "you", 60_000) == "you"
    await store.put_mark("breaker:sora-2", "open", 1_000)
    assert await store.get_mark("breaker:sora-2") == "open"
    assert await store.marks("breaker:") == {"breaker:sora-2": "open"}
    assert await store.take("kie", 1, 1_000) == 0
    store_clock.now += 400
    assert await store.take("kie", 1, 1_000) == 600
    await store.ping()
