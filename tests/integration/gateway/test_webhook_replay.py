"""A person has an event told once more, and sees in the job how that went."""

from shared.job.webhook_model import WebhookState
from tests.integration.gateway.answers import error_of
from tests.integration.uploader.test_webhooks import failed, ids, receiver, until, until_tried
from tests.support.fixtures_world import OpenWorld
from tests.support.scripted_partner import Reply, ScriptedPartner

__all__ = ["receiver"]


async def test_an_event_is_replayed_under_its_id(open_world: OpenWorld, receiver: ScriptedPartner) -> None:
    w = await open_world(partners=(), services=("uploader",))
    receiver.says(Reply(410), Reply(204))
    job = await failed(w, receiver.url)
    webhook = await until(w, job, WebhookState.GIVEN_UP)
    for spelling in ("job", "jobs"):
        answer = await w.http.post(f"/api/{spelling}/{job.id}/webhooks/{webhook.id}/replay")
        assert answer.status_code == 202, answer.text
        assert answer.json()["data"]["id"] == webhook.id
        assert answer.json()["data"]["state"] == "pending"
        webhook = await until_tried(w, job, webhook.tried + 1)
        assert webhook.state is WebhookState.DELIVERED
    assert ids(receiver) == [webhook.id] * 3
    (shown,) = (await w.view(job.id))["webhooks"]
    assert shown["state"] == "delivered"
    assert [entry.get("status") for entry in shown["tries"]] == [410, 204, 204]
    assert receiver.url not in str(shown)


async def test_an_unknown_event_or_job_is_not_found(open_world: OpenWorld) -> None:
    w = await open_world(partners=(), services=())
    job_id = await w.submit("a boat")
    assert (
        error_of(await w.http.post(f"/api/job/{job_id}/webhooks/nonsense/replay"), 404)["code"] == "webhook_not_found"
    )
    assert error_of(await w.http.post("/api/job/job_1/webhooks/nonsense/replay"), 404)["code"] == "job_not_found"
