"""The clients of the original work unchanged: curl, the poll in JavaScript, an Airtable automation's script.

Two replicas of the gateway share the work; what one accepted, the other knows.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.redis import RedisServer
from tests.support.system import System

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture
async def system(rabbit_url: str, own_redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[System]:
    """The services as processes, with two gateways."""
    backing = {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
    async with System(tmp_path, backing, replicas={"gateway": 2}) as running:
        yield running


def replica(system: System, number: int) -> str:
    return f"http://127.0.0.1:{system.ports['gateway' if number == 1 else f'gateway-{number}']}"


async def run(*command: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_curl_asks_one_replica_for_the_job_that_another_accepted(system: System) -> None:
    body = '{"prompt1": "A sunset over the ocean", "prompt2": "Stars in the night sky", "aspectRatio": "landscape"}'
    post = ["curl", "-sS", "-X", "POST", "-H", "Content-Type: application/json", "-d", body]
    accepted: dict[str, Any] = json.loads(await run(*post, f"{replica(system, 1)}/api/generate-video"))
    job_id = accepted["data"]["jobId"]
    assert accepted["success"] is True
    shown = json.loads(await run("curl", "-sS", f"{replica(system, 2)}/api/job/{job_id}"))
    assert shown["data"]["jobId"] == job_id


async def test_the_poll_in_javascript_sees_the_job_completed(system: System) -> None:
    out = await run("node", str(CLIENTS / "poll.mjs"), API=replica(system, 1), PAUSE_MS="200")
    done = json.loads(out[out.index("Job completed! ") + len("Job completed! ") :])
    assert done["status"] == "completed"
    assert done["completedAt"] >= done["createdAt"]
    assert done["video1Url"].startswith("http")
    assert done["video2Url"].startswith("http")


async def test_an_automation_that_fires_twice_pays_once(system: System) -> None:
    """Once at each replica, at the same time; and again when our own Status write fires it once more."""
    record = "recAUTOMATION0001"
    fields = {"Prompt 1": "A chef cooking, once", "Prompt 2": "Plating the dish, once"}
    await system.airtable.post("seed", {"records": [{"id": record, "fields": fields}]})
    script = str(CLIENTS / "automation.mjs")
    fired = await asyncio.gather(
        *(run("node", script, API=replica(system, number), RECORD_ID=record) for number in (1, 2))
    )
    assert fired[0] == fired[1]
    async with system.client() as http:
        finished = await system.until_finished(http, [fired[0].strip()])
    assert [view["status"] for view in finished.values()] == ["completed"]
    orders = (await system.kie.get("orders/count"))["by_prompt"]
    assert {orders[prompt] for prompt in fields.values()} == {1}
    assert len((await system.airtable.get(f"records/{record}"))["attachments"]) == 1
