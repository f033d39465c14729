"""`JobStore` when things go wrong: conflicts, lost answers, refusals, damaged documents."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

import pytest

from shared.errors import JobNotFound, Refused, StoreUnavailable
from shared.job.model import AspectRatio, Clip, Job, JobStatus
from shared.store import jobs
from shared.store.jobs import DocumentUnreadable, JobStore
from shared.store.memory import MemoryBackend
from shared.store.protocol import TOKEN_TTL_MS, Row, Tally
from shared.usage import book_of, day_of
from tests.support.fixtures_store import FakeClock
from tests.unit.shared.job.builders import T, accepted, fetching, generating, home

DAY_MS = 86_400_000


def a_job(job_id: str = "job_1") -> Job:
    clips = (Clip(number=1, task_id="t1", prompt="gulls"),)
    return Job(id=job_id, created_at=1_000, updated_at=1_000, progress_at=1_000, clips=clips)


def nudge(job: Job) -> Job:
    return job.but(nudges=job.nudges + 1)


def store_on(backend: MemoryBackend) -> JobStore:
    return JobStore(backend, due_at=lambda _: None, expires_at=lambda _: None, clock=lambda: 2_000)


class Contended(MemoryBackend):
    """Somebody else writes the job before each of the next `rivals` swaps."""

    rivals = 0
    swaps = 0

    async def swap(self, row: Row, expected_version: int, token: str) -> bool:
        self.swaps += 1
        if self.rivals:
            self.rivals -= 1
            stored = await self.load(row.id)
            assert stored is not None
            rival = Job.model_validate_json(stored[1]).but(version=stored[0] + 1, aspect_ratio=AspectRatio.SQUARE)
            assert await super().swap(
                replace(row, version=stored[0] + 1, document=rival.model_dump_json()), stored[0], f"rival {self.rivals}"
            )
        return await super().swap(row, expected_version, token)


class AnswerLost(MemoryBackend):
    """The client under the backend repeats every write whose answer got lost: all of them, here."""

    async def insert(self, row: Row, token: str) -> bool:
        await super().insert(row, token)
        return await super().insert(row, token)

    async def swap(self, row: Row, expected_version: int, token: str) -> bool:
        await super().swap(row, expected_version, token)
        return await super().swap(row, expected_version, token)


async def test_an_unchanged_job_is_not_written() -> None:
    backend = Contended()
    store = store_on(backend)
    created = await store.create(a_job())
    assert await store.update("job_1", lambda job: job) == created
    assert backend.swaps == 0


async def test_after_a_conflict_the_transition_is_applied_to_the_new_job() -> None:
    backend = Contended()
    store = store_on(backend)
    await store.create(a_job())
    backend.rivals = 3
    updated = await store.update("job_1", nudge)
    assert (updated.nudges, updated.version, updated.aspect_ratio) == (1, 5, AspectRatio.SQUARE)
    assert await store.get("job_1") == updated


async def test_endless_conflicts_end_in_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LONGEST_PAUSE_S", 0.0)
    backend = Contended()
    store = store_on(backend)
    await store.create(a_job())
    backend.rivals = 1_000
    with pytest.raises(StoreUnavailable, match="job_1: 50 other writes"):
        await store.update("job_1", nudge)


async def test_a_write_whose_answer_was_lost_counts_as_written() -> None:
    store = store_on(AnswerLost())
    await store.create(a_job())
    updated = await store.update("job_1", nudge)
    assert (updated.nudges, updated.version) == (1, 2)
    assert await store.get("job_1") == updated


async def test_what_the_transition_raises_passes_through_and_nothing_is_written() -> None:
    store = store_on(MemoryBackend())
    created = await store.create(a_job())

    def refuse(job: Job) -> Job:
        raise Refused("lease_held")

    with pytest.raises(Refused, match="lease_held"):
        await store.update("job_1", refuse)
    assert await store.get("job_1") == created
    assert (await store.update("job_1", nudge)).nudges == 1, "the refusal must not hold the others up"


async def test_a_job_deleted_in_the_meantime_is_not_found() -> None:
    class DeletedBeforeSwap(MemoryBackend):
        async def swap(self, row: Row, expected_version: int, token: str) -> bool:
            await self.delete(row.id)
            return await super().swap(row, expected_version, token)

    store = store_on(DeletedBeforeSwap())
    await store.create(a_job())
    with pytest.raises(JobNotFound):
        await store.update("job_1", nudge)


async def test_an_update_that_hangs_does_not_hold_the_others_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE_S", 0.02)
    hanging = asyncio.Event()

    class HangsOnce(MemoryBackend):
        async def swap(self, row: Row, expected_version: int, token: str) -> bool:
            if not hanging.is_set():
                hanging.set()
                await asyncio.Event().wait()
            return await super().swap(row, expected_version, token)

    store = store_on(HangsOnce())
    await store.create(a_job())
    first = asyncio.create_task(store.update("job_1", nudge))
    await hanging.wait()
    assert (await store.update("job_1", nudge)).nudges == 1
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await store.update("job_1", nudge)).nudges == 2


@pytest.mark.parametrize(
    ("document", "problem"),
    [("", "document"), ("{", "document"), ("[]", "document"), ('{"id": "job_1"}', "created_at: Field required")],
)
async def test_a_damaged_document_names_its_job(document: str, problem: str) -> None:
    backend = MemoryBackend()
    await backend.insert(Row("job_1", 1, "pending", 1, None, None, document), "t")
    store = store_on(backend)
    with pytest.raises(DocumentUnreadable, match=f"job job_1: .*{problem}"):
        await store.get("job_1")
    with pytest.raises(DocumentUnreadable, match="job_1"):
        await store.update("job_1", nudge)


async def test_a_damaged_document_shows_no_prompt_in_its_error() -> None:
    backend = MemoryBackend()
    damaged = a_job().model_dump_json().replace('"number":1', '"number":"private prompt"')
    await backend.insert(Row("job_1", 1, "pending", 1, None, None, damaged), "t")
    with pytest.raises(DocumentUnreadable, match=r"clips\.0\.number: ") as caught:
        await store_on(backend).get("job_1")
    assert "private" not in str(caught.value)


async def test_a_damaged_document_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    backend = MemoryBackend()
    store = store_on(backend)
    await store.create(a_job("job_good"))
    await backend.insert(Row("job_bad", 1, "pending", 1, None, None, '{"id": "job_bad"}'), "t1")
    await backend.insert(Row("job_worse", 1, "pending", 1, None, None, "{"), "t2")
    with caplog.at_level(logging.ERROR):
        listed, _ = await store.page()
    assert [job.id for job in listed] == ["job_good"]
    assert "job_bad" in caplog.text
    assert "id cannot be read" in caplog.text


async def test_unknown_fields_of_a_newer_version_are_tolerated() -> None:
    backend = MemoryBackend()
    newer = a_job().model_dump_json().replace('"schema_version":1', '"schema_version":2,"mood":"calm"')
    await backend.insert(Row("job_1", 1, "pending", 1, None, None, newer), "t")
    assert (await store_on(backend).get("job_1")).status is JobStatus.PENDING


class Forgetful(MemoryBackend):
    """Remembers tokens no longer than it must."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._forgets_at: dict[str, int] = {}

    async def tally(
        self,
        book: str,
        adds: Mapping[str, int],
        caps: Mapping[str, int],
        token: str | None,
        ttl_ms: int,
        token_ttl_ms: int = TOKEN_TTL_MS,
    ) -> Tally:
        now = self._clock()
        if self._forgets_at.get(book, now) <= now and book in self._books:
            self._books[book].tokens.clear()
        self._forgets_at[book] = now + min(ttl_ms, token_ttl_ms)
        return await super().tally(book, adds, caps, token, ttl_ms, token_ttl_ms)


