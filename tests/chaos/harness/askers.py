"""What the tests of outages ask a running arena."""

import uuid
from collections.abc import Sequence
from typing import Any

import httpx

from tests.chaos.harness.arena import Arena
from tests.support.waiting import eventually

PATIENCE_S = 150.0


class Asker:
    """A user of the first gateway.

    Args:
        arena: the running system.
        http: a client of its first gateway.
    """

    def __init__(self, arena: Arena, http: httpx.AsyncClient) -> None:
        self._arena = arena
        self._http = http

    async def post(self, prompts: Sequence[str], *, with_record: bool = True) -> httpx.Response:
        """Ask for a film, for a record of its own."""
        body: dict[str, Any] = {"clips": [{"prompt": prompt} for prompt in prompts]}
        if with_record:
            body["recordId"] = f"rec{uuid.uuid4().hex[:14]}"
            record = {"id": body["recordId"], "fields": {}}
            await self._arena.system.airtable.post("seed", {"records": [record]})
        return await self._http.post("/api/jobs", json=body)

    async def accepted(self, prompts: Sequence[str]) -> str:
        """Ask for a film and return its job id."""
        answer = await self.post(prompts)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["jobId"])

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return a job; {} while the gateway cannot tell, or is being replaced."""
        try:
            answer = await self._http.get(f"/api/job/{job_id}")
        except httpx.TransportError:
            return {}
        if answer.status_code == 503:
            return {}
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    async def until_status(self, job_id: str, *statuses: str) -> dict[str, Any]:
        """Return the job once it has one of these statuses."""
        seen: dict[str, Any] = {}

        async def reached() -> bool:
            nonlocal seen
            seen = await self.job(job_id)
            return seen.get("status") in statuses

        try:
            await eventually(reached, f"job {job_id} is {' or '.join(statuses)}", PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}") from None
        return seen

    async def until_complete(self, job_id: str) -> None:
        """Wait for a film; check that nothing was paid or delivered twice."""
        job = await self.until_status(job_id, "completed", "failed")
        assert job["status"] == "completed", job.get("failure")
        counts = (await self._arena.system.kie.get("orders/count"))["by_prompt"]
        orders = [counts[clip["prompt"]] for clip in job["clips"]]
        assert set(orders) == {1}, f"orders of {job_id} by clip: {orders}"
        record = await self._arena.system.airtable.get(f"records/{job['recordId']}")
        films = [attached["filename"] for attached in record["attachments"]]
        assert films == [f"{job_id}.mp4"], f"{job_id} has {films} in its record"

    async def job_count(self) -> int:
        """Return how many jobs there are."""
        answer = await self._http.get("/api/jobs?limit=200")
        assert answer.status_code == 200, answer.text
        return len(answer.json()["data"])

    async def until_unready(self, name: str, dependency: str) -> None:
        """Wait until a process names that dependency as the one that does not answer, while it stays alive itself."""

        async def named() -> bool:
            answer = await self._probe(name, "readyz")
            checks = answer.json()["checks"]
            return answer.status_code == 503 and [which for which in checks if not checks[which]["ok"]] == [dependency]

        await eventually(named, f"{name} names {dependency}", PATIENCE_S)
        assert (await self._probe(name, "healthz")).status_code == 200

    async def until_ready(self, name: str) -> None:
        """Wait until a process is ready again."""

        async def ready() -> bool:
            return (await self._probe(name, "readyz")).status_code == 200

        await eventually(ready, f"{name} is ready", PATIENCE_S)

    async def _probe(self, name: str, path: str) -> httpx.Response:
        return await self._http.get(f"http://127.0.0.1:{self._arena.system.ports[name]}/{path}")
