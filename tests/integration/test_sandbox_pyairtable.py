"""The Airtable twin as the official client library sees it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
from pyairtable import Api, Table
from pyairtable.formulas import match
from pyairtable.utils import Url

from sandbox import AirtableConfig, Twins, TwinsConfig, running_twins


@pytest.fixture
async def twins() -> AsyncIterator[Twins]:
    config = TwinsConfig(airtable=AirtableConfig(rate_limit=0, ingest_delay_ms=0))
    async with running_twins(config, ["airtable"]) as running:
        yield running


def table_of(twins: Twins) -> Table:
    api = Api(twins.api_keys.airtable, endpoint_url=twins.airtable_url, retry_strategy=None, timeout=(5, 5))
    table = api.table(twins.base_id, twins.table)

    def upload_url(record_id: str, field: str) -> Url:
        # the library would send it to content.airtable.com whatever the end point is
        path = f"v0/{twins.base_id}/{record_id}/{quote(field, safe='')}/uploadAttachment"
        return Url(f"{twins.airtable_content_url}/{path}")

    table.urls.upload_attachment = upload_url  # type: ignore[method-assign]
    return table


def use(twins: Twins) -> dict[str, Any]:
    """Do with the library what it offers, and return what it gave."""
    table = table_of(twins)
    given: dict[str, Any] = {"whoami": table.api.whoami()["id"]}
    given["schema"] = [field.name for field in table.schema().fields]
    made = table.create({"Name": "new", "Status": "Queued"})
    given["updated"] = table.update(made["id"], {"Status": "Brand new"}, typecast=True)["fields"]["Status"]
    given["found"] = [record["id"] for record in table.all(formula=match({"Name": "new"}))] == [made["id"]]
    given["sorted"] = [r["fields"]["Name"] for r in table.all(sort=["-Name"], fields=["Name"], page_size=2)]
    uploaded = table.upload_attachment(made["id"], "Video", "film.mp4", content=b"x" * 5000, content_type="video/mp4")
    (cell,) = uploaded["fields"].values()
    given["size"] = cell[-1]["size"]
    batch = table.batch_create([{"Name": str(n)} for n in range(12)])
    given["batch"] = len(table.batch_update([{"id": r["id"], "fields": {"Error": "e"}} for r in batch]))
    upserted = table.batch_upsert([{"fields": {"Name": "0"}}, {"fields": {"Name": "other"}}], key_fields=["Name"])
    given["upserted"] = [len(upserted["updatedRecords"]), len(upserted["createdRecords"])]
    given["deleted"] = len(table.batch_delete([r["id"] for r in batch]))
    given["one deleted"] = table.delete(made["id"])["deleted"]
    hook = table.base.add_webhook("", {"options": {"filters": {"dataTypes": ["tableData"]}}})
    given["webhooks"] = [found.id for found in table.base.webhooks()] == [hook.id]
    table.update("recSANDBOX0000001", {"Status": "Queued"})
    given["payloads"] = len(list(table.base.webhook(hook.id).payloads()))
    return given


async def test_pyairtable_finds_everything_that_it_expects(twins: Twins) -> None:
    assert await asyncio.to_thread(use, twins) == {
        "whoami": "usrSANDBOX0000000",
        "schema": ["Name", "Prompt 1", "Prompt 2", "Prompt 3", "Aspect Ratio", "Video", "Status", "Error"],
        "updated": "Brand new",
        "found": True,
        "sorted": ["new", "Street coffee", "Paper city", "Dawn at sea"],
        "size": 5000,
        "batch": 12,
        "upserted": [1, 1],
        "deleted": 12,
        "one deleted": True,
        "webhooks": True,
        "payloads": 1,
    }


@pytest.mark.parametrize("fault", ["get=429", "get=503", "get=missing", "get=502"])
async def test_pyairtable_raises_http_errors_with_their_body(twins: Twins, fault: str) -> None:
    await twins.airtable_control.fault(fault)
    with pytest.raises(requests.HTTPError) as refused:
        await asyncio.to_thread(table_of(twins).get, "recSANDBOX0000001")
    assert refused.value.response.content


async def test_pyairtable_sees_a_dropped_connection_as_one(twins: Twins) -> None:
    await twins.airtable_control.fault("create=drop_after")
    with pytest.raises(requests.ConnectionError):
        await asyncio.to_thread(table_of(twins).create, {"Name": "twice?"})
    state = await twins.airtable_control.get("state")
    assert [r["fields"]["Name"] for r in state["records"].values()].count("twice?") == 1