@pytest.mark.parametrize("days", [1, 44, 46, 100, 399, 500])
@pytest.mark.parametrize("job_ttl_days", [1, 100])
async def test_what_a_job_used_is_counted_once_however_late_it_is_deleted(days: int, job_ttl_days: int) -> None:
    clock = FakeClock(T)
    backend = Forgetful(clock)
    store = JobStore(
        backend, due_at=lambda _: None, expires_at=lambda _: None, clock=clock, job_ttl_ms=job_ttl_days * DAY_MS
    )
    await store.create(generating(accepted(1, record_id=None)))
    await store.update("job_1", lambda job: home(fetching(job)))
    book = book_of(day_of(T))
    counted = await backend.amounts(book)
    assert counted
    clock.now += days * DAY_MS
    await store.delete("job_1")
    assert await backend.amounts(book) == (counted if days < 400 else {})


async def test_what_a_crash_left_uncounted_is_counted_when_the_job_is_deleted_as_long_as_that_can_be_told() -> None:
    for days, is_counted in ((100, True), (144, True), (146, False)):
        clock = FakeClock(T)
        backend = Forgetful(clock)
        store = JobStore(
            backend, due_at=lambda _: None, expires_at=lambda _: None, clock=clock, job_ttl_ms=100 * DAY_MS
        )
        await store.create(home(fetching(generating(accepted(1, record_id=None)))))
        clock.now += days * DAY_MS
        await store.delete("job_1")
        assert bool(await backend.amounts(book_of(day_of(T)))) is is_counted
