import httpx
import pytest

from tests.unit.sandbox.clients import AirtableClient
from tests.unit.sandbox.test_airtable_attachments import upload_body


@pytest.mark.parametrize(
    ("word", "status", "kind"),
    [
        ("rate_limit", 429, "RATE_LIMIT_REACHED"),
        ("quota", 429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED"),
        ("missing", 404, "MODEL_ID_NOT_FOUND"),
        ("missing_403", 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"),
        ("missing_422", 422, "ROW_DOES_NOT_EXIST"),
        ("missing_404", 404, None),
        ("401", 401, "AUTHENTICATION_REQUIRED"),
        ("403", 403, "INVALID_PERMISSIONS"),
        ("413", 413, "REQUEST_TOO_LARGE"),
        ("422", 422, "INVALID_REQUEST_UNKNOWN"),
        ("500", 500, "SERVER_ERROR"),
        ("503", 503, "RETRIABLE_ERROR"),
    ],
)
async def test_a_write_can_be_refused_in_every_known_way(
    airtable: AirtableClient, word: str, status: int, kind: str | None
) -> None:
    await airtable.twins.airtable_control.fault(f"update={word}", times=1)
    answer = await airtable.write({"Error": "x"})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["type"] if kind else error) == (kind or "NOT_FOUND")
    assert (await airtable.history())["writes"] == []


async def test_a_503_can_carry_retry_after_and_a_502_is_html(airtable: AirtableClient) -> None:
    control = airtable.twins.airtable_control
    await control.fault("get=retriable:7", times=1)
    answer = await airtable.http.get(f"{airtable.path}/{airtable.record}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    await control.fault("get=502", times=1)
    answer = await airtable.http.get(f"{airtable.path}/{airtable.record}")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")


async def test_a_requested_rate_limit_begins_the_penalty(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.fault("get=rate_limit", times=1)
    first = await airtable.http.get(f"{airtable.path}/{airtable.record}")
    second = await airtable.http.get(f"{airtable.path}/{airtable.record}")
    assert [first.status_code, second.status_code] == [429, 429]


@pytest.mark.parametrize(
    ("how", "error", "applied"),
    [
        ("drop_before", httpx.ReadError, 0),
        ("drop_after", httpx.ReadError, 1),
        ("hang_before", httpx.ReadTimeout, 0),
        ("hang_after", httpx.ReadTimeout, 1),
    ],
)
async def test_an_upload_can_stay_without_answer_applied_or_not(
    airtable: AirtableClient, how: str, error: type[Exception], applied: int
) -> None:
    await airtable.twins.airtable_control.fault(f"upload={how}", times=1)
    airtable.http.timeout = httpx.Timeout(0.3)
    with pytest.raises(error):
        await airtable.upload(upload_body())
    log = "requests"
    await airtable.twins.airtable_control.wait_for(log, lambda made: any(r["route"] == "upload" for r in made))
    assert len((await airtable.get())["fields"].get("Video", [])) == applied


async def test_everything_can_be_down_for_a_while(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.fault("any=drop_before", for_ms=3_600_000)
    for _ in range(3):
        with pytest.raises(httpx.ReadError):
            await airtable.get()
    await airtable.twins.airtable_control.clear_faults()
    assert (await airtable.get())["id"] == airtable.record


async def test_latency_and_malformed_json_are_possible_on_every_route(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.fault("schema=malformed", times=1)
    answer = await airtable.http.get("/v0/meta/bases/appSANDBOX0000000/tables")
    with pytest.raises(ValueError, match=r"."):
        answer.json()
    await airtable.twins.airtable_control.fault("whoami=latency:5000", times=1)
    with pytest.raises(httpx.ReadTimeout):
        await airtable.http.get("/v0/meta/whoami", timeout=0.2)


async def test_a_marker_in_the_records_prompt_reaches_this_twin_too(airtable: AirtableClient) -> None:
    await airtable.write({"Prompt 1": "A cat [twin:upload=413*1,create=drop_after]"})
    answers = []
    for status in ("Generating", "Uploading"):
        await airtable.write({"Status": status})  # the count is the record's, whatever else changes in it
        answers.append((await airtable.upload(upload_body())).status_code)
    assert answers == [413, 200]


async def test_a_fault_can_be_kept_to_one_record(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.fault("get=500", match="recSANDBOX0000002")
    records = ("recSANDBOX0000001", "recSANDBOX0000002")
    assert [(await airtable.http.get(f"{airtable.path}/{r}")).status_code for r in records] == [200, 500]


async def test_every_request_is_logged_with_its_faults(airtable: AirtableClient) -> None:
    await airtable.twins.airtable_control.fault("get=500", times=1)
    await airtable.get()
    await airtable.write({"Error": "x"})
    log = await airtable.twins.airtable_control.get("requests")
    assert [(entry["route"], entry["status"], entry["faults"]) for entry in log] == [
        ("get", 500, ["get=500"]),
        ("update", 200, []),
    ]
