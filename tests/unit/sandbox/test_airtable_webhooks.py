import base64
import json

from sandbox.airtable.webhooks import content_mac
from tests.unit.sandbox.clients import AirtableClient, Receiver

HOOKS = "/v0/bases/appSANDBOX0000000/webhooks"


def test_the_mac_is_that_of_the_reference_vector() -> None:
    body = (
        b'{"base":{"id":"app00000000000000"},"webhook":{"id":"ach00000000000000"},'
        b'"timestamp":"2022-02-01T21:25:05.663Z"}'
    )
    expected = "hmac-sha256=20589b6f646dbfdf000d2a11d14ea904f8c2bdc7de2345f1ed592fcf619b4634"
    assert content_mac(body, b"k" * 32) == expected


def specification(**filters: object) -> dict[str, object]:
    return {"options": {"filters": {"dataTypes": ["tableData"], **filters}}}


async def test_a_change_is_pinged_without_data_and_fetched_as_payload(
    airtable: AirtableClient, receiver: Receiver
) -> None:
    status_id = "fldStatus00000000"
    body = {"notificationUrl": receiver.url, "specification": specification(watchDataInFieldIds=[status_id])}
    made = (await airtable.http.post(HOOKS, json=body)).json()
    assert set(made) == {"id", "macSecretBase64", "expirationTime"}
    await airtable.write({"Error": "not watched"})
    await airtable.write({"Status": "Queued"})
    payloads = (await airtable.http.get(f"{HOOKS}/{made['id']}/payloads", params={"cursor": "1"})).json()
    assert (payloads["cursor"], payloads["mightHaveMore"]) == (2, False)
    (payload,) = payloads["payloads"]
    (changed,) = payload["changedTablesById"].values()
    current = changed["changedRecordsById"][airtable.record]["current"]["cellValuesByFieldId"]
    assert current[status_id]["name"] == "Queued", "a single select is an object here"
    while not receiver.bodies:
        await airtable.http.get(HOOKS)
    ping = receiver.callbacks[0]
    assert set(ping) == {"base", "webhook", "timestamp"}
    secret = base64.b64decode(made["macSecretBase64"])
    assert receiver.headers[0]["x-airtable-content-mac"] == content_mac(receiver.bodies[0], secret)


async def test_own_writes_can_be_left_out_and_webhooks_managed(airtable: AirtableClient) -> None:
    body = {"specification": specification(fromSources=["client"])}
    hook = (await airtable.http.post(HOOKS, json=body)).json()["id"]
    await airtable.http.post(airtable.path, json={"fields": {"Name": "new"}})
    assert (await airtable.http.get(f"{HOOKS}/{hook}/payloads")).json()["payloads"] == []
    assert set((await airtable.http.post(f"{HOOKS}/{hook}/refresh")).json()) == {"expirationTime"}
    await airtable.http.post(f"{HOOKS}/{hook}/enableNotifications", json={"enable": False})
    (shown,) = (await airtable.http.get(HOOKS)).json()["webhooks"]
    assert (shown["id"], shown["areNotificationsEnabled"]) == (hook, False)
    await airtable.http.delete(f"{HOOKS}/{hook}")
    assert (await airtable.http.get(HOOKS)).json() == {"webhooks": []}


async def test_new_records_are_reported_as_created(airtable: AirtableClient) -> None:
    hook = (await airtable.http.post(HOOKS, json={"specification": specification()})).json()["id"]
    record = (await airtable.http.post(airtable.path, json={"fields": {"Name": "new"}})).json()
    (payload,) = (await airtable.http.get(f"{HOOKS}/{hook}/payloads")).json()["payloads"]
    (changed,) = payload["changedTablesById"].values()
    assert list(changed["createdRecordsById"]) == [record["id"]]
    json.dumps(payload)


async def test_only_creators_may_subscribe(airtable: AirtableClient) -> None:
    airtable.http.headers["Authorization"] = "Bearer patSANDBOX0000001.editor"
    answer = await airtable.http.post(HOOKS, json={"specification": specification()})
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "INVALID_PERMISSIONS")
