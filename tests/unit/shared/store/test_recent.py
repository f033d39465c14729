"""What a process remembers of documents saves reading them, and is never taken for the truth."""

import asyncio

import pytest

from shared.errors import JobNotFound, Refused
from shared.job.model import Clip, Job
from shared.store import recent
from shared.store.jobs import JobStore
from shared.store.memory import MemoryBackend
from shared.store.recent import KEPT, KEPT_S, Known, Recent


class Counting(MemoryBackend):
    """Counts what is asked of it."""

    loads = 0

    async def load(self, job_id: str) -> tuple[int, str] | None:
        self.loads += 1
        return await super().load(job_id)


def store_on(backend: MemoryBackend) -> JobStore:
    return JobStore(backend, due_at=lambda _: None, expires_at=lambda _: None, clock=lambda: 2_000)


def a_job() -> Job:
    clips = (Clip(number=1, task_id="t1", prompt="gulls"),)
    return Job(id="job_1", created_at=1_000, updated_at=1_000, progress_at=1_000, clips=clips)


def nudge(job: Job) -> Job:
    return job.but(nudges=job.nudges + 1)


async def test_changes_of_a_job_that_was_just_read_read_it_no_more() -> None:
    backend = Counting()
    store = store_on(backend)
    await store.create(a_job())
    await store.get("job_1")
    for _ in range(3):
        await store.update("job_1", nudge)
    assert backend.loads == 1
    assert (await store.get("job_1")).nudges == 3


async def test_what_somebody_else_wrote_is_not_overwritten() -> None:
    backend = Counting()
    here, there = store_on(backend), store_on(backend)
    await here.create(a_job())
    await asyncio.gather(here.get("job_1"), there.get("job_1"))
    await there.update("job_1", nudge)
    assert (await here.update("job_1", nudge)).nudges == 2


async def test_a_refusal_is_only_believed_of_the_store_itself() -> None:
    backend = Counting()
    here, there = store_on(backend), store_on(backend)
    await here.create(a_job())
    await here.get("job_1")
    await there.update("job_1", nudge)

    def only_after_a_nudge(job: Job) -> Job:
        if not job.nudges:
            raise Refused("not_yet")
        return nudge(job)

    assert (await here.update("job_1", only_after_a_nudge)).nudges == 2


async def test_that_nothing_is_to_be_changed_is_only_believed_of_the_store_itself() -> None:
    backend = Counting()
    here, there = store_on(backend), store_on(backend)
    await here.create(a_job())
    await here.get("job_1")
    newer = await there.update("job_1", nudge)
    assert await here.update("job_1", lambda job: job) == newer


async def test_a_job_that_was_deleted_elsewhere_is_not_found() -> None:
    backend = Counting()
    here, there = store_on(backend), store_on(backend)
    await here.create(a_job())
    await here.get("job_1")
    await there.delete("job_1")
    with pytest.raises(JobNotFound):
        await here.update("job_1", nudge)


def test_it_forgets_after_a_while_and_keeps_a_few_only() -> None:
    now_s = 0.0
    known = Recent(lambda: now_s)
    known.note("old", Known(1, "{}"))
    now_s = KEPT_S + 0.1
    assert known.take("old") is None
    for number in range(KEPT + 1):
        known.note(f"job_{number}", Known(1, "{}"))
    assert known.take("job_0") is None
    assert known.take(f"job_{KEPT}") == Known(1, "{}")
    assert known.take(f"job_{KEPT}") is None, "a guess is tried once"


def test_a_read_that_was_overtaken_by_a_write_does_not_replace_it() -> None:
    known = Recent(lambda: 0.0)
    known.note("job_1", Known(3, "written"))
    known.note("job_1", Known(2, "read before"))
    assert known.take("job_1") == Known(3, "written")


def test_a_document_is_not_continued_for_long() -> None:
    """A store that was rolled back by a crash gives the same versions to other documents."""
    assert recent.KEPT_S <= 5.0
