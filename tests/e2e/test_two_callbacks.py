"""The original's two-clip job, by fifties, through four real processes: every way that callbacks come."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.redis import RedisServer
from tests.support.system import System
from tests.support.upstash import UpstashTwin

JOBS = 50
STATUSES = ["Generating", "Processing", "Stitching", "Uploading", "Completed"]


@pytest.fixture(params=["redis", "upstash"])
def backing(request: pytest.FixtureRequest, rabbit_url: str, own_redis_server: RedisServer) -> Any:
    """Broker and store, once with Redis itself and once over Upstash's REST API."""
    if request.param == "redis":
        yield {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
        return
    twin = UpstashTwin(own_redis_server.url)
    twin.start()
    try:
        yield {
            "RABBITMQ_URL": rabbit_url,
            "UPSTASH_REDIS_REST_URL": twin.url,
            "UPSTASH_REDIS_REST_TOKEN": twin.token,
        }
    finally:
        twin.stop()


async def make_films(system: System, name: str) -> None:
    """Post fifty two-clip jobs, each for a record of its own, and check what becomes of them."""
    records = [f"rec{name}{number:0{14 - len(name)}d}" for number in range(JOBS)]
    await system.airtable.post("seed", {"records": [{"id": record, "fields": {}} for record in records]})
    async with system.client() as http:

        async def post(number: int) -> str:
            body = {
                "prompt1": f"{name} job {number} first",
                "prompt2": f"{name} job {number} second",
                "recordId": records[number],
            }
            answer = await http.post("/api/generate-video", json=body)
            assert answer.status_code == 202, answer.text
            job_id: str = answer.json()["data"]["jobId"]
            return job_id

        job_ids = await asyncio.gather(*(post(number) for number in range(JOBS)))
        finished = await system.until_finished(http, job_ids, timeout_s=300)
    failures = {job_id: view["error"] for job_id, view in finished.items() if view["status"] != "completed"}
    assert failures == {}
    orders = (await system.kie.get("orders/count"))["by_prompt"]
    mine = {prompt: count for prompt, count in orders.items() if prompt.startswith(f"{name} ")}
    assert len(mine) == 2 * JOBS
    assert set(mine.values()) == {1}, "a clip was ordered twice"
    for record_id in records:
        record = await system.airtable.get(f"records/{record_id}")
        assert len(record["attachments"]) == 1, f"{record_id}: {record['attached']}"
        written = [change["value"] for change in record["writes"] if change["field"] == "Status"]
        assert written[-1] == "Completed"
        assert written == [status for status in STATUSES if status in written], "Status went back"


@pytest.mark.timeout(1000)
async def test_fifty_jobs_complete_whatever_their_callbacks_do(backing: dict[str, str], tmp_path: Path) -> None:
    """Both callbacks in the same millisecond; every callback three times; every fifth callback lost."""
    async with System(tmp_path, backing, replicas={"generator": 2}) as system:
        await system.kie.fault("callback=barrier:2", group=r"job \d+")
        await make_films(system, "same")
        await system.kie.clear_faults()
        await system.kie.fault("callback=duplicate:3")
        await make_films(system, "thrice")
        await system.kie.clear_faults()
        await system.kie.fault("callback=lost", every=5)
        await make_films(system, "lost")
