"""Films that nobody asked for over HTTP: queued in the table, seen live at any gateway, told to the user's system."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from tests.support.redis import RedisServer
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.support.sse import reading
from tests.support.system import System
from tests.support.waiting import eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[ScriptedPartner]:
    """The user's system, which is in trouble at first."""
    partner = ScriptedPartner()
    partner.says(Reply(500), Reply(204))
    yield partner
    partner.close()


async def test_queued_records_become_films_once_though_a_gateway_dies(
    tmp_path: Path, rabbit_url: str, own_redis_server: RedisServer
) -> None:
    backing = {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
    trigger = {"AIRTABLE_TRIGGER": "poll", "AIRTABLE_TRIGGER_POLL_S": "1"}
    async with System(tmp_path, backing, replicas={"gateway": 2}, services_env=trigger) as system:
        records = [f"recQUEUED{number:08d}" for number in range(6)]
        fields = [{"Prompt 1": f"queued {record}", "Status": "Queued"} for record in records]
        seeds = [{"id": record, "fields": cells} for record, cells in zip(records, fields, strict=True)]
        await system.airtable.post("seed", {"records": seeds[:3]})
        async with system.client() as http:

            async def made() -> list[str]:
                listed = (await http.get("/api/jobs?limit=200")).json()["data"]
                return sorted(job["recordId"] for job in listed if job.get("recordId") in records)

            async def begun() -> bool:
                return bool(await made())

            await eventually(begun, "a record became a job", 60)
            await system.airtable.post("seed", {"records": seeds[3:]})
            system.processes["gateway-2"].kill()
            system.processes["gateway-2"].start()

            async def all_over() -> bool:
                views = [await system.airtable.get(f"records/{record}") for record in records]
                return all(view["fields"].get("Status") == "Completed" for view in views)

            await eventually(all_over, "every record has its film", 120)
            assert await made() == records
        orders = (await system.kie.get("orders/count"))["by_prompt"]
        assert {prompt: count for prompt, count in orders.items() if prompt.startswith("queued ")} == {
            f"queued {record}": 1 for record in records
        }


async def test_a_film_is_followed_at_one_gateway_and_told_when_it_is_done(
    tmp_path: Path, rabbit_url: str, own_redis_server: RedisServer, receiver: ScriptedPartner
) -> None:
    backing = {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
    async with (
        System(tmp_path, backing, replicas={"gateway": 2}, services_env={"WEBHOOK_SECRET": SECRET}) as system,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{system.ports['gateway-2']}", timeout=30, verify=False) as other,
        system.client() as http,
    ):
        body = {"clips": [{"prompt": "a boat"}], "webhookUrl": receiver.url, "metadata": {"campaign": 7}}
        answer = await http.post("/api/jobs", json=body)
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["data"]["jobId"]
        async with reading(other, f"/api/job/{job_id}/events") as stream:
            await stream.until_ended(90)
        assert stream.statuses[-1] == "completed"
        versions = [int(event.id or 0) for event in stream.jobs]
        assert versions == sorted(set(versions))

        async def told() -> bool:
            return len(receiver.requests) >= 2

        await eventually(told, "the film is told of, at the second try", 60)
        bodies = [Verifier(SECRET).verify(each.raw, each.headers) for each in receiver.requests]
        assert [each["type"] for each in bodies] == ["job.completed"] * 2
        assert bodies[1]["data"]["metadata"] == {"campaign": 7}
        assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
