"""Bodies of the Airtable twin against those of the official pages and recorded exchanges."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from sandbox import Twins
from tests.unit.sandbox.clients import AirtableClient

ATTACHMENT_ID = re.compile(r"^att[A-Za-z0-9]{14}$")


async def test_whoami_bases_and_schema_are_as_documented(airtable: AirtableClient) -> None:
    assert (await airtable.http.get("/v0/meta/whoami")).json() == {"id": "usrSANDBOX0000000"}
    assert (await airtable.http.get("/v0/meta/bases")).json() == {
        "bases": [{"id": "appSANDBOX0000000", "name": "Video sandbox", "permissionLevel": "create"}]
    }
    (table,) = (await airtable.http.get("/v0/meta/bases/appSANDBOX0000000/tables")).json()["tables"]
    assert list(table) == ["id", "name", "primaryFieldId", "fields", "views"]
    types = {column["name"]: column["type"] for column in table["fields"]}
    assert types == {
        "Name": "singleLineText",
        "Prompt 1": "multilineText",
        "Prompt 2": "multilineText",
        "Prompt 3": "multilineText",
        "Aspect Ratio": "singleSelect",
        "Video": "multipleAttachments",
        "Status": "singleSelect",
        "Error": "multilineText",
    }
    status = next(column for column in table["fields"] if column["name"] == "Status")
    assert [choice["name"] for choice in status["options"]["choices"]][-3:] == ["Completed", "Failed", "Cancelled"]
    ids = [table["id"], table["primaryFieldId"], *(column["id"] for column in table["fields"])]
    assert all(re.fullmatch(r"(tbl|fld)[A-Za-z0-9]{14}", identifier) for identifier in ids)


async def test_a_record_has_id_created_time_and_only_its_filled_fields(airtable: AirtableClient) -> None:
    record = await airtable.get()
    assert list(record) == ["id", "createdTime", "fields"]
    assert record["id"] == "recSANDBOX0000001"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["createdTime"])
    assert set(record["fields"]) == {"Name", "Prompt 1", "Prompt 2"}


async def test_responses_carry_the_headers_seen_live(airtable: AirtableClient) -> None:
    answer = await airtable.http.get("/v0/meta/whoami")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "server" not in answer.headers


async def test_fields_can_be_named_by_id_and_answered_by_id(airtable: AirtableClient) -> None:
    answer = await airtable.http.patch(
        f"{airtable.path}/{airtable.record}",
        json={"fields": {"fldStatus00000000": "Completed"}, "returnFieldsByFieldId": True},
    )
    assert answer.json()["fields"]["fldStatus00000000"] == "Completed"
    by_id = await airtable.http.get(f"{airtable.path}/{airtable.record}", params={"returnFieldsByFieldId": "1"})
    assert by_id.json()["fields"]["fldStatus00000000"] == "Completed"


async def test_the_table_can_be_named_by_id(airtable: AirtableClient) -> None:
    table_id = (await airtable.http.get("/v0/meta/bases/appSANDBOX0000000/tables")).json()["tables"][0]["id"]
    assert (await airtable.http.get(f"/v0/appSANDBOX0000000/{table_id}/{airtable.record}")).status_code == 200


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic abc"])
async def test_a_missing_or_unknown_token_is_401(
    twins: Twins, anonymous: httpx.AsyncClient, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = await anonymous.get(f"{twins.airtable_url}/v0/meta/whoami", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": {"type": "AUTHENTICATION_REQUIRED", "message": "Authentication required"}}


NO_MODEL = {
    "error": {
        "type": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "message": "Invalid permissions, or the requested model was not found. Check that both your user and your "
        "token have the required permissions, and that the model names and/or ids are correct.",
    }
}


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/v0/appWRONG000000000/Video%20Generation/recSANDBOX0000001", 403, NO_MODEL),
        ("/v0/appSANDBOX0000000/No%20Table/recSANDBOX0000001", 403, NO_MODEL),
        (
            "/v0/appSANDBOX0000000/Video%20Generation/recNONE0000000000",
            404,
            {"error": {"type": "MODEL_ID_NOT_FOUND", "message": "Record not found"}},
        ),
        ("/v0/appSANDBOX0000000/Video%20Generation/nonsense", 404, {"error": "NOT_FOUND"}),
        ("/v0/meta/nonsense", 404, {"error": "NOT_FOUND"}),
        ("/nonsense", 404, {"error": "NOT_FOUND"}),
    ],
)
async def test_what_is_not_there_is_refused_in_the_right_envelope(
    airtable: AirtableClient, path: str, status: int, body: Any
) -> None:
    answer = await airtable.http.get(path)
    assert (answer.status_code, answer.json()) == (status, body)


async def test_a_token_without_the_base_is_403_and_a_reader_cannot_write(airtable: AirtableClient) -> None:
    airtable.http.headers["Authorization"] = "Bearer patSANDBOX0000003.other"
    assert (await airtable.http.get(f"{airtable.path}/{airtable.record}")).status_code == 403
    assert (await airtable.http.get("/v0/meta/bases")).json() == {"bases": []}
    airtable.http.headers["Authorization"] = "Bearer patSANDBOX0000002.reader"
    refused = await airtable.write({"Error": "x"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "INVALID_PERMISSIONS")


async def test_patch_keeps_and_put_clears_what_is_not_named(airtable: AirtableClient) -> None:
    await airtable.write({"Error": "broken", "Status": "Failed"})
    assert set((await airtable.get())["fields"]) == {"Name", "Prompt 1", "Prompt 2", "Error", "Status"}
    await airtable.write({"Name": "only this"}, method="PUT")
    assert (await airtable.get())["fields"] == {"Name": "only this"}


async def test_null_and_empty_text_clear_a_cell(airtable: AirtableClient) -> None:
    await airtable.write({"Error": "", "Prompt 1": None})
    assert set((await airtable.get())["fields"]) == {"Name", "Prompt 2"}


async def test_an_unknown_field_is_named_and_nothing_is_applied(airtable: AirtableClient) -> None:
    answer = await airtable.write({"Error": "x", "Foo": 1})
    assert answer.status_code == 422
    assert answer.json() == {"error": {"type": "UNKNOWN_FIELD_NAME", "message": 'Unknown field name: "Foo"'}}
    assert "Error" not in (await airtable.get())["fields"]


async def test_an_unknown_option_needs_typecast_and_the_right_to_add_one(airtable: AirtableClient) -> None:
    refusal = {
        "error": {
            "type": "INVALID_MULTIPLE_CHOICE_OPTIONS",
            "message": 'Insufficient permissions to create new select option ""Brand new""',
        }
    }
    assert (await airtable.write({"Status": "Brand new"})).json() == refusal
    airtable.http.headers["Authorization"] = "Bearer patSANDBOX0000001.editor"
    answer = await airtable.write({"Status": "Brand new"}, typecast=True)
    assert (answer.status_code, answer.json()) == (422, refusal)
    assert (await airtable.write({"Status": "Completed"}, typecast=True)).status_code == 200
    airtable.http.headers["Authorization"] = f"Bearer {airtable.twins.api_keys.airtable}"
    assert (await airtable.write({"Status": "Brand new"}, typecast=True)).json()["fields"]["Status"] == "Brand new"
    (table,) = (await airtable.http.get("/v0/meta/bases/appSANDBOX0000000/tables")).json()["tables"]
    status = next(column for column in table["fields"] if column["name"] == "Status")
    assert status["options"]["choices"][-1]["name"] == "Brand new"


async def test_a_wrong_type_is_refused_and_typecast_converts_numbers(airtable: AirtableClient) -> None:
    answer = await airtable.write({"Error": 5})
    assert answer.json()["error"] == {
        "type": "INVALID_VALUE_FOR_COLUMN",
        "message": 'Field "Error" cannot accept the provided value',
    }
    assert (await airtable.write({"Error": 5}, typecast=True)).json()["fields"]["Error"] == "5"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "INVALID_REQUEST_MISSING_FIELDS"),
        (b"not json", "INVALID_REQUEST_BODY"),
        (b'{"fields": {"Error": NaN}}', "INVALID_REQUEST_BODY"),
        (b"[]", "INVALID_REQUEST_BODY"),
    ],
)
async def test_bad_bodies_are_422(airtable: AirtableClient, body: bytes, kind: str) -> None:
    answer = await airtable.http.patch(f"{airtable.path}/{airtable.record}", content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, kind)


async def test_records_are_created_singly_and_in_tens(airtable: AirtableClient) -> None:
    one = (await airtable.http.post(airtable.path, json={"fields": {"Name": "one"}})).json()
    assert re.fullmatch(r"rec[A-Za-z0-9]{14}", one["id"])
    many = [{"fields": {"Name": str(n)}} for n in range(11)]
    made = (await airtable.http.post(airtable.path, json={"records": many[:10]})).json()["records"]
    assert [record["fields"]["Name"] for record in made] == [str(n) for n in range(10)]
    refused = (await airtable.http.post(airtable.path, json={"records": many})).json()["error"]
    assert refused == {
        "type": "INVALID_RECORDS",
        "message": "A maximum of 10 records can be created per request but you have provided 11.",
    }


async def test_a_batch_update_is_applied_whole_or_not_at_all(airtable: AirtableClient) -> None:
    records = [{"id": f"recSANDBOX000000{n}", "fields": {"Status": "Queued"}} for n in (1, 2)]
    answer = await airtable.http.patch(airtable.path, json={"records": records})
    assert [record["fields"]["Status"] for record in answer.json()["records"]] == ["Queued", "Queued"]
    missing = [{"id": "recSANDBOX0000001", "fields": {"Status": "Failed"}}, {"id": "recNONE0000000000", "fields": {}}]
    refused = await airtable.http.patch(airtable.path, json={"records": missing})
    assert refused.json()["error"] == {
        "type": "ROW_DOES_NOT_EXIST",
        "message": "Record ID recNONE0000000000 does not exist in this table",
    }
    assert (await airtable.get())["fields"]["Status"] == "Queued"


async def test_an_upsert_says_what_it_created_and_what_it_updated(airtable: AirtableClient) -> None:
    records = [{"fields": {"Name": name, "Error": "e"}} for name in ("Dawn at sea", "Somewhere else")]
    body = {"records": records, "performUpsert": {"fieldsToMergeOn": ["Name"]}}
    answer = (await airtable.http.patch(airtable.path, json=body)).json()
    assert answer["updatedRecords"] == ["recSANDBOX0000001"]
    assert answer["createdRecords"] == [answer["records"][1]["id"]]


async def test_records_are_deleted_singly_and_in_batches(airtable: AirtableClient) -> None:
    one = await airtable.http.delete(f"{airtable.path}/recSANDBOX0000001")
    assert one.json() == {"id": "recSANDBOX0000001", "deleted": True}
    many = await airtable.http.delete(airtable.path, params={"records[]": ["recSANDBOX0000002", "recSANDBOX0000003"]})
    assert many.json() == {
        "records": [{"deleted": True, "id": "recSANDBOX0000002"}, {"deleted": True, "id": "recSANDBOX0000003"}]
    }
    assert (await airtable.http.get(airtable.path)).json() == {"records": []}
    assert (await airtable.http.delete(f"{airtable.path}/recSANDBOX0000001")).status_code == 404


async def test_a_listing_filters_sorts_selects_and_pages(airtable: AirtableClient) -> None:
    query: list[tuple[str, str | int | float | bool | None]] = [
        ("filterByFormula", "{Aspect Ratio}!=BLANK()"),
        ("fields[]", "Name"),
        ("sort[0][field]", "Name"),
        ("sort[0][direction]", "desc"),
        ("pageSize", "1"),
    ]
    first = (await airtable.http.get(airtable.path, params=httpx.QueryParams(query))).json()
    assert [record["fields"] for record in first["records"]] == [{"Name": "Street coffee"}]
    more = httpx.QueryParams([*query, ("offset", first["offset"])])
    second = (await airtable.http.get(airtable.path, params=more)).json()
    assert [record["fields"] for record in second["records"]] == [{"Name": "Paper city"}]
    assert "offset" not in second
    limited = (await airtable.http.get(airtable.path, params={"maxRecords": "2"})).json()
    assert len(limited["records"]) == 2


async def test_list_records_by_post_is_the_same(airtable: AirtableClient) -> None:
    body = {"filterByFormula": "RECORD_ID()='recSANDBOX0000002'", "fields": ["Name"]}
    answer = (await airtable.http.post(f"{airtable.path}/listRecords", json=body)).json()
    assert [record["id"] for record in answer["records"]] == ["recSANDBOX0000002"]


async def test_an_expired_or_unknown_offset_restarts_the_listing(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.settings(list_lifetime_ms=0)
    first = (await airtable.http.get(airtable.path, params={"pageSize": "1"})).json()
    for offset in (first["offset"], "itrUNKNOWN0000000/rec"):
        answer = await airtable.http.get(airtable.path, params={"offset": offset})
        assert answer.status_code == 422
        assert answer.json() == {"error": {"type": "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}}


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ({"filterByFormula": "{Nope}='x'"}, "INVALID_FILTER_BY_FORMULA"),
        ({"filterByFormula": "AND("}, "INVALID_FILTER_BY_FORMULA"),
        ({"pageSize": "101"}, "INVALID_REQUEST_UNKNOWN"),
        ({"maxRecords": "none"}, "INVALID_REQUEST_UNKNOWN"),
        ({"fields[]": "Nope"}, "UNKNOWN_FIELD_NAME"),
    ],
)
async def test_bad_listings_are_422(airtable: AirtableClient, query: dict[str, str], kind: str) -> None:
    answer = await airtable.http.get(airtable.path, params=query)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, kind)


async def test_more_than_five_requests_a_second_bring_a_penalty(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.settings(rate_limit=2, penalty_ms=3_600_000)
    url = f"{airtable.path}/{airtable.record}"
    answers = await asyncio.gather(*(airtable.http.get(url) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200, 429}
    assert (await airtable.http.get(url)).status_code == 429, "everything is refused during the penalty"
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json() == {
        "error": {"type": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded. Please try again later"}
    }
    assert "retry-after" not in refused.headers
    assert (await airtable.http.get("/v0/meta/whoami")).status_code == 200, "the limit is the base's"


async def test_the_monthly_quota_is_another_429(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.settings(monthly_quota=1)
    await airtable.get()
    answer = await airtable.http.get(f"{airtable.path}/{airtable.record}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED")


async def test_every_write_is_remembered_with_its_time_and_order(airtable: AirtableClient) -> None:
    for status in ("Generating", "Processing", "Stitching"):
        await airtable.write({"Status": status})
    await airtable.write({"Status": "Completed", "Error": ""})
    writes = (await airtable.history())["writes"]
    statuses = [write["value"] for write in writes if write["field"] == "Status"]
    assert statuses == ["Generating", "Processing", "Stitching", "Completed"]
    times = [write["at_ms"] for write in writes]
    assert times == sorted(times)
    assert {write["operation"] for write in writes} == {"update"}


async def test_a_deleted_record_keeps_its_history(airtable: AirtableClient) -> None:
    await airtable.write({"Status": "Generating"})
    await airtable.http.delete(f"{airtable.path}/{airtable.record}")
    history = await airtable.history()
    assert history["deleted"] is True
    assert [write["operation"] for write in history["writes"]] == ["update", "delete"]


async def test_seeds_can_be_added_by_the_hundred_and_fields_changed(airtable: AirtableClient) -> None:
    control = airtable.twins.airtable_control
    seeded = await control.post("seed", {"records": [{"fields": {"Prompt 1": "x"}}], "count": 120, "clear": True})
    assert len(set(seeded["ids"])) == 120
    listed = (await airtable.http.get(airtable.path)).json()
    assert (len(listed["records"]), "offset" in listed) == (100, True)
    airtable.record = seeded["ids"][0]
    assert (await airtable.history())["writes"] == [], "a seed has no history"
    await control.post(
        "fields", {"remove": ["Status"], "rename": {"Error": "Reason"}, "add": [{"name": "N", "type": "number"}]}
    )
    assert (await airtable.write({"Reason": "x", "N": 2})).status_code == 200
    assert (await airtable.write({"Status": "Failed"})).json()["error"]["type"] == "UNKNOWN_FIELD_NAME"
    with pytest.raises(httpx.HTTPStatusError, match="record id"):
        await control.post("seed", {"records": [{"id": "recShort", "fields": {}}]})
