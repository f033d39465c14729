"""Deliveries over real HTTP to the twin, with what goes wrong between us and Airtable."""

from collections.abc import AsyncIterator, Iterator

import pytest

from shared.airtable.check import check_airtable
from shared.airtable.delivery import Delivered, Deliverer, DeliveryOptions, Order
from shared.airtable.delivery_plan import FilmFile
from shared.airtable.errors import AirtableForbidden, RecordNotFound, UploadFailed
from shared.airtable.limiter import local_limiter
from shared.airtable.status import StatusWriter
from tests.support.airtable_twin import TwinTable, twin_table
from tests.support.scripted_partner import Reply, ScriptedPartner

NAME = "job_1.mp4"
SMALL = b"film" * 1000
LARGE = b"x" * 5_000_001


@pytest.fixture
def media() -> Iterator[ScriptedPartner]:
    """Plays our own `/media`."""
    partner = ScriptedPartner()
    yield partner
    partner.close()


@pytest.fixture
async def twin() -> AsyncIterator[TwinTable]:
    async with twin_table() as table:
        yield table


async def deliver(twin: TwinTable, media: ScriptedPartner, record_id: str, content: bytes) -> Delivered:
    if not media.script:
        media.says(Reply(body=content, headers={"Content-Type": "video/mp4"}))

    async def read_bytes() -> bytes:
        return content

    async def heartbeat() -> None:
        pass

    options = DeliveryOptions(
        hosts=twin.config.attachment_hosts, ingest_timeout_s=20, poll_s=(0.03,), search_s=(0.05, 0.1)
    )
    return await Deliverer(twin.records, options).deliver(
        Order(
            record_id=record_id,
            film=FilmFile(NAME, len(content)),
            media_url=lambda number: f"{media.url}/media/try{number}/film.mp4",
            read_bytes=read_bytes,
            heartbeat=heartbeat,
        )
    )


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["directly", "by link"])
async def test_a_film_is_delivered_once_however_often_it_is_asked_for(
    twin: TwinTable, media: ScriptedPartner, content: bytes
) -> None:
    record_id = await twin.add({"Prompt 1": "a cat"})
    await twin.records.upload(record_id, "Video", "holiday.mp4", b"other", "video/mp4")
    first = await deliver(twin, media, record_id, content)
    again = await deliver(twin, media, record_id, content)
    assert again.attachment_id == first.attachment_id
    assert again.calls == 1
    assert await twin.files(record_id) == [("holiday.mp4", 5), (NAME, len(content))]
    assert await twin.attached(record_id) == 2


@pytest.mark.parametrize(
    "fault",
    ["upload=drop_after", "upload=drop_before", "upload=413", "upload=422", "upload=500", "upload=retriable:0"],
)
async def test_a_direct_upload_that_goes_wrong_still_leaves_one_film(
    twin: TwinTable, media: ScriptedPartner, fault: str
) -> None:
    record_id = await twin.add({"Prompt 1": "a cat"})
    await twin.control.fault(fault, times=1)
    await deliver(twin, media, record_id, SMALL)
    assert await twin.files(record_id) == [(NAME, len(SMALL))]
    assert await twin.attached(record_id) == 1


@pytest.mark.parametrize(
    "fault", ["update=drop_after", "update=drop_before", "update=500", "get=500", "get=drop_before"]
)
async def test_a_link_that_goes_wrong_on_the_way_still_leaves_one_film(
    twin: TwinTable, media: ScriptedPartner, fault: str
) -> None:
    record_id = await twin.add({"Prompt 1": "a cat"})
    await twin.control.fault(fault, times=1)
    await deliver(twin, media, record_id, LARGE)
    assert await twin.files(record_id) == [(NAME, len(LARGE))]


async def test_a_fetch_that_fails_gets_a_fresh_link(twin: TwinTable, media: ScriptedPartner) -> None:
    record_id = await twin.add({"Prompt 1": "a cat"})
    await twin.control.fault("ingest=cleared", times=2)
    await deliver(twin, media, record_id, LARGE)
    assert await twin.files(record_id) == [(NAME, len(LARGE))]
    assert media.lines() == ["GET /media/try3/film.mp4"]


