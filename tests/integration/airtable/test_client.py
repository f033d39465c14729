"""The real adapter against a partner over HTTP that misbehaves as Airtable does, or worse."""

import asyncio
import base64
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.airtable.client import AirtableRecords
from shared.airtable.errors import (
    AirtableAmbiguous,
    AirtableAuth,
    AirtableDown,
    AirtableError,
    AirtableForbidden,
    AirtableRejected,
    QuotaExhausted,
    RateLimited,
    RecordNotFound,
    TableNotFound,
    TooLargeForUpload,
    UnknownField,
)
from shared.airtable.limiter import local_limiter
from shared.airtable.protocol import Attachment, FieldSchema, Identity, Operation, Record, TableSchema
from shared.airtable.retry import RetryPolicy
from tests.integration.airtable.setting import BASE, RECORD_ID, TOKEN, Setting
from tests.support.scripted_partner import Reply
from tests.support.waiting import eventually

MODEL = {"error": {"type": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "message": "Invalid permissions, or ..."}}
LIMIT = {"error": {"type": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded. Please try again later"}}
BILLING = {"error": {"type": "PUBLIC_API_BILLING_LIMIT_EXCEEDED", "message": "API billing plan limit exceeded."}}
MISSING = {"error": {"type": "MODEL_ID_NOT_FOUND", "message": "Record not found"}}
CREATED = "2026-01-01T00:00:00.000Z"
FIELDS = {"Prompt 1": "a cat"}
RECORD = {"id": RECORD_ID, "createdTime": CREATED, "fields": FIELDS}
FILE = {"id": "att1", "url": "https://x", "filename": "f.mp4", "size": 4, "type": "video/mp4"}
CELL = {"id": RECORD_ID, "createdTime": CREATED, "fields": {"fldA1b2C3d4E5f6G7": [FILE]}}


async def upload(setting: Setting, field: str = "Video") -> tuple[Attachment, ...]:
    return await setting.records.upload(RECORD_ID, field, "f.mp4", b"film", "video/mp4")


async def requests_seen(setting: Setting, count: int) -> None:
    async def seen() -> bool:
        return len(setting.api.requests) == count

    await eventually(seen, f"{count} requests at the partner")


class TestTheWire:
    async def test_a_record_is_read_from_the_table_by_its_name(self, setting: Setting) -> None:
        setting.api.says(Reply(body=RECORD))
        assert await setting.records.get(RECORD_ID) == Record(RECORD_ID, FIELDS, CREATED)
        assert setting.api.lines() == [f"GET /v0/{BASE}/Video%20Jobs/{RECORD_ID}"]
        assert setting.api.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
        assert setting.outcomes == [(Operation.GET, "ok")]
        assert setting.limiter.acquired == 1

    async def test_an_update_is_one_patch_with_typecast(self, setting: Setting) -> None:
        setting.api.says(Reply(body=RECORD))
        await setting.records.update(RECORD_ID, {"Status": "Stitching", "Error": None})
        (request,) = setting.api.requests
        assert request.method == "PATCH"
        assert request.body["fields"] == {"Status": "Stitching", "Error": None}
        assert request.body["typecast"] is True

    async def test_an_upload_goes_to_the_content_host_and_answers_the_whole_cell(self, setting: Setting) -> None:
        setting.content.says(Reply(body=CELL))
        assert await upload(setting) == (Attachment("att1", "f.mp4", 4, "https://x"),)
        (request,) = setting.content.requests
        assert request.path == f"/v0/{BASE}/{RECORD_ID}/Video/uploadAttachment"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert request.body == {
            "contentType": "video/mp4",
            "filename": "f.mp4",
            "file": base64.b64encode(b"film").decode(),
        }
        assert setting.api.requests == []

    async def test_a_field_name_with_any_character_stays_one_part_of_the_path(self, setting: Setting) -> None:
        setting.content.says(Reply(body=CELL))
        await upload(setting, "A/B? C#1 {me} ü")
        (request,) = setting.content.requests
        assert request.path == f"/v0/{BASE}/{RECORD_ID}/A%2FB%3F%20C%231%20%7Bme%7D%20%C3%BC/uploadAttachment"

    async def test_the_schema_is_read_whatever_types_its_fields_have(self, setting: Setting) -> None:
        fields = [
            {"id": "fld1", "name": "Status", "type": "singleSelect", "options": {"choices": [{"name": "Failed"}]}},
            {"id": "fld2", "name": "New", "type": "inventedTomorrow", "options": None},
        ]
        other = {"id": "tbl0", "name": "Other", "fields": []}
        setting.api.says(Reply(body={"tables": [other, {"id": "tbl1", "name": "Video Jobs", "fields": fields}]}))
        assert await setting.records.schema() == TableSchema(
            "tbl1",
            "Video Jobs",
            (
                FieldSchema("fld1", "Status", "singleSelect", ("Failed",)),
                FieldSchema("fld2", "New", "inventedTomorrow"),
            ),
        )

    async def test_a_table_that_the_base_lacks_is_told_with_those_it_has(self, setting: Setting) -> None:
        setting.api.says(Reply(body={"tables": [{"id": "tbl0", "name": "Other", "fields": []}]}))
        with pytest.raises(TableNotFound, match=r"`Video Jobs`.*`Other`"):
            await setting.records.schema()

    async def test_a_token_without_the_schema_scope_knows_no_schema(self, setting: Setting) -> None:
        setting.api.says(Reply(403, MODEL))
        assert await setting.records.schema() is None

    async def test_whose_token_it_is_can_be_asked(self, setting: Setting) -> None:
        setting.api.says(Reply(body={"id": "usr1", "scopes": ["data.records:read"]}))
        assert await setting.records.whoami() == Identity("usr1", None, ("data.records:read",))


class TestSendingAgain:
    async def test_a_rate_limit_pauses_the_base_and_the_call_goes_through_later(self, setting: Setting) -> None:
        setting.api.says(Reply(429, LIMIT), Reply(body=RECORD))
        await setting.records.get(RECORD_ID)
        (pause_ms,) = setting.limiter.pauses_ms
        assert 30_000 <= pause_ms <= 33_000
        assert setting.limiter.acquired == 2
        assert setting.outcomes == [(Operation.GET, "airtable_rate_limited"), (Operation.GET, "ok")]

    async def test_a_rate_limited_upload_did_not_happen_and_is_sent_again(self, setting: Setting) -> None:
        setting.content.says(Reply(429, LIMIT), Reply(body=CELL))
        await upload(setting)
        assert len(setting.content.requests) == 2

    async def test_a_rate_limit_that_does_not_end_is_told(self, setting: Setting) -> None:
        setting.api.says(Reply(429, LIMIT, {"Retry-After": "0"}))
        with pytest.raises(RateLimited):
            await setting.records.get(RECORD_ID)
        assert len(setting.api.requests) == 6

    async def test_a_used_up_month_is_told_at_once_and_pauses_nobody(self, setting: Setting) -> None:
        setting.api.says(Reply(429, BILLING))
        with pytest.raises(QuotaExhausted):
            await setting.records.update(RECORD_ID, {"Status": "x"})
        assert len(setting.api.requests) == 1
        assert setting.limiter.pauses_ms == []

    @pytest.mark.parametrize(
        "hiccup", [Reply(503, "<html>"), Reply(502, ""), Reply(drop=True)], ids=["503", "502", "drop"]
    )
    async def test_a_hiccup_is_waited_out(self, setting: Setting, hiccup: Reply) -> None:
        setting.api.says(hiccup, hiccup, Reply(body=RECORD))
        await setting.records.update(RECORD_ID, {"Status": "x"})
        assert len(setting.api.requests) == 3

    async def test_an_internal_error_is_asked_again_twice(self, setting: Setting) -> None:
        setting.api.says(Reply(500, "<html>oops</html>"))
        with pytest.raises(AirtableDown, match="HTTP 500"):
            await setting.records.get(RECORD_ID)
        assert len(setting.api.requests) == 3

    async def test_a_silent_server_counts_as_down(self, setting: Setting) -> None:
        released = threading.Event()
        setting.api.says(Reply(held_by=released, body=RECORD), Reply(body=RECORD))
        await setting.records.get(RECORD_ID)
        released.set()
        assert setting.outcomes[0] == (Operation.GET, "airtable_down")

    @pytest.mark.parametrize("hiccup", [Reply(503), Reply(500), Reply(drop=True), Reply(body="<html>"), Reply(body={})])
    async def test_an_upload_without_a_clear_answer_is_sent_only_once(self, setting: Setting, hiccup: Reply) -> None:
        setting.content.says(hiccup)
        with pytest.raises(AirtableAmbiguous):
            await upload(setting)
        assert len(setting.content.requests) == 1

    async def test_a_silent_upload_is_unclear(self, setting: Setting) -> None:
        released = threading.Event()
        setting.content.says(Reply(held_by=released))
        with pytest.raises(AirtableAmbiguous):
            await upload(setting)
        released.set()
        assert len(setting.content.requests) == 1

    async def test_an_upload_that_never_left_is_tried_again_and_is_not_unclear(self, setting: Setting) -> None:
        setting.content.close()
        with pytest.raises(AirtableDown) as caught:
            await upload(setting)
        assert not caught.value.sent
        assert setting.outcomes == [(Operation.UPLOAD, "airtable_down")] * 5

    async def test_an_update_that_depends_on_what_was_read_is_sent_once(self, setting: Setting) -> None:
        setting.api.says(Reply(503))
        with pytest.raises(AirtableDown):
            await setting.records.update(RECORD_ID, {"Video": []}, resend=False)
        setting.api.says(Reply(429, LIMIT))
        with pytest.raises(RateLimited):
            await setting.records.update(RECORD_ID, {"Video": []}, resend=False)
        assert len(setting.api.requests) == 2
        assert len(setting.limiter.pauses_ms) == 1

    async def test_who_has_no_patience_is_told_how_long_the_base_is_paused(self, setting: Setting) -> None:
        limiter = local_limiter(BASE)
        hasty = AirtableRecords(setting.config, limiter, policy=RetryPolicy(patience_s=0.05))
        await limiter.pause(60_000)
        with pytest.raises(RateLimited) as caught:
            await hasty.get(RECORD_ID)
        assert caught.value.wait_s == 30
        assert setting.api.requests == []
        await hasty.close()


class TestMissingRecords:
    @pytest.mark.parametrize(
        "answer", [Reply(404, MISSING), Reply(422, {"error": {"type": "ROW_DOES_NOT_EXIST", "message": "x"}})]
    )
    async def test_a_clear_answer_needs_no_second_look(self, setting: Setting, answer: Reply) -> None:
        setting.api.says(answer)
        with pytest.raises(RecordNotFound):
            await setting.records.get(RECORD_ID)
        assert len(setting.api.requests) == 1

    @pytest.mark.parametrize("answer", [Reply(403, MODEL), Reply(404, {"error": "NOT_FOUND"})])
    async def test_an_unclear_answer_means_a_missing_record_if_the_table_can_be_read(
        self, setting: Setting, answer: Reply
    ) -> None:
        setting.api.says(answer, Reply(body={"records": []}))
        with pytest.raises(RecordNotFound) as caught:
            await setting.records.get(RECORD_ID)
        assert caught.value.certain
        assert setting.api.lines()[1] == f"GET /v0/{BASE}/Video%20Jobs?maxRecords=1&pageSize=1"

    async def test_it_means_a_wrong_address_if_the_table_cannot_be_read_either(self, setting: Setting) -> None:
        setting.api.says(Reply(403, MODEL))
        with pytest.raises(AirtableForbidden, match="AIRTABLE_TABLE_NAME"):
            await setting.records.get(RECORD_ID)
        assert len(setting.api.requests) == 2

    async def test_a_write_refused_for_a_record_that_can_be_read_is_about_rights(self, setting: Setting) -> None:
        setting.api.says(Reply(403, MODEL), Reply(body=RECORD))
        with pytest.raises(AirtableForbidden, match=r"data\.records:write"):
            await setting.records.update(RECORD_ID, {"Status": "x"})

    async def test_a_write_to_a_deleted_record_is_a_missing_record(self, setting: Setting) -> None:
        setting.content.says(Reply(404, {"error": "NOT_FOUND"}))
        setting.api.says(Reply(404, MISSING))
        with pytest.raises(RecordNotFound):
            await upload(setting)

    @pytest.mark.parametrize("record_id", ["rec1", "../whoami", "recA1b2C3d4E5f6G7/x", "", "attA1b2C3d4E5f6G7"])
    async def test_what_is_no_record_id_is_never_sent(self, setting: Setting, record_id: str) -> None:
        with pytest.raises(RecordNotFound):
            await setting.records.get(record_id)
        assert setting.api.requests == []

    async def test_if_the_second_look_finds_airtable_down_that_is_told(self, setting: Setting) -> None:
        setting.api.says(Reply(403, MODEL), Reply(500))
        with pytest.raises(AirtableDown):
            await setting.records.get(RECORD_ID)


class TestRefusals:
    async def test_an_unknown_field_is_named(self, setting: Setting) -> None:
        body = {"error": {"type": "UNKNOWN_FIELD_NAME", "message": 'Unknown field name: "Job ID"'}}
        setting.api.says(Reply(422, body))
        with pytest.raises(UnknownField) as caught:
            await setting.records.update(RECORD_ID, {"Job ID": "x"})
        assert caught.value.fields == ("Job ID",)

    async def test_a_too_large_upload_is_told(self, setting: Setting) -> None:
        setting.content.says(Reply(413, "<html>too large</html>"))
        with pytest.raises(TooLargeForUpload):
            await upload(setting)

    @pytest.mark.parametrize("body", ["5", "null", "[]", '"x"', "", "<html>"])
    async def test_an_error_body_of_any_form_is_survived(self, setting: Setting, body: str) -> None:
        setting.api.says(Reply(422, body))
        with pytest.raises(AirtableRejected):
            await setting.records.get(RECORD_ID)

    @pytest.mark.parametrize("body", ["", "<html>", "5", "{}", '{"id":"rec1"}'])
    async def test_a_success_that_is_no_record_counts_as_down(self, setting: Setting, body: str) -> None:
        setting.api.says(Reply(200, body))
        with pytest.raises(AirtableDown):
            await setting.records.get(RECORD_ID)

    async def test_a_redirect_is_not_followed(self, setting: Setting) -> None:
        setting.content.says(Reply(body=RECORD))
        setting.api.says(Reply(302, "", {"Location": f"{setting.content.url}/elsewhere"}))
        with pytest.raises(AirtableRejected, match="AIRTABLE_ENDPOINT_URL"):
            await setting.records.get(RECORD_ID)
        assert setting.content.requests == []


class TestTheToken:
    @pytest.mark.parametrize("answer", [Reply(401, {"error": {"type": "AUTHENTICATION_REQUIRED"}}), Reply(drop=True)])
    async def test_it_reaches_neither_log_nor_error(self, setting: Setting, answer: Reply) -> None:
        setting.api.says(answer)
        with capture_logs() as logs, pytest.raises(AirtableError) as caught:
            await setting.records.get(RECORD_ID)
        error = caught.value
        assert logs
        assert TOKEN not in f"{logs} {error!r} {vars(error)} {setting.records!r} {setting.config!r}"
        assert error.__cause__ is None
        assert error.__context__ is None, "a third-party error in the chain carries the request with its headers"

    async def test_a_refused_token_is_told(self, setting: Setting) -> None:
        setting.api.says(Reply(401, {"error": {"type": "AUTHENTICATION_REQUIRED"}}))
        with pytest.raises(AirtableAuth, match="AIRTABLE_API_KEY"):
            await setting.records.whoami()

    async def test_it_is_not_replaced_by_an_entry_in_netrc(
        self, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(netrc))
        setting.api.says(Reply(body=RECORD))
        await setting.records.get(RECORD_ID)
        assert setting.api.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


class TestStopping:
    async def test_a_cancelled_call_ends_at_once_and_the_client_stays_usable(self, setting: Setting) -> None:
        released = threading.Event()
        setting.api.says(Reply(held_by=released, body=RECORD), Reply(body=RECORD))
        call = asyncio.create_task(setting.records.get(RECORD_ID))
        await requests_seen(setting, 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await setting.records.get(RECORD_ID)).id == RECORD_ID
        released.set()

    async def test_closing_waits_for_what_runs_and_ends_what_waits(self, setting: Setting) -> None:
        released = threading.Event()
        setting.api.says(Reply(held_by=released, body=RECORD))
        calls = [asyncio.create_task(setting.records.get(RECORD_ID)) for _ in range(4)]
        await requests_seen(setting, 2)
        closing = asyncio.create_task(setting.records.close())
        await asyncio.sleep(0)  # it has begun
        released.set()
        await closing
        ends: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [Record, Record, AirtableDown, AirtableDown]
        assert len(setting.api.requests) == 2

    async def test_closing_cuts_off_what_does_not_end_in_time(self, setting: Setting) -> None:
        released = threading.Event()
        setting.content.says(Reply(held_by=released))
        patient = AirtableRecords(setting.config, setting.limiter, timeout_s=(1, 3600))
        call = asyncio.create_task(patient.upload(RECORD_ID, "Video", "f.mp4", b"film", "video/mp4"))

        async def seen() -> bool:
            return len(setting.content.requests) == 1

        await eventually(seen, "the upload at the partner")
        await patient.close(grace_s=0)
        with pytest.raises(AirtableAmbiguous):
            await call
        released.set()

    async def test_a_closed_client_says_so(self, setting: Setting) -> None:
        await setting.records.close()
        with pytest.raises(AirtableDown, match="closed"):
            await setting.records.get(RECORD_ID)

    async def test_many_calls_at_once_share_few_threads(self, setting: Setting) -> None:
        setting.api.says(Reply(body=RECORD))
        await asyncio.gather(*(setting.records.get(RECORD_ID) for _ in range(50)))
        names = {thread.name for thread in threading.enumerate() if thread.name.startswith("airtable")}
        assert len(names) <= 2
