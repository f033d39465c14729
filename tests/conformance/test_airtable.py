"""What every adapter of an Airtable table does alike: in memory, and pyairtable over HTTP against the twin."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from sandbox.config import AirtableConfig as TwinSettings
from shared.airtable.delivery_plan import is_on
from shared.airtable.errors import (
    AirtableRejected,
    RecordNotFound,
    SelectOptionRefused,
    TooLargeForUpload,
    UnknownField,
)
from shared.airtable.memory import MemoryRecords
from shared.airtable.protocol import Attachment, Records, attachments_of
from tests.support.airtable_twin import TwinTable, twin_table
from tests.support.scripted_partner import Reply, ScriptedPartner

NOWHERE = "recA1b2C3d4E5f6G7"


class Table(Protocol):
    """A table under test and the world around it."""

    @property
    def records(self) -> Records: ...

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where fetched attachments are kept."""

    async def add(self, fields: dict[str, Any]) -> str: ...

    def serve(self, content: bytes | None) -> str:
        """Return a link to this content (None: to nothing)."""


class MemoryTable:
    def __init__(self, *, may_create_options: bool = True) -> None:
        self._served: dict[str, bytes | None] = {}
        self.records = MemoryRecords(fetch=self._served.get, may_create_options=may_create_options)
        self.hosts = ("airtableusercontent.com",)

    async def add(self, fields: dict[str, Any]) -> str:
        return self.records.add(fields)

    def serve(self, content: bytes | None) -> str:
        url = f"https://video.example.com/{len(self._served)}"
        self._served[url] = content
        return url


class HttpTable:
    def __init__(self, twin: TwinTable, partner: ScriptedPartner) -> None:
        self._twin = twin
        self._partner = partner
        self.records = twin.records
        self.hosts = twin.config.attachment_hosts

    async def add(self, fields: dict[str, Any]) -> str:
        return await self._twin.add(fields)

    def serve(self, content: bytes | None) -> str:
        self._partner.says(Reply(404) if content is None else Reply(body=content))
        return f"{self._partner.url}/film.mp4"


@pytest.fixture(params=["memory", "http"])
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    if request.param == "memory":
        yield MemoryTable()
        return
    partner = ScriptedPartner()
    try:
        async with twin_table() as twin:
            yield HttpTable(twin, partner)
    finally:
        partner.close()


