"""What the record says of jobs that wait for approval, are cancelled, retried, or were to write more fields."""

from functools import partial

import pytest

from services.uploader import mirroring
from shared.airtable import client
from shared.airtable.retry import RetryPolicy
from shared.job.control import approve, cancel, retry
from shared.job.film import fail
from shared.job.model import Failure, Job, JobStatus, Stage
from tests.integration.uploader.films import brought_home, keep_film, new, ordered, with_film
from tests.support.commands import command
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

UPLOADER = ("uploader",)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RetryPolicy", partial(RetryPolicy, backoff_s=0.02, down=1, patience_s=2))
    monkeypatch.setattr(mirroring, "BACKOFF_FIRST_MS", 100)


async def put(w: World, job: Job) -> str:
    await w.put(job)
    await w.parts.context.emitter.announce(job)
    return job.id


async def until_told(w: World, job_id: str) -> Job:
    return await w.until(job_id, lambda job: job.mirror.written == len(job.passages), "the record says so")


async def test_a_job_in_review_and_one_that_is_cancelled_say_so(open_world: OpenWorld) -> None:
    w = await open_world(partners=("airtable",), services=UPLOADER)
    record = await w.add_record(Name="film")
    job_id = await put(w, brought_home(w, ordered(w, new(w, record).but(review=True))))
    await until_told(w, job_id)
    assert (await w.statuses(record))[-1] == "Review"
    await command(w, job_id, approve)
    await until_told(w, job_id)
    await command(w, job_id, cancel)
    await w.until_settled(job_id)
    assert (await w.statuses(record))[-3:] == ["Review", "Processing", "Cancelled"]


async def test_a_film_is_not_delivered_once_its_job_is_cancelled(open_world: OpenWorld) -> None:
    w = await open_world(partners=("airtable",), services=UPLOADER)
    record = await w.add_record(Name="film")
    job = await w.put(with_film(w, record))
    await keep_film(w, job, w.parts.work_dir)
    await command(w, job.id, cancel)
    await w.parts.context.emitter.announce(job)  # the news of the film comes late
    await w.until_settled(job.id)
    assert (await w.airtable.get(f"records/{record}"))["attachments"] == []


async def test_a_retry_clears_the_reason_of_the_failure_and_delivers_the_film_that_stands(
    open_world: OpenWorld,
) -> None:
    w = await open_world(partners=("airtable",), services=UPLOADER)
    record = await w.add_record(Name="film")
    timed_out = Failure(stage=Stage.UPLOADING, code="timeout", message="Timed out", retryable=True)
    job = with_film(w, record)
    await keep_film(w, job, w.parts.work_dir)
    job_id = await put(w, fail(job, failure=timed_out, now=w.clock()))
    await w.until_settled(job_id)
    assert (await w.airtable.get(f"records/{record}"))["fields"]["Error"] == "Timed out"
    await command(w, job_id, retry)
    job = await w.until_settled(job_id)
    assert job.status is JobStatus.COMPLETED
    row = await w.airtable.get(f"records/{record}")
    assert not row["fields"].get("Error")
    assert len(row["attachments"]) == 1
    assert (await w.statuses(record))[-1] == "Completed"


async def test_other_fields_are_written_with_the_last_status_and_not_before(open_world: OpenWorld) -> None:
    w = await open_world(
        partners=("airtable",), services=UPLOADER, airtable_status_map="Completed=Processing", nudge_after_ms=100
    )
    record = await w.add_record(Name="film")
    job = with_film(w, record).but(fields={"Name": "my film is ready", "No Such Field": 1})
    await keep_film(w, job, w.parts.work_dir)
    await w.until_settled(await put(w, job))
    row = await w.airtable.get(f"records/{record}")
    assert row["fields"]["Name"] == "my film is ready"
    assert row["fields"]["Status"] == "Processing", "the table's own word for Completed"
    names = [write["value"] for write in row["writes"] if write["field"] == "Name"]
    assert names[-1:] == ["my film is ready"]


async def test_a_job_of_before_that_wishes_for_the_fields_that_are_ours_keeps_its_film(open_world: OpenWorld) -> None:
    w = await open_world(partners=("airtable",), services=UPLOADER)
    record = await w.add_record(Name="film")
    job = with_film(w, record).but(fields={"Name": "done", "Video": [], "status": "Done", "Error": "none"})
    await keep_film(w, job, w.parts.work_dir)
    job = await w.until_settled(await put(w, job))
    assert job.status is JobStatus.COMPLETED
    row = await w.airtable.get(f"records/{record}")
    assert len(row["fields"]["Video"]) == len(row["attachments"]) == 1
    assert (row["fields"]["Name"], row["fields"]["Status"], row["fields"].get("Error")) == ("done", "Completed", None)
