"""The reconciler: what is outstanding is published, deadlines are kept, what has expired is purged, come what may."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from shared.airtable.limiter import BaseLimiter
from shared.airtable.quota import CountedLimiter
from shared.artifacts.memory import MemoryArtifacts
from shared.aside import PAUSE_MS
from shared.bus.topology import SUBSCRIPTIONS
from shared.emitter import Emitter
from shared.errors import ArtifactsUnavailable, JobNotFound, Refused, StoreUnavailable
from shared.events import EventName
from shared.job.control import retry
from shared.job.film import fail
from shared.job.model import Failure, Job, JobStatus, Stage
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.reconciler import Reconciler, Tick
from shared.store.jobs import JobStore
from tests.support.faulty import FaultyBackend, FaultyBus
from tests.support.fixtures_store import FakeClock
from tests.support.measured import measured
from tests.support.waiting import eventually
from tests.unit.shared.job.builders import T, accepted, clip_ready, completed, fetching, generating, home, stitched

POLICY = Policy(job_timeout_ms=60_000, job_ttl_ms=10_000, nudge_after_ms=1_000)
WHY = Failure(stage=Stage.GENERATING, code="credits", message="no credits")


class FaultyArtifacts(MemoryArtifacts):
    """Artifacts that cannot be deleted while `down`, or under a `locked` prefix; nothing is heard of a `silent` one."""

    down = False
    locked: Collection[str] = ()
    silent: Collection[str] = ()

    async def delete_prefix(self, prefix: str) -> int:
        """See `ArtifactStore.delete_prefix`."""
        if prefix in self.silent:
            await asyncio.Event().wait()
        if self.down or prefix in self.locked:
            raise ArtifactsUnavailable("read-only, for the test")
        return await super().delete_prefix(prefix)


def ordered(job: Job) -> Job:
    """Return the job with all its clips being made."""
    for clip in job.clips:
        job = generating(job, clip.number)
    return job


class Setting:
    """A reconciler and what it works on; the clock stands still."""

    def __init__(self) -> None:
        self.clock = FakeClock(T)
        self.backend = FaultyBackend(self.clock)
        self.bus = FaultyBus(SUBSCRIPTIONS)
        self.artifacts = FaultyArtifacts()
        self.store = JobStore(
            self.backend,
            due_at=partial(due_at, policy=POLICY),
            expires_at=partial(expires_at, policy=POLICY),
            clock=self.clock,
        )

    def reconciler(self, owner: str = "one", every_ms: int = 1_000) -> Reconciler:
        emitter = Emitter(self.bus, "reconciler")
        return Reconciler(self.store, emitter, self.artifacts, POLICY, owner=owner, every_ms=every_ms, clock=self.clock)

    async def fails_in(self, reconciler: Reconciler, ms: int) -> int:
        """Reconcile as every process does all the time, the first time now; return how many jobs failed."""
        failed, until = (await reconciler.tick()).failed, self.clock.now + ms
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now + 10_000)
            failed += (await reconciler.tick()).failed
        return failed

    def events(self) -> list[EventName]:
        """Return what was published since the last time this was asked."""
        names = [event.name for event in self.bus.published]
        self.bus.published.clear()
        return names


@pytest.fixture
async def at() -> AsyncIterator[Setting]:
    setting = Setting()
    await setting.bus.start()
    yield setting
    await setting.bus.close()


async def test_what_is_outstanding_is_published_again_after_growing_pauses(at: Setting) -> None:
    await at.store.create(accepted(2, record_id=None))
    reconciler = at.reconciler()
    assert await reconciler.tick() == Tick()
    gaps: list[int] = []
    last = T
    while len(gaps) < 4:
        at.clock.now += 500
        tick = await reconciler.tick()
        if tick.published:
            assert at.events() == [EventName.VIDEO_REQUESTED] * 2
            gaps.append(at.clock.now - last)
            last = at.clock.now
    assert gaps == [1_000, 2_000, 4_000, 8_000]


async def test_a_publish_that_fails_is_made_up_for_later(at: Setting) -> None:
    await at.store.create(accepted(1, record_id=None))
    reconciler = at.reconciler()
    at.bus.deaf = True
    at.clock.now += 1_000
    assert (await reconciler.tick()).published == 0
    at.bus.deaf = False
    at.clock.now += 2_000
    assert (await reconciler.tick()).published == 1


async def test_only_the_holder_of_the_lock_works_and_another_takes_over_when_it_is_gone(at: Setting) -> None:
    await at.store.create(accepted(1, record_id=None))
    first, second = at.reconciler("first"), at.reconciler("second")
    at.clock.now += 1_000
    assert (await first.tick()).looked_at == 1
    at.clock.now += 3_000
    assert await second.tick() == Tick()
    at.clock.now += 5_000
    assert (await second.tick()).looked_at == 1
    assert await first.tick() == Tick()


async def test_a_job_without_progress_fails_at_its_deadline_and_that_is_told_once(at: Setting) -> None:
    await at.store.create(accepted(2, record_id=None))
    before = measured("sora_jobs_total", outcome="failed", code="timeout")
    reconciler = at.reconciler()
    assert await at.fails_in(reconciler, 59_999) == 0
    at.events()
    at.clock.now += 1
    tick = await reconciler.tick()
    assert (tick.failed, at.events()) == (1, [EventName.JOB_FAILED])
    job = await at.store.get("job_1")
    assert job.failure is not None
    assert (job.status, job.failure.code, job.failure.stage) == (JobStatus.FAILED, "timeout", Stage.GENERATING)
    assert measured("sora_jobs_total", outcome="failed", code="timeout") == before + 1
    at.clock.now += 5_000
    assert (await reconciler.tick()).failed == 0


@pytest.mark.parametrize("another_one", [False, True], ids=["the same process", "another process"])
async def test_after_an_absence_jobs_are_asked_for_once_more_before_their_deadlines_count(
    at: Setting, another_one: bool
) -> None:
    """The store was away, say, and the clips were made meanwhile."""
    reconciler = at.reconciler()
    await reconciler.tick()
    await at.store.create(ordered(accepted(2, record_id=None)))
    at.clock.now += 600_000
    reconciler = at.reconciler("two") if another_one else reconciler
    assert await reconciler.tick() == Tick(looked_at=1, published=2)
    assert at.events() == [EventName.VIDEO_CALLBACK] * 2
    assert await at.fails_in(reconciler, PAUSE_MS - 1) == 0
    at.clock.now += 1
    assert (await reconciler.tick()).failed == 1


async def test_a_job_that_comes_closer_to_its_end_after_an_absence_lives_on(at: Setting) -> None:
    job = await at.store.create(ordered(accepted(2, record_id=None)))
    reconciler = at.reconciler()
    await reconciler.tick()
    at.clock.now += 600_000
    assert (await reconciler.tick()).failed == 0
    await at.store.update(job.id, lambda job: home(fetching(job, now=at.clock.now), now=at.clock.now))
    assert await at.fails_in(reconciler, POLICY.job_timeout_ms - 1) == 0
    at.clock.now += 1
    assert (await reconciler.tick()).failed == 1


async def test_a_store_that_was_never_watched_knows_of_no_absence(at: Setting) -> None:
    await at.store.create(accepted(2, record_id=None))
    at.clock.now += POLICY.job_timeout_ms
    assert (await at.reconciler().tick()).failed == 1


async def test_an_absence_gives_nobody_who_was_to_approve_more_time(at: Setting) -> None:
    job = clip_ready(accepted(1, record_id=None, review=True), 1)
    assert job.status is JobStatus.REVIEW
    await at.store.create(job)
    reconciler = at.reconciler()
    await reconciler.tick()
    at.clock.now += POLICY.review_timeout_ms
    assert (await reconciler.tick()).failed == 1


async def test_a_job_that_ended_in_the_same_moment_is_not_announced_again(at: Setting) -> None:
    """Whoever ended it has announced it; the reconciler only meets it in passing."""
    job = await at.store.create(stitched(record_id=None))
    at.clock.now += 60_000

    def ended_meanwhile(_row: object) -> bool:
        at.backend.fail_swap = None
        stored, tokens = at.backend._rows[job.id]
        ended = fail(job, failure=WHY, now=at.clock.now).but(version=job.version + 1)
        at.backend._remove(stored)
        at.backend._put(
            replace(stored, version=ended.version, status=ended.status, document=ended.model_dump_json()), tokens
        )
        return False

    at.backend.fail_swap = ended_meanwhile
    tick = await at.reconciler().tick()
    assert (tick.failed, at.events()) == (0, [])
    assert (await at.store.get(job.id)).failure == WHY


async def test_a_finished_job_is_purged_with_its_files_once_its_time_is_over(at: Setting, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    for key in ("jobs/job_1/film.mp4", "jobs/job_1/clip-1.mp4", "jobs/job_10/film.mp4"):
        await at.artifacts.put_file(key, film)
    await at.store.create(completed(record_id=None))
    reconciler = at.reconciler()
    at.clock.now = T + 9_999
    assert (await reconciler.tick()).purged == 0
    at.clock.now = T + 10_000
    assert (await reconciler.tick()).purged == 1
    with pytest.raises(JobNotFound):
        await at.store.get("job_1")
    assert [stat.key async for stat in at.artifacts.list()] == ["jobs/job_10/film.mp4"]


async def test_a_job_that_is_retried_while_others_are_purged_is_kept(
    at: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"clip")
    for number in (1, 2):
        ended = fail(accepted(1, record_id=None), failure=WHY, now=T).but(id=f"job_{number}")
        await at.store.create(ended)
        await at.artifacts.put_file(f"jobs/job_{number}/clip-1.mp4", clip)
    delete = at.artifacts.delete_prefix

    async def slowly(prefix: str) -> None:
        await delete(prefix)
        other = "job_2" if prefix == "jobs/job_1/" else "job_1"
        await at.store.update(other, lambda job: retry(job, now=at.clock.now))

    monkeypatch.setattr(at.artifacts, "delete_prefix", slowly)
    at.clock.now = T + 10_000
    assert (await at.reconciler().tick()).purged == 1
    [kept] = (await at.store.page())[0]
    assert kept.status is JobStatus.GENERATING
    assert [stat.key async for stat in at.artifacts.list()] == [f"jobs/{kept.id}/clip-1.mp4"]


async def test_a_job_whose_files_are_being_deleted_is_not_revived_by_a_retry(
    at: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await at.store.create(fail(accepted(1, record_id=None), failure=WHY, now=T))
    delete, reasons = at.artifacts.delete_prefix, []

    async def slowly(prefix: str) -> None:
        await delete(prefix)
        with pytest.raises(Refused) as refused:
            await at.store.update("job_1", lambda job: retry(job, now=at.clock.now))
        reasons.append(refused.value.reason)

    monkeypatch.setattr(at.artifacts, "delete_prefix", slowly)
    at.clock.now = T + 10_000
    assert (await at.reconciler().tick()).purged == 1
    assert reasons == ["expired"]


async def test_a_purge_that_was_cut_off_is_finished_by_the_next(at: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    await at.store.create(fail(accepted(1, record_id=None), failure=WHY, now=T))
    at.clock.now = T + 10_000
    with monkeypatch.context() as patched:
        patched.setattr(at.store, "delete", AsyncMock(side_effect=StoreUnavailable("killed")))
        assert (await at.reconciler().tick()).unpurged == 1
    with pytest.raises(Refused):
        await at.store.update("job_1", lambda job: retry(job, now=at.clock.now))
    assert (await at.reconciler().tick()).purged == 1
    with pytest.raises(JobNotFound):
        await at.store.get("job_1")


async def test_a_job_whose_files_cannot_be_deleted_yet_is_kept(at: Setting) -> None:
    await at.store.create(completed(record_id=None))
    at.clock.now = T + 20_000
    at.artifacts.down = True
    reconciler = at.reconciler()
    tick = await reconciler.tick()
    assert (tick.purged, tick.unpurged) == (0, 1)
    assert (await at.store.get("job_1")).status is JobStatus.COMPLETED
    at.artifacts.down = False
    at.clock.now += PAUSE_MS
    assert (await reconciler.tick()).purged == 1


async def finished(at: Setting, *job_ids: str) -> None:
    """Jobs, one older than the next, whose time is over."""
    for age, job_id in enumerate(reversed(job_ids)):
        await at.store.create(completed(record_id=None, now=T - age).but(id=job_id))
    at.clock.now = T + POLICY.job_ttl_ms


async def kept(at: Setting) -> set[str]:
    return {job.id for job in (await at.store.page())[0]}


async def test_a_file_that_cannot_be_deleted_keeps_its_own_job_alone(at: Setting) -> None:
    await finished(at, "job_locked", "job_b", "job_c")
    at.artifacts.locked = {"jobs/job_locked/"}
    tick = await at.reconciler().tick()
    assert (tick.purged, tick.unpurged) == (2, 1)
    assert await kept(at) == {"job_locked"}


async def test_an_artifact_store_that_does_not_answer_holds_nothing_up(
    at: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(at, "job_silent", "job_b")
    at.artifacts.silent = {"jobs/job_silent/"}
    monkeypatch.setattr("shared.reconciler.PURGE_PATIENCE_S", 0.01)
    tick = await at.reconciler().tick()
    assert (tick.purged, tick.unpurged) == (1, 1)
    assert await kept(at) == {"job_silent"}


async def test_jobs_that_cannot_be_purged_do_not_fill_the_rounds_of_the_others(
    at: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.reconciler.BATCH", 2)
    await finished(at, "job_a", "job_b", "job_c", "job_d")
    at.artifacts.locked = {"jobs/job_a/", "jobs/job_b/"}
    reconciler = at.reconciler()
    assert [(await reconciler.tick()).purged for _ in range(2)] == [0, 2]
    assert await kept(at) == {"job_a", "job_b"}
    at.artifacts.locked = ()
    assert (await reconciler.tick()).purged == 0, "they are left alone for a while"
    at.clock.now += PAUSE_MS
    assert (await reconciler.tick()).purged == 2


async def test_a_round_purges_for_a_while_only_and_the_next_goes_on(
    at: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(at, "job_a", "job_b", "job_c")
    monkeypatch.setattr("shared.reconciler.PURGE_FOR_S", 0.0)
    reconciler = at.reconciler()
    assert [(await reconciler.tick()).purged for _ in range(4)] == [1, 1, 1, 0]


async def test_what_is_measured_does_not_wait_for_the_artifact_store(at: Setting) -> None:
    await at.store.create(accepted(1, record_id=None))
    at.clock.now += 3_500
    at.artifacts.sweep_temporary = AsyncMock(side_effect=ArtifactsUnavailable("away"))  # type: ignore[method-assign]
    with pytest.raises(ArtifactsUnavailable):
        await at.reconciler().tick()
    assert measured("sora_oldest_unfinished_job_age_seconds") == 3.5


async def test_a_document_that_cannot_be_read_does_not_hold_up_the_others(at: Setting) -> None:
    damaged = await at.store.create(accepted(1, record_id=None))
    stored, tokens = at.backend._rows[damaged.id]
    at.backend._rows[damaged.id] = (replace(stored, document='{"id": "job_1", "clips": 7}'), tokens)
    await at.store.create(accepted(1, record_id=None).but(id="job_2"))
    at.clock.now += 1_000
    tick = await at.reconciler().tick()
    assert (tick.looked_at, tick.published) == (2, 1)
    assert [event.subject for event in at.bus.published] == ["job_2"]


async def test_documents_that_cannot_be_read_do_not_fill_the_rounds_of_the_others(
    at: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are of a newer version, say, and the most overdue: they are met again once this version is the newer one."""
    monkeypatch.setattr("shared.reconciler.BATCH", 2)
    readable = {}
    for number in range(1, 5):
        job = await at.store.create(accepted(1, record_id=None).but(id=f"job_{number}"))
        if number <= 2:
            readable[job.id] = at.backend._rows[job.id]
            stored, tokens = readable[job.id]
            at.backend._rows[job.id] = (replace(stored, document='{"clips": 7}'), tokens)
    at.clock.now += 1_000
    reconciler = at.reconciler()
    assert [(await reconciler.tick()).published for _ in range(3)] == [0, 2, 0]
    assert {event.subject for event in at.bus.published} == {"job_3", "job_4"}
    at.backend._rows.update(readable)
    at.bus.published.clear()
    at.clock.now += PAUSE_MS - 1_000
    await reconciler.tick()
    assert {event.subject for event in at.bus.published} <= {"job_3", "job_4"}, "they are left alone for a while"
    at.clock.now += 1_000
    await reconciler.tick()
    assert {"job_1", "job_2"} <= {event.subject for event in at.bus.published}


