"""What is asked for at one gateway holds at the other: through real processes, RabbitMQ and Redis."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.redis import RedisServer
from tests.support.system import System

LIMITS = '{"poor": {"maxClipsPerDay": 3}, "slow": {"requestsPerMinute": 5}}'
BODY: dict[str, Any] = {"clips": [{"prompt": "A boat, asked for at both"}]}


@pytest.fixture
async def system(rabbit_url: str, own_redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[System]:
    """The services as processes, with two gateways."""
    backing = {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
    keys = {"API_KEYS": "rich:r,poor:p,slow:s", "KEY_LIMITS": LIMITS}
    async with System(tmp_path, backing, replicas={"gateway": 2}, services_env=keys) as running:
        yield running


@pytest.fixture
async def both(system: System) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """A client of each gateway."""
    bases = [f"http://127.0.0.1:{system.ports[name]}" for name in ("gateway", "gateway-2")]
    async with (
        httpx.AsyncClient(base_url=bases[0], timeout=30) as one,
        httpx.AsyncClient(base_url=bases[1], timeout=30) as two,
    ):
        yield one, two


async def view_when(http: httpx.AsyncClient, job_id: str, *statuses: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            answer = await http.get(f"/api/job/{job_id}", headers={"X-API-Key": "r"})
            view: dict[str, Any] = answer.json()["data"]
            if view["status"] in statuses:
                return view
            await asyncio.sleep(0.1)


async def test_two_gateways_are_one(system: System, both: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> None:
    """One system for all of it, since starting it takes longest."""
    await one_idempotency_key_is_one_job(system, both)
    await a_days_budget_and_a_minutes_rate_are_shared(both)
    await a_job_is_reviewed_changed_and_approved_at_either(system, both)
    await a_cancelled_job_delivers_no_film(system, both)
    await a_batch_is_repeated_at_the_other(both)
    used = (await both[1].get("/api/usage?days=2", headers={"X-API-Key": "r"})).json()["data"]
    orders = (await system.kie.get("orders/count"))["by_prompt"]
    assert 0 < used["total"]["clips"] <= sum(orders.values())


async def one_idempotency_key_is_one_job(system: System, both: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> None:
    headers = {"X-API-Key": "r", "Idempotency-Key": "the-same"}
    answers = await asyncio.gather(
        *(both[number % 2].post("/api/jobs", json=BODY, headers=headers) for number in range(20))
    )
    ids = {answer.json()["data"]["jobId"] for answer in answers}
    assert len(ids) == 1
    assert (await view_when(both[0], ids.pop(), "completed", "failed"))["status"] == "completed"
    again = await both[1].post("/api/jobs", json=BODY, headers=headers)
    assert again.status_code == 200
    assert (await system.kie.get("orders/count"))["by_prompt"]["A boat, asked for at both"] == 1


async def a_days_budget_and_a_minutes_rate_are_shared(both: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> None:
    poor = await asyncio.gather(
        *(both[number % 2].post("/api/jobs", json=BODY, headers={"X-API-Key": "p"}) for number in range(10))
    )
    assert sorted(answer.status_code for answer in poor) == [202] * 3 + [402] * 7
    # A minute may end in the middle, so one more than a minute's worth is bounded, not exact.
    slow = await asyncio.gather(
        *(both[number % 2].get("/api/jobs", headers={"X-API-Key": "s"}) for number in range(20))
    )
    assert 5 <= sum(answer.status_code == 200 for answer in slow) <= 10
    assert all("ratelimit" in answer.headers for answer in slow)


async def a_job_is_reviewed_changed_and_approved_at_either(
    system: System, both: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    key = {"X-API-Key": "r"}
    body = {"clips": [{"prompt": "first, reviewed"}, {"prompt": "second, reviewed"}], "review": True}
    job_id = (await both[0].post("/api/jobs", json=body, headers=key)).json()["data"]["jobId"]
    await view_when(both[1], job_id, "review")
    changed = {"prompt": "second, made anew"}
    answer = await both[1].post(f"/api/job/{job_id}/clips/2/regenerate", json=changed, headers=key)
    assert answer.status_code == 200
    view = await view_when(both[0], job_id, "review")
    assert view["clips"][1]["prompt"] == "second, made anew"
    approvals = await asyncio.gather(*(http.post(f"/api/jobs/{job_id}/approve", headers=key) for http in both))
    assert [answer.status_code for answer in approvals] == [200, 200]
    assert (await view_when(both[1], job_id, "completed", "failed"))["status"] == "completed"
    orders = (await system.kie.get("orders/count"))["by_prompt"]
    assert [orders[prompt] for prompt in ("first, reviewed", "second, made anew")] == [1, 1]


async def a_cancelled_job_delivers_no_film(system: System, both: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> None:
    key = {"X-API-Key": "r"}
    record = "recCANCELLED00001"
    where = f"records/{record}"
    await system.airtable.post("seed", {"records": [{"id": record, "fields": {}}]})
    body = {"clips": [{"prompt": "never shown"}], "review": True, "recordId": record}
    job_id = (await both[0].post("/api/jobs", json=body, headers=key)).json()["data"]["jobId"]
    await view_when(both[1], job_id, "review")
    cancelled = await asyncio.gather(*(http.post(f"/api/job/{job_id}/cancel", headers=key) for http in both))
    assert [answer.json()["data"]["status"] for answer in cancelled] == ["cancelled", "cancelled"]
    async with asyncio.timeout(60):
        while "Cancelled" not in [write["value"] for write in (await system.airtable.get(where))["writes"]]:
            await asyncio.sleep(0.1)
    assert (await system.airtable.get(where))["attachments"] == []


async def a_batch_is_repeated_at_the_other(both: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> None:
    headers = {"X-API-Key": "r", "Idempotency-Key": "batch"}
    batch = [{"clips": [{"prompt": f"batch {number}"}]} for number in range(5)] + [{"clips": []}]
    first, again = await asyncio.gather(*(http.post("/api/jobs:batch", json=batch, headers=headers) for http in both))
    ids = [[item.get("jobId") for item in answer.json()["data"]["items"]] for answer in (first, again)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 6
    assert ids[0][5] is None