@pytest.fixture(params=["memory", "http"])
async def table_without_new_options(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    if request.param == "memory":
        yield MemoryTable(may_create_options=False)
        return
    partner = ScriptedPartner()
    try:
        async with twin_table(token=TwinSettings().editor_token) as twin:
            yield HttpTable(twin, partner)
    finally:
        partner.close()


async def cell_of(table: Table, record_id: str) -> tuple[Attachment, ...]:
    return attachments_of((await table.records.get(record_id)).fields.get("Video"))


async def settled(table: Table, record_id: str, count: int) -> tuple[Attachment, ...]:
    """Wait until the cell has `count` files, all of them fetched."""
    async with asyncio.timeout(10):
        while True:
            cell = await cell_of(table, record_id)
            if len(cell) == count and all(item.size_bytes is not None for item in cell):
                return cell
            await asyncio.sleep(0.02)


async def test_a_record_shows_its_filled_cells_and_when_it_was_made(table: Table) -> None:
    record_id = await table.add({"Prompt 1": "a cat"})
    record = await table.records.get(record_id)
    assert record.id == record_id
    assert record.fields == {"Prompt 1": "a cat"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.created)


async def test_an_update_changes_only_what_it_names_and_none_clears(table: Table) -> None:
    record_id = await table.add({"Prompt 1": "a cat", "Error": "old"})
    await table.records.update(record_id, {"Status": "Failed", "Error": "new"})
    updated = await table.records.update(record_id, {"Error": None})
    assert updated.fields == {"Prompt 1": "a cat", "Status": "Failed"}
    assert (await table.records.get(record_id)).fields == updated.fields


async def test_a_missing_record_is_told_whatever_is_done_with_it(table: Table) -> None:
    with pytest.raises(RecordNotFound):
        await table.records.get(NOWHERE)
    with pytest.raises(RecordNotFound):
        await table.records.update(NOWHERE, {"Status": "Failed"})
    with pytest.raises(RecordNotFound):
        await table.records.upload(NOWHERE, "Video", "f.mp4", b"film", "video/mp4")


async def test_an_unknown_field_is_named_and_nothing_is_written(table: Table) -> None:
    record_id = await table.add({"Prompt 1": "a cat"})
    with pytest.raises(UnknownField) as caught:
        await table.records.update(record_id, {"Status": "Failed", "Nonsense": "x"})
    assert caught.value.fields == ("Nonsense",)
    assert (await table.records.get(record_id)).fields == {"Prompt 1": "a cat"}


async def test_a_missing_select_option_is_created_where_the_token_may(table: Table) -> None:
    record_id = await table.add({})
    await table.records.update(record_id, {"Status": "Half done"})
    assert (await table.records.get(record_id)).fields["Status"] == "Half done"


async def test_a_missing_select_option_is_refused_where_it_may_not(table_without_new_options: Table) -> None:
    table = table_without_new_options
    record_id = await table.add({"Prompt 1": "a cat"})
    with pytest.raises(SelectOptionRefused) as caught:
        await table.records.update(record_id, {"Status": "Half done", "Error": "x"})
    assert caught.value.option == "Half done"
    assert (await table.records.get(record_id)).fields == {"Prompt 1": "a cat"}


async def test_uploads_append_and_show_the_whole_cell(table: Table) -> None:
    record_id = await table.add({})
    first = await table.records.upload(record_id, "Video", "a.mp4", b"aa", "video/mp4")
    both = await table.records.upload(record_id, "Video", "b.mp4", b"bbb", "video/mp4")
    assert [(item.filename, item.size_bytes) for item in both] == [("a.mp4", 2), ("b.mp4", 3)]
    assert both[0].id == first[0].id
    assert all(is_on(item.url, table.hosts) for item in both)
    assert [item.id for item in await cell_of(table, record_id)] == [item.id for item in both]


async def test_an_upload_above_the_limit_is_refused(table: Table) -> None:
    record_id = await table.add({})
    with pytest.raises(TooLargeForUpload):
        await table.records.upload(record_id, "Video", "a.mp4", b"x" * 5_300_000, "video/mp4")
    assert await cell_of(table, record_id) == ()


async def test_only_an_attachment_field_takes_uploads(table: Table) -> None:
    record_id = await table.add({})
    with pytest.raises(AirtableRejected):
        await table.records.upload(record_id, "Error", "a.mp4", b"x", "video/mp4")
    with pytest.raises(UnknownField):
        await table.records.upload(record_id, "Nonsense", "a.mp4", b"x", "video/mp4")


async def test_a_link_is_fetched_later_and_only_then_has_a_size(table: Table) -> None:
    record_id = await table.add({})
    url = table.serve(b"film" * 10)
    written = await table.records.update(record_id, {"Video": [{"url": url, "filename": "f.mp4"}]})
    (pending,) = attachments_of(written.fields["Video"])
    assert pending.filename == "f.mp4"
    assert pending.size_bytes is None
    (done,) = await settled(table, record_id, 1)
    assert (done.filename, done.size_bytes) == ("f.mp4", 40)
    assert is_on(done.url, table.hosts)


async def test_a_link_to_nothing_vanishes_silently(table: Table) -> None:
    record_id = await table.add({})
    await table.records.update(record_id, {"Video": [{"url": table.serve(None), "filename": "f.mp4"}]})
    assert await settled(table, record_id, 0) == ()


async def test_writing_the_cell_keeps_what_is_named_by_id_and_drops_the_rest(table: Table) -> None:
    record_id = await table.add({})
    await table.records.upload(record_id, "Video", "a.mp4", b"a", "video/mp4")
    first, second = await table.records.upload(record_id, "Video", "b.mp4", b"bb", "video/mp4")
    link = {"url": table.serve(b"ccc"), "filename": "c.mp4"}
    await table.records.update(record_id, {"Video": [{"id": second.id}, link]})
    kept, new = await settled(table, record_id, 2)
    assert (kept.id, kept.size_bytes) == (second.id, 2)
    assert (new.filename, new.size_bytes) == ("c.mp4", 3)
    assert first.id not in {kept.id, new.id}


@pytest.mark.parametrize("item", [{"id": "attA1b2C3d4E5f6G7"}, {"url": "data:video/mp4;base64,AA=="}])
async def test_what_is_no_attachment_is_refused_and_nothing_is_lost(table: Table, item: dict[str, str]) -> None:
    record_id = await table.add({})
    await table.records.upload(record_id, "Video", "a.mp4", b"a", "video/mp4")
    with pytest.raises(AirtableRejected):
        await table.records.update(record_id, {"Video": [item]})
    assert len(await cell_of(table, record_id)) == 1


async def test_the_table_describes_itself(table: Table) -> None:
    schema = await table.records.schema()
    assert schema is not None
    assert schema.name == "Video Generation"
    video, status = schema.field("Video"), schema.field("Status")
    assert video is not None
    assert status is not None
    assert video.type == "multipleAttachments"
    assert status.type == "singleSelect"
    assert "Completed" in status.options
    assert schema.field("Nonsense") is None


async def test_a_good_token_can_be_told(table: Table) -> None:
    assert (await table.records.whoami()).id.startswith("usr")
    await table.records.probe()