async def test_an_outage_in_the_middle_of_a_round_is_survived(at: Setting) -> None:
    """The store answers the list of due jobs, and is gone before the first job is read."""
    await at.store.create(accepted(1, record_id=None))
    at.clock.now += 1_000
    at.backend.fail_swap = lambda _row: True
    assert (await at.reconciler().tick()).published == 0
    at.backend.fail_swap = None
    assert (await at.reconciler().tick()).published == 1


async def test_it_runs_on_through_every_outage(at: Setting) -> None:
    await at.store.create(accepted(1, record_id=None))
    at.clock.now += 1_000
    at.backend.down = True
    running = asyncio.create_task(at.reconciler(every_ms=10).run())

    async def refused() -> bool:
        return at.backend.refusals >= 3

    async def published() -> bool:
        assert not running.done(), "the reconciler died of the outage"
        return bool(at.bus.published)

    await eventually(refused, "it was refused again and again")
    at.backend.down = False
    await eventually(published, "it works again")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_settled_job_is_never_looked_at(at: Setting) -> None:
    job: Job = completed(record_id=None)
    await at.store.create(job)
    at.clock.now += 5_000
    assert (await at.reconciler().tick()).looked_at == 0


async def test_the_age_of_the_oldest_unfinished_job_is_measured(at: Setting) -> None:
    await at.store.create(accepted(1, record_id=None))
    at.clock.now += 2_500
    await at.reconciler().tick()
    assert measured("sora_oldest_unfinished_job_age_seconds") == 2.5


async def test_jobs_are_counted_by_status_and_only_where_watch_is_kept(at: Setting) -> None:
    await at.store.create(accepted(1, record_id=None))
    first, second = at.reconciler("first"), at.reconciler("second")
    await first.tick()
    assert measured("sora_jobs_stored", status="pending") == 1
    assert measured("sora_jobs_stored", status="completed") == 0
    await second.tick()
    assert measured("sora_jobs_stored", status="pending") == 0, "else a watch that was lost would show old numbers"


async def test_calls_to_airtable_are_shown_only_where_watch_is_kept(at: Setting) -> None:
    unlimited = BaseLimiter(at.backend, "appA", requests_per_second=100, clock=at.clock)
    limiter = CountedLimiter(unlimited, at.backend, "appA", clock=at.clock)
    for _ in range(3):
        await limiter.acquire()
    first, second = at.reconciler("first"), at.reconciler("second")
    await first.tick()
    assert measured("sora_airtable_calls_this_month") == 3
    await second.tick()
    assert measured("sora_airtable_calls_this_month") == 0
