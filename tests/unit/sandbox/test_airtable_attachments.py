import base64
import hashlib
from typing import Any

import httpx
import pytest

from tests.unit.sandbox.clients import AirtableClient, KieClient

CONTENT = bytes(range(256)) * 40


def upload_body(content: bytes = CONTENT, filename: str = "film.mp4") -> dict[str, str]:
    # encodebytes puts a newline after each 76 characters, as pyairtable does
    return {"contentType": "video/mp4", "filename": filename, "file": base64.encodebytes(content).decode()}


async def test_an_upload_is_appended_and_answered_by_field_id(
    airtable: AirtableClient, anonymous: httpx.AsyncClient
) -> None:
    await airtable.upload(upload_body(filename="one.mp4"))
    answer = await airtable.upload(upload_body(filename="two.mp4"))
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["id", "createdTime", "fields"]
    (field_id,) = body["fields"]
    assert field_id.startswith("fld"), "by id even though the path had the name"
    cell = body["fields"][field_id]
    assert [attachment["filename"] for attachment in cell] == ["one.mp4", "two.mp4"]
    assert list(cell[-1]) == ["id", "url", "filename", "size", "type"]
    assert (cell[-1]["size"], cell[-1]["type"]) == (len(CONTENT), "video/mp4")
    assert (await anonymous.get(cell[-1]["url"])).content == CONTENT


async def test_an_upload_to_the_api_host_is_not_found(airtable: AirtableClient) -> None:
    url = f"/v0/{airtable.twins.base_id}/{airtable.record}/Video/uploadAttachment"
    answer = await airtable.http.post(url, json=upload_body())
    assert (answer.status_code, answer.json()) == (404, {"error": "NOT_FOUND"})


async def test_records_are_not_served_by_the_content_host(airtable: AirtableClient) -> None:
    url = f"{airtable.twins.airtable_content_url}{airtable.path}/{airtable.record}"
    assert (await airtable.http.get(url)).status_code == 404


async def test_an_upload_above_the_limit_is_413(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.settings(upload_limit_bytes=len(CONTENT) - 1)
    answer = await airtable.upload(upload_body())
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "REQUEST_TOO_LARGE")
    assert "Video" not in (await airtable.get())["fields"]


@pytest.mark.parametrize(
    ("field", "record", "body", "status", "kind"),
    [
        ("Status", "", upload_body(), 422, "INVALID_ATTACHMENT_OBJECT"),
        ("Nope", "", upload_body(), 422, "UNKNOWN_FIELD_NAME"),
        ("Video", "recNONE0000000000", upload_body(), 404, "MODEL_ID_NOT_FOUND"),
        ("Video", "", {"filename": "x"}, 422, "INVALID_REQUEST_UNKNOWN"),
        ("Video", "", {**upload_body(), "file": "a"}, 422, "INVALID_REQUEST_UNKNOWN"),
    ],
)
async def test_bad_uploads_are_refused(
    airtable: AirtableClient, field: str, record: str, body: dict[str, str], status: int, kind: str
) -> None:
    answer = await airtable.upload(body, field=field, record=record)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)


