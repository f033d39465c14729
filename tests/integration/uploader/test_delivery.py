"""The film reaches the record whatever the table and Airtable are like, or the job says why, with the film kept."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.uploader import bootstrap, delivering
from shared.airtable import answers, client
from shared.airtable.client import AirtableRecords
from shared.airtable.delivery import DIRECT_LIMIT_BYTES, DeliveryOptions
from shared.airtable.errors import AirtableAmbiguous, AirtableDown
from shared.airtable.protocol import Attachment, Record
from shared.airtable.retry import RetryPolicy
from shared.job.model import Failure, Job, JobStatus, Stage
from tests.integration.uploader.films import deliver
from tests.support.fixtures_world import OpenWorld
from tests.support.waiting import eventually
from tests.support.world import World

UPLOADER = ("uploader",)
AIRTABLE = ("airtable",)
FULL_WAY = ["Generating", "Processing", "Stitching", "Uploading", "Completed"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at Airtable every few milliseconds instead of seconds."""
    quick = partial(DeliveryOptions, poll_s=(0.05,), search_s=(0.1, 0.1))
    monkeypatch.setattr(bootstrap, "DeliveryOptions", quick)
    monkeypatch.setattr(client, "RetryPolicy", partial(RetryPolicy, backoff_s=0.02, down=2, patience_s=2))
    monkeypatch.setattr(answers, "PENALTY_S", 0.2)
    monkeypatch.setattr(client, "_JITTER_S", 0.05)
    monkeypatch.setattr(delivering, "AIRTABLE_PAUSE_S", 0.1)


async def cell(w: World, record: str) -> list[tuple[str, str]]:
    """Return name and digest of the files that stand in the record."""
    shown = await w.airtable.get(f"records/{record}")
    standing = [each for each in shown["attachments"] if each["removed_ms"] is None]
    return [(each["filename"], each["sha256"]) for each in standing]


def standing(job_id: str, content: bytes) -> list[tuple[str, str]]:
    return [(f"{job_id}.mp4", hashlib.sha256(content).hexdigest())]


def reason(job: Job) -> Failure:
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    return job.failure


async def assert_downloadable(w: World, job_id: str, content: bytes) -> None:
    view = await w.view(job_id)
    assert (await w.http.get(view["videoUrl"])).content == content


async def test_a_record_is_processed_from_its_prompts_to_its_film_with_every_status_in_order(
    open_world: OpenWorld,
) -> None:
    w = await open_world(partners=("kie", "airtable"))
    record = await w.add_record(**{"Prompt 1": "a boat", "Prompt 2": "a harbour", "Error": "of an earlier try"})
    answer = await w.http.post("/api/process-record", json={"recordId": record})
    job = await w.until_settled(answer.json()["data"]["jobId"])
    assert job.status is JobStatus.COMPLETED
    assert await w.statuses(record) == FULL_WAY
    [(name, _)] = await cell(w, record)
    assert name == f"{job.id}.mp4"
    shown = await w.airtable.get(f"records/{record}")
    assert shown["fields"].get("Error", "") == ""
    [attachment] = shown["attachments"]
    assert job.film is not None
    assert attachment["size"] == job.film.video.size_bytes
    view = await w.view(job.id)
    assert (view["status"], view["recordId"], view["attachmentId"]) == ("completed", record, attachment["id"])
    assert (await w.http.get(view["videoUrl"])).headers["content-length"] == str(attachment["size"])
    assert (await w.http.get(view["posterUrl"])).headers["content-type"] == "image/jpeg"
    assert w.work_files() == []


