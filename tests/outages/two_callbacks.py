"""The original's two-clip job, dozens at a time, through four real processes: every way that callbacks come."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis import RedisServer
from tests.support.system import System
from tests.support.upstash import UpstashTwin

JOBS = {"redis": 50, "upstash": 20}
"""In the same moment; fewer where every command of the store is an HTTP request."""
FEWER = 20
STATUSES = ["Generating", "Processing", "Stitching", "Uploading", "Completed"]


@pytest.fixture
def backing(store: str, rabbit_url: str, own_redis_server: RedisServer) -> Iterator[dict[str, str]]:
    """Broker and store, once with Redis itself and once over Upstash's REST API."""
    if store == "redis":
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


async def make_films(system: System, name: str, jobs: int) -> None:
    """Post two-clip jobs, each for a record of its own, and check what becomes of them."""
    records = [f"rec{name}{number:0{14 - len(name)}d}" for number in range(jobs)]
    await system.airtable.post("seed", {"records": [{"id": record, "fields": {}} for record in records]})
    async with system.client() as http:

        async def post(number: int) -> str:
            key = {"Idempotency-Key": records[number]}
            body = {
                "prompt1": f"{name} job {number} first",
                "prompt2": f"{name} job {number} second",
                "recordId": records[number],
            }
            answer = await http.post("/api/generate-video", json=body, headers=key)
            while answer.status_code == 503:  # fifty at once can be too many for a busy machine
                await asyncio.sleep(float(answer.headers["Retry-After"]))
                answer = await http.post("/api/generate-video", json=body, headers=key)
            assert answer.status_code in (200, 202), answer.text
            job_id: str = answer.json()["data"]["jobId"]
            return job_id

        job_ids = await asyncio.gather(*(post(number) for number in range(jobs)))
        finished = await system.until_finished(http, job_ids, timeout_s=300)
    failures = {job_id: view["error"] for job_id, view in finished.items() if view["status"] != "completed"}
    assert failures == {}
    orders = (await system.kie.get("orders/count"))["by_prompt"]
    mine = {prompt: count for prompt, count in orders.items() if prompt.startswith(f"{name} ")}
    assert len(mine) == 2 * jobs
    assert set(mine.values()) == {1}, "a clip was ordered twice"
    for record_id in records:
        record = await system.airtable.get(f"records/{record_id}")
        assert len(record["attachments"]) == 1, f"{record_id}: {record['attached']}"
        written = [change["value"] for change in record["writes"] if change["field"] == "Status"]
        assert written[-1] == "Completed"
        # A status may be written twice where a slow store made its writer's lease lapse.
        assert written == sorted(written, key=STATUSES.index), "Status went back"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", JOBS)
async def test_many_jobs_complete_whatever_their_callbacks_do(
    store: str, backing: dict[str, str], tmp_path: Path
) -> None:
    """Both callbacks in the same millisecond; every callback three times; every fifth callback lost."""
    async with System(tmp_path, backing, replicas={"generator": 2}) as system:
        await system.kie.fault("callback=barrier:2", group=r"job \d+")
        await make_films(system, "same", JOBS[store])
        await system.kie.clear_faults()
        await system.kie.fault("callback=duplicate:3")
        await make_films(system, "thrice", FEWER)
        await system.kie.clear_faults()
        await system.kie.fault("callback=lost", every=5)
        await make_films(system, "lost", FEWER)