async def test_a_field_name_with_a_slash_can_be_uploaded_to(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.post("fields", {"rename": {"Video": "Film A/B?"}})
    assert (await airtable.upload(upload_body(), field="Film%20A%2FB%3F")).status_code == 200


async def ingested(airtable: AirtableClient, **expected: Any) -> Any:
    """Wait until the last attachment of the history has left the state pending; return it."""

    def settled(record: Any) -> bool:
        attachments = record["attachments"]
        return bool(attachments) and all(a["state"] != "pending" for a in attachments)

    history = await airtable.twins.airtable_control.wait_for(f"records/{airtable.record}", settled)
    last = history["attachments"][-1]
    assert {name: last[name] for name in expected} == expected
    return last


async def test_a_url_is_fetched_later_and_then_has_size_type_and_an_own_url(
    airtable: AirtableClient, kie: KieClient, anonymous: httpx.AsyncClient
) -> None:
    source = await kie.result_url("A cat")
    content = (await anonymous.get(source)).content
    await airtable.twins.airtable_control.settings(ingest_delay_ms=100)
    answer = (await airtable.write({"Video": [{"url": source, "filename": "film.mp4"}]})).json()
    (pending,) = answer["fields"]["Video"]
    assert (set(pending), pending["url"]) == ({"id", "url", "filename"}, source), "neither size nor type yet"
    await ingested(airtable, state="ok", sha256=hashlib.sha256(content).hexdigest())
    (attachment,) = (await airtable.get())["fields"]["Video"]
    assert attachment["id"] == pending["id"]
    assert (attachment["size"], attachment["type"]) == (len(content), "video/mp4")
    assert attachment["url"].startswith(airtable.twins.airtable_content_url)
    assert (await anonymous.get(attachment["url"])).content == content


async def test_the_first_answer_can_lack_the_id(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.settings(id_at_once=False, ingest_delay_ms=60_000)
    answer = (await airtable.write({"Video": [{"url": "http://127.0.0.1:9/film.mp4"}]})).json()
    assert answer["fields"]["Video"] == [{"url": "http://127.0.0.1:9/film.mp4", "filename": "film.mp4"}]


async def test_a_written_list_replaces_the_cell_and_ids_keep_what_is_there(airtable: AirtableClient) -> None:
    for name in ("one.mp4", "two.mp4"):
        await airtable.upload(upload_body(filename=name))
    one, two = (await airtable.get())["fields"]["Video"]
    kept = await airtable.write({"Video": [{"id": two["id"]}]})
    assert [attachment["filename"] for attachment in kept.json()["fields"]["Video"]] == ["two.mp4"]
    assert (await airtable.write({"Video": [{"id": one["id"]}]})).status_code == 422, "it has left the cell"
    await airtable.write({"Video": []})
    assert "Video" not in (await airtable.get())["fields"]
    history = await airtable.history()
    assert [attachment["filename"] for attachment in history["attachments"]] == ["one.mp4", "two.mp4"]
    assert all(attachment["removed_ms"] for attachment in history["attachments"])


@pytest.mark.parametrize(
    "value",
    [
        [{"url": "data:video/mp4;base64,AAAA"}],
        [{"url": "ftp://example.com/x.mp4"}],
        [{"url": "https://example.com/x.mp4", "size": 5}],
        [{"filename": "x.mp4"}],
        ["https://example.com/x.mp4"],
        {"url": "https://example.com/x.mp4"},
        [{"id": "attNONE0000000000"}],
    ],
)
async def test_bad_attachment_objects_are_refused(airtable: AirtableClient, value: Any) -> None:
    answer = await airtable.write({"Video": value})
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "INVALID_ATTACHMENT_OBJECT")
    assert answer.json()["error"]["message"].startswith("Invalid attachment object for field Video: ")


async def test_an_id_is_refused_when_a_record_is_created(airtable: AirtableClient) -> None:
    await airtable.upload(upload_body())
    (attachment,) = (await airtable.get())["fields"]["Video"]
    answer = await airtable.http.post(airtable.path, json={"fields": {"Video": [{"id": attachment["id"]}]}})
    assert answer.json()["error"]["type"] == "INVALID_ATTACHMENT_OBJECT"


@pytest.mark.parametrize("marker", ["file=404", "file=redirects:4", "file=broken", "file=drop"])
async def test_a_url_that_cannot_be_fetched_vanishes_in_silence(
    airtable: AirtableClient, kie: KieClient, marker: str
) -> None:
    source = await kie.result_url(f"A cat [twin:{marker}]")
    assert (await airtable.write({"Video": [{"url": source}]})).status_code == 200
    assert (await ingested(airtable, state="cleared"))["error"]
    assert "Video" not in (await airtable.get())["fields"]


async def test_three_redirects_are_followed(airtable: AirtableClient, kie: KieClient) -> None:
    await airtable.write({"Video": [{"url": await kie.result_url("A cat [twin:file=redirects:3]")}]})
    await ingested(airtable, state="ok")


async def test_a_sign_in_page_becomes_the_attachment(airtable: AirtableClient, kie: KieClient) -> None:
    await airtable.write({"Video": [{"url": await kie.result_url("A cat [twin:file=html]"), "filename": "film.mp4"}]})
    await ingested(airtable, state="ok", type="text/html", filename="film.mp4")


async def test_a_file_above_the_ingest_limit_vanishes(airtable: AirtableClient, kie: KieClient) -> None:
    await airtable.twins.airtable_control.settings(ingest_limit_bytes=1_000_000)
    await airtable.write({"Video": [{"url": await kie.result_url("A cat [twin:file=endless]")}]})
    await ingested(airtable, state="cleared")


async def test_a_failed_fetch_can_leave_a_url_that_answers_an_error(
    airtable: AirtableClient, anonymous: httpx.AsyncClient
) -> None:
    await airtable.twins.airtable_control.fault("ingest=broken_url")
    await airtable.write({"Video": [{"url": "http://127.0.0.1:9/film.mp4"}]})
    await ingested(airtable, state="broken-url")
    (attachment,) = (await airtable.get())["fields"]["Video"]
    assert "size" not in attachment
    assert (await anonymous.get(attachment["url"])).status_code == 404


async def test_the_same_url_failing_again_and_again_is_cleared_at_once(airtable: AirtableClient) -> None:
    url = "http://127.0.0.1:9/film.mp4"
    for _ in range(2):
        await airtable.write({"Video": [{"url": url}]})
        await ingested(airtable, state="cleared")
    answer = (await airtable.write({"Video": [{"url": url}]})).json()
    assert answer["details"] == {"message": "partialSuccess", "reasons": ["attachmentsFailedUploading"]}
    assert "Video" not in answer["fields"]


@pytest.mark.parametrize("word", ["cleared", "truncated", "never"])
async def test_an_ingest_can_fail_on_request(airtable: AirtableClient, kie: KieClient, word: str) -> None:
    source = await kie.result_url("A cat")
    await airtable.twins.airtable_control.fault(f"ingest={word}", times=1)
    await airtable.write({"Video": [{"url": source}]})
    await airtable.write({"Error": "a later write"})
    if word == "never":
        await airtable.twins.airtable_control.wait_for("faults", lambda shown: shown["faults"][0]["applied"] == 1)
        (attachment,) = (await airtable.get())["fields"]["Video"]
        assert "size" not in attachment
    else:
        await ingested(airtable, state="cleared" if word == "cleared" else "ok")


async def test_an_attachment_that_was_replaced_before_its_fetch_ended_does_not_come_back(
    airtable: AirtableClient, kie: KieClient
) -> None:
    await airtable.twins.airtable_control.fault("ingest=slow:200", times=1)
    await airtable.write({"Video": [{"url": await kie.result_url("A cat")}]})
    await airtable.write({"Video": []})
    await ingested(airtable, state="ok")
    assert "Video" not in (await airtable.get())["fields"]


async def test_attachment_urls_expire_and_cannot_be_forged(
    airtable: AirtableClient, anonymous: httpx.AsyncClient
) -> None:
    await airtable.upload(upload_body())
    (fresh,) = (await airtable.get())["fields"]["Video"]
    assert (await anonymous.get(fresh["url"], headers={"Range": "bytes=0-3"})).status_code == 206
    assert (await anonymous.get(fresh["url"].replace("/attachments/att", "/attachments/atT"))).status_code == 410
    await airtable.twins.airtable_control.settings(attachment_lifetime_ms=0)
    (stale,) = (await airtable.get())["fields"]["Video"]
    assert (await anonymous.get(stale["url"])).status_code == 410