async def test_a_small_film_goes_directly_and_a_large_one_by_a_link_that_airtable_fetches(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    for size, by_link in ((DIRECT_LIMIT_BYTES, False), (DIRECT_LIMIT_BYTES + 1, True)):
        record = await w.add_record(Name="film")
        job_id, content = await deliver(w, tmp_path, record, size)
        job = await w.until_finished(job_id)
        assert job.status is JobStatus.COMPLETED, job.failure
        assert await cell(w, record) == standing(job_id, content)
        [attachment] = (await w.airtable.get(f"records/{record}"))["attachments"]
        assert ("/media/" in attachment["source_url"]) is by_link


async def test_what_else_is_in_the_cell_stays(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    record = await w.add_record(Name="film")
    first, one = await deliver(w, tmp_path, record)
    await w.until_finished(first)
    second, two = await deliver(w, tmp_path, record)
    await w.until_finished(second)
    assert await cell(w, record) == standing(first, one) + standing(second, two)


async def test_a_table_without_status_and_error_gets_its_film_all_the_same(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    await w.airtable.post("fields", {"remove": ["Status", "Error"]})
    record = await w.add_record(Name="film")
    job_id, content = await deliver(w, tmp_path, record)
    assert (await w.until_settled(job_id)).status is JobStatus.COMPLETED
    assert await cell(w, record) == standing(job_id, content)


async def test_a_status_option_that_may_not_be_made_is_left_out(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER, airtable_api_key="patSANDBOX0000001.editor")
    await w.airtable.post("fields", {"options": {"Status": ["Queued", "Completed"]}})
    record = await w.add_record(Name="film")
    job_id, content = await deliver(w, tmp_path, record)
    assert (await w.until_settled(job_id)).status is JobStatus.COMPLETED
    assert await cell(w, record) == standing(job_id, content)
    assert await w.statuses(record) == ["Completed"]


async def test_a_table_without_the_video_field_fails_the_job_with_its_name_and_keeps_the_film(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    await w.airtable.post("fields", {"remove": ["Video"]})
    record = await w.add_record(Name="film")
    job_id, content = await deliver(w, tmp_path, record)
    failure = reason(await w.until_settled(job_id))
    assert (failure.stage, failure.code) == (Stage.UPLOADING, "unknown_field")
    assert "`Video`" in failure.message
    assert (await w.statuses(record))[-2:] == ["Uploading", "Failed"]
    [error] = [write["value"] for write in await w.writes(record) if write["field"] == "Error" and write["value"]]
    assert error == failure.message
    await assert_downloadable(w, job_id, content)


async def test_a_record_that_was_deleted_meanwhile_fails_the_job_and_keeps_the_film(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    record = await w.add_record(Name="film")
    await delete(w, record)
    job_id, content = await deliver(w, tmp_path, record)
    failure = reason(await w.until_settled(job_id))
    assert (failure.stage, failure.code, failure.retryable) == (Stage.UPLOADING, "record_not_found", True)
    await assert_downloadable(w, job_id, content)
    assert await w.bus.dead_letters() == []


async def delete(w: World, record: str) -> None:
    base, table = w.twins.base_id, w.twins.table
    headers = {"Authorization": f"Bearer {w.twins.api_keys.airtable}"}
    async with httpx.AsyncClient(base_url=w.twins.airtable_url, verify=False, headers=headers) as airtable:
        (await airtable.delete(f"/v0/{base}/{table}/{record}")).raise_for_status()


async def test_a_film_that_is_gone_from_the_store_fails_the_job_at_once(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER, nudge_after_ms=60_000)
    record = await w.add_record(Name="film")
    await w.airtable.fault("update=latency:300", times=1)
    job_id, _ = await deliver(w, tmp_path, record)
    await w.artifacts.delete_prefix(f"jobs/{job_id}/")
    assert reason(await w.until_settled(job_id)).code == "film_gone"
    assert await cell(w, record) == []


async def test_too_many_requests_are_waited_out(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER, airtable={"penalty_ms": 100})
    record = await w.add_record(Name="film")
    for fault in ("update=rate_limit", "get=rate_limit", "upload=rate_limit"):
        await w.airtable.fault(fault, times=1)
    job_id, content = await deliver(w, tmp_path, record)
    job = await w.until_settled(job_id)
    assert job.status is JobStatus.COMPLETED, job.failure
    assert await cell(w, record) == standing(job_id, content)


async def test_a_used_up_quota_fails_the_job_with_its_own_code_and_keeps_the_film(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    record = await w.add_record(Name="film")
    await w.airtable.fault("any=quota")
    job_id, content = await deliver(w, tmp_path, record)
    failure = reason(await w.until_settled(job_id))
    assert (failure.stage, failure.code) == (Stage.UPLOADING, "airtable_quota_exhausted")
    await assert_downloadable(w, job_id, content)


@pytest.mark.parametrize("fault", ["any=drop_before", "any=500", "any=502"])
async def test_airtable_down_for_a_while_is_waited_for(open_world: OpenWorld, tmp_path: Path, fault: str) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    record = await w.add_record(Name="film")
    await w.airtable.fault(fault)
    job_id, content = await deliver(w, tmp_path, record)
    await w.until(job_id, lambda job: job.step_tries >= 3, "it was tried more often than the client alone would")
    await w.airtable.clear_faults()
    job = await w.until_settled(job_id)
    assert job.status is JobStatus.COMPLETED, job.failure
    assert await cell(w, record) == standing(job_id, content)
    assert (await w.statuses(record))[-1] == "Completed"


async def test_airtable_down_until_the_deadline_fails_the_job_with_the_film_kept(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER, job_timeout=60_000)
    record = await w.add_record(Name="film")
    await w.airtable.fault("any=500")
    job_id, content = await deliver(w, tmp_path, record)
    await w.until(job_id, lambda job: job.step_tries >= 2, "it is tried again and again")
    w.clock.leap(61_000)
    failure = reason(await w.until_finished(job_id))
    assert (failure.stage, failure.code) == (Stage.UPLOADING, "timeout")
    await assert_downloadable(w, job_id, content)

    async def is_quiet() -> bool:
        return w.under_way == 0

    # The try over whose lease the clock leapt might still write its older word once Airtable is back.
    await eventually(is_quiet, "nobody is at it")
    await w.airtable.clear_faults()
    await w.until_settled(job_id, leaping=True)
    assert (await w.statuses(record))[-1] == "Failed"


async def test_a_job_without_a_record_completes_with_its_link_and_needs_no_airtable(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=(), services=UPLOADER)
    job_id, content = await deliver(w, tmp_path, None)
    job = await w.until_settled(job_id)
    assert (job.status, job.delivery) == (JobStatus.COMPLETED, None)
    await assert_downloadable(w, job_id, content)


async def test_a_job_with_a_record_but_no_airtable_fails_with_the_variables_to_set(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=(), services=UPLOADER)
    job_id, content = await deliver(w, tmp_path, "recAAAAAAAAAAAAAA")
    failure = reason(await w.until_settled(job_id))
    assert (failure.stage, failure.code) == (Stage.UPLOADING, "airtable_not_configured")
    assert "AIRTABLE_API_KEY" in failure.message
    await assert_downloadable(w, job_id, content)


async def test_an_upload_whose_answer_is_lost_is_not_attached_twice(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    for fault in ("upload=drop_after", "upload=malformed"):
        await w.airtable.fault(fault, times=1)
        record = await w.add_record(Name="film")
        job_id, content = await deliver(w, tmp_path, record)
        assert (await w.until_finished(job_id)).status is JobStatus.COMPLETED
        assert await cell(w, record) == standing(job_id, content)


async def test_a_drained_delivery_is_finished_by_another_once_its_upload_can_no_longer_arrive(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    record = await w.add_record(Name="film")
    await w.airtable.fault("upload=latency:400", times=1)
    job_id, content = await deliver(w, tmp_path, record)
    await _until_uploading(w)
    await w.bus.drain(0)
    job = await w.job(job_id)
    assert job.status is JobStatus.UPLOADING
    assert job.lease is not None, "whoever comes next would not find the film yet, and attach it again"
    await w.join("uploader")
    assert (await w.until_settled(job_id)).status is JobStatus.COMPLETED
    assert await cell(w, record) == standing(job_id, content)


async def test_a_delivery_that_is_drained_while_it_writes_a_status_keeps_its_lease(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    record = await w.add_record(Name="film")
    await w.airtable.fault("update=latency:400", times=1)
    job_id, content = await deliver(w, tmp_path, record)
    await _until_requested(w, "update")
    assert (await w.job(job_id)).lease is not None, "it is the delivery that writes"
    await w.bus.drain(0)
    assert (await w.job(job_id)).lease is not None, "what was sent could overtake what the next one writes"
    await w.join("uploader")
    assert (await w.until_settled(job_id)).status is JobStatus.COMPLETED
    assert await cell(w, record) == standing(job_id, content)
    assert (await w.statuses(record))[-1] == "Completed"


async def test_a_delivery_that_gives_an_unclear_upload_up_leaves_its_lease_to_lapse(
    open_world: OpenWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airtable goes away between the upload and the look for it; the film arrives after that."""
    w = await open_world(partners=AIRTABLE, services=UPLOADER)
    record = await w.add_record(Name="film")
    upload, get = AirtableRecords.upload, AirtableRecords.get
    sent: list[Callable[[], Awaitable[object]]] = []
    gone = asyncio.Event()

    async def unclear(records: AirtableRecords, *file: Any) -> tuple[Attachment, ...]:
        if sent:
            return await upload(records, *file)
        sent.append(partial(upload, records, *file))
        raise AirtableAmbiguous("no clear answer")

    async def down(records: AirtableRecords, record_id: str) -> Record:
        if sent and not gone.is_set():
            gone.set()
            raise AirtableDown("HTTP 503")
        return await get(records, record_id)

    monkeypatch.setattr(AirtableRecords, "upload", unclear)
    monkeypatch.setattr(AirtableRecords, "get", down)
    job_id, content = await deliver(w, tmp_path, record)
    await gone.wait()
    await w.bus.drain(10)
    assert (await w.job(job_id)).lease is not None, "whoever comes next would not find the film yet"
    [arrive] = sent
    await arrive()
    await w.join("uploader")
    w.clock.leap(w.parts.context.policy.lease_ms)
    assert (await w.until_settled(job_id)).status is JobStatus.COMPLETED
    assert await cell(w, record) == standing(job_id, content)


async def _until_uploading(w: World) -> None:
    await _until_requested(w, "upload")


async def _until_requested(w: World, route: str) -> None:
    def begun(requests: list[dict[str, Any]]) -> bool:
        return any(request["route"] == route for request in requests)

    await w.airtable.wait_for("requests", begun)
