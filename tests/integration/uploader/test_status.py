"""The record's Status follows the job, in order, by one writer at a time, and is never a reason to fail."""

import asyncio
from functools import partial

import pytest

from services.uploader import mirroring
from shared.airtable import client
from shared.airtable.retry import RetryPolicy
from shared.job.film import fail
from shared.job.mirror import is_settled
from shared.job.model import Failure, Job, JobStatus, Stage
from tests.integration.uploader.films import being_stitched, brought_home, keep_film, new, ordered, stitched
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

FULL_WAY = ["Generating", "Processing", "Stitching", "Uploading", "Completed"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RetryPolicy", partial(RetryPolicy, backoff_s=0.02, down=1, patience_s=2))
    monkeypatch.setattr(mirroring, "BACKOFF_FIRST_MS", 100)


async def moved(w: World, job: Job, after: Job) -> Job:
    """Store what has become of a job, and announce it."""
    job = await w.store.update(job.id, lambda now: after.but(version=now.version, mirror=now.mirror, nudges=now.nudges))
    await w.parts.context.emitter.announce(job)
    return job


async def go_all_the_way(w: World, record: str, folder_size: int = 100) -> str:
    """Take a job through all statuses as fast as they can be written."""
    job = await w.put(new(w, record))
    await keep_film(w, job, w.parts.work_dir, folder_size)
    await w.parts.context.emitter.announce(job)
    for step in (ordered, brought_home, being_stitched, partial(stitched, size=folder_size)):
        job = await moved(w, job, step(w, job))
    return job.id


async def test_with_several_uploaders_at_once_no_status_goes_back_and_none_is_left_out(open_world: OpenWorld) -> None:
    """Every message twice and in random order, Airtable now quick, now slow."""
    w = await open_world(
        partners=("airtable",), services=("uploader",) * 3, bus={"duplicate_every": 1, "shuffle": 4711}
    )
    await w.airtable.fault("update=late:60", every=2)
    records = [await w.add_record(Name=f"film {number}") for number in range(6)]
    job_ids = await asyncio.gather(*(go_all_the_way(w, record) for record in records))
    for job_id, record in zip(job_ids, records, strict=True):
        job = await w.until_settled(job_id)
        assert job.status is JobStatus.COMPLETED, job.failure
        assert await w.statuses(record) == FULL_WAY
        assert len((await w.airtable.get(f"records/{record}"))["attachments"]) == 1


async def test_a_write_that_takes_longer_than_a_lease_is_not_overtaken(open_world: OpenWorld) -> None:
    w = await open_world(partners=("airtable",), services=("uploader",) * 2, lease_ms=500, nudge_after_ms=100)
    await w.airtable.fault("update=latency:1500", times=1)
    record = await w.add_record(Name="film")
    job_id = await go_all_the_way(w, record)
    await w.until_settled(job_id)
    assert await w.statuses(record) == FULL_WAY


async def test_a_failed_job_says_failed_and_why(open_world: OpenWorld) -> None:
    w = await open_world(partners=("kie", "airtable"), services=("generator", "uploader"))
    record = await w.add_record(Name="film")
    job = await w.until_settled(await w.submit("a boat [twin:create=402]", record=record))
    assert await w.statuses(record) == ["Generating", "Failed"]
    fields = (await w.airtable.get(f"records/{record}"))["fields"]
    assert fields["Error"] == "Video 1 generation failed: Insufficient credits"
    assert job.mirror.problem is None


async def test_statuses_that_were_missed_while_airtable_was_down_are_made_up_for_in_order(
    open_world: OpenWorld,
) -> None:
    w = await open_world(partners=("airtable",), services=("uploader",))
    record = await w.add_record(Name="film")
    await w.airtable.fault("update=500")
    job = await w.put(new(w, record))
    await w.parts.context.emitter.announce(job)
    job = await w.until(job.id, lambda job: job.mirror.attempts >= 2, "writing failed more than once")
    assert job.mirror.problem is not None
    assert not job.status.is_final
    job = await moved(w, job, brought_home(w, ordered(w, job)))
    await w.airtable.clear_faults()
    await w.until(job.id, lambda job: job.mirror.written == len(job.passages), "all is written", leaping=True)
    assert await w.statuses(record) == ["Generating", "Processing"]
    assert (await w.job(job.id)).mirror.problem is None


async def test_after_a_long_outage_the_record_jumps_to_the_present(open_world: OpenWorld) -> None:
    w = await open_world(partners=("airtable",), services=("uploader",))
    record = await w.add_record(Name="film")
    job = new(w, record)
    for step in (ordered, brought_home, being_stitched):
        w.clock.leap(20_000)
        job = step(w, job)
    w.clock.leap(20_000)
    await w.put(job)
    await w.parts.context.emitter.announce(job)
    await w.until(job.id, lambda job: job.mirror.written == len(job.passages), "all is written")
    assert await w.statuses(record) == ["Stitching"]


async def test_a_status_that_can_never_be_written_does_not_keep_a_job_from_being_over(open_world: OpenWorld) -> None:
    w = await open_world(partners=("airtable",), services=("uploader",))
    why = Failure(stage=Stage.GENERATING, code="credits", message="no credits")
    for fault in ("update=403", "update=quota"):
        await w.airtable.clear_faults()
        await w.airtable.fault(fault)
        record = await w.add_record(Name="film")
        job = await w.put(fail(new(w, record), failure=why, now=w.clock()))
        await w.parts.context.emitter.announce(job)
        job = await w.until(job.id, is_settled, "the mirror is given up")
        assert any("Status could not be written" in entry.what for entry in job.timeline)


async def test_a_drained_writer_leaves_the_record_to_the_next_once_its_write_can_no_longer_arrive(
    open_world: OpenWorld,
) -> None:
    w = await open_world(partners=("airtable",), services=("uploader",))
    record = await w.add_record(Name="film")
    await w.airtable.fault("update=latency:300", times=1)
    job = await w.put(new(w, record))
    await w.parts.context.emitter.announce(job)
    await w.until(job.id, lambda job: job.mirror.lease is not None, "a writer is at it")
    await w.bus.drain(0)
    assert (await w.job(job.id)).mirror.lease is not None, "what was sent could overtake what the next one writes"
    await w.join("uploader")
    await w.until(job.id, lambda job: job.mirror.written == len(job.passages), "the next writer has done it")
    assert set(await w.statuses(record)) == {"Generating"}