async def test_a_truncated_fetch_is_not_taken_for_the_film(twin: TwinTable, media: ScriptedPartner) -> None:
    record_id = await twin.add({"Prompt 1": "a cat"})
    await twin.control.fault("ingest=truncated:50", times=1)
    await deliver(twin, media, record_id, LARGE)
    assert await twin.files(record_id) == [(NAME, len(LARGE))]


async def test_a_page_in_front_of_our_links_is_named_as_the_cause(twin: TwinTable, media: ScriptedPartner) -> None:
    record_id = await twin.add({"Prompt 1": "a cat"})
    media.says(Reply(body="<html>please log in</html>"))
    with pytest.raises(UploadFailed, match=r"26 bytes from http://127\.0\.0\.1:\d+ instead of 5000001"):
        await deliver(twin, media, record_id, LARGE)


async def test_an_attachment_without_id_until_it_is_fetched_is_delivered_too(media: ScriptedPartner) -> None:
    async with twin_table(id_at_once=False, ingest_delay_ms=200) as twin:
        record_id = await twin.add({"Prompt 1": "a cat"})
        delivered = await deliver(twin, media, record_id, LARGE)
        assert delivered.attachment_id is not None
        assert await twin.files(record_id) == [(NAME, len(LARGE))]


@pytest.mark.parametrize("fault", ["get=missing", "get=missing_403", "get=missing_404", "get=missing_422"])
async def test_every_form_of_a_missing_record_is_recognised(
    twin: TwinTable, media: ScriptedPartner, fault: str
) -> None:
    record_id = await twin.add({"Prompt 1": "a cat"})
    await twin.control.fault(fault)
    with pytest.raises(RecordNotFound):
        await deliver(twin, media, record_id, SMALL)


async def test_a_token_that_may_only_read_is_told_what_it_lacks(media: ScriptedPartner) -> None:
    async with twin_table(token="patSANDBOX0000002.reader") as twin:
        record_id = await twin.add({"Prompt 1": "a cat"})
        with pytest.raises(AirtableForbidden, match=r"data\.records:write"):
            await deliver(twin, media, record_id, SMALL)


async def test_a_burst_of_calls_stays_below_airtables_limit() -> None:
    async with twin_table(limiter=local_limiter("appSANDBOX0000000"), rate_limit=5, penalty_ms=30_000) as twin:
        record_id = await twin.add({"Prompt 1": "a cat"})
        for _ in range(11):
            await twin.records.get(record_id)
        requests = await twin.control.get("requests")
        assert {request["status"] for request in requests} == {200}


async def test_statuses_reach_the_record_although_fields_are_missing(twin: TwinTable) -> None:
    await twin.control.post("fields", {"remove": ["Error"]})
    record_id = await twin.add({"Prompt 1": "a cat"})
    writer = StatusWriter(twin.records)
    written = await writer.write(record_id, "Failed", error="no credits")
    assert written.dropped == ("Error",)
    await writer.write(record_id, "Completed")
    assert (await twin.records.get(record_id)).fields["Status"] == "Completed"


async def test_the_doctor_finds_nothing_wrong_with_the_twin(twin: TwinTable) -> None:
    findings = await check_airtable(twin.records)
    assert [finding for finding in findings if not finding.ok] == []


async def test_the_doctor_names_a_wrong_table_and_a_refused_token() -> None:
    async with twin_table(token="patNOBODY") as twin:
        (finding,) = await check_airtable(twin.records)
        assert "AIRTABLE_API_KEY" in finding.advice
    async with twin_table(token="patSANDBOX0000003.other") as twin:
        findings = await check_airtable(twin.records)
        assert [finding.ok for finding in findings] == [True, False]
        assert "AIRTABLE_BASE_ID" in findings[1].advice
