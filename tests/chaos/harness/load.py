"""The user: posts jobs through all gateways and watches them end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.harness.plan import Wish

LOOK_EVERY_S = 3.0
AGAIN_S = 2.0
RECORDS = "recCHAOS"
FINAL = ("completed", "failed")


def record_id(number: int) -> str:
    """Return the id of the Airtable record of a wish; every try to post has its own."""
    return f"{RECORDS}{number:09d}"


@dataclass
class Tally:
    """What the user knows.

    Attributes:
        accepted: the wish behind each job id that a 202 named.
        unsure: wishes whose request got no answer, or one that does not tell whether a job was made.
        refused: requests that were refused, or did not reach anybody.
    """

    accepted: dict[str, Wish] = field(default_factory=dict)
    unsure: list[Wish] = field(default_factory=list)
    refused: int = 0


class Users:
    """Posts jobs and looks at them, through every gateway in turn.

    A wish is never posted twice: where a request was not answered by 202 or did not find anybody, the next wish is
    posted instead, for the first one may have been accepted.

    Args:
        urls: of the gateways.
        wishes: an endless supply.
        make_record: makes the Airtable record of that id.
    """

    def __init__(
        self, urls: Sequence[str], wishes: Iterator[Wish], make_record: Callable[[str], Awaitable[object]]
    ) -> None:
        self._urls = list(urls)
        self._wishes = wishes
        self._make_record = make_record
        self._turn = 0
        self.tally = Tally()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        self._turn += 1
        url = self._urls[self._turn % len(self._urls)]
        # No TLS here, and loading the certificate store would cost more than the call.
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, verify=False) as http:
            yield http

    async def post(self) -> str:
        """Post wishes until one is accepted; return its job id."""
        while True:
            wish = next(self._wishes)
            await self._make_record(record_id(wish.number))
            body = {"clips": [{"prompt": prompt} for prompt in wish.prompts], "recordId": record_id(wish.number)}
            try:
                async with self._client() as http:
                    answer = await http.post("/api/jobs", json=body)
            except httpx.ConnectError:
                self.tally.refused += 1
            except httpx.TransportError:
                self.tally.unsure.append(wish)
            else:
                if answer.status_code == 202:
                    job_id = str(answer.json()["data"]["jobId"])
                    self.tally.accepted[job_id] = wish
                    return job_id
                assert answer.status_code == 503, f"{answer.status_code}: {answer.text}"
                assert "retry-after" in answer.headers, "a 503 without Retry-After"
                self.tally.unsure.append(wish)
            await asyncio.sleep(AGAIN_S)

    async def until_final(self, job_id: str) -> dict[str, Any]:
        """Return the job once it has completed or failed."""
        while True:
            view = await self.get(f"/api/job/{job_id}")
            if view is not None and view["data"]["status"] in FINAL:
                found: dict[str, Any] = view["data"]
                return found
            await asyncio.sleep(LOOK_EVERY_S)

    async def get(self, path: str) -> dict[str, Any] | None:
        """Ask one gateway; None if it does not answer now."""
        try:
            async with self._client() as http:
                answer = await http.get(path)
        except httpx.TransportError:
            return None
        if answer.status_code == 503:
            return None
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    async def listed(self) -> list[str]:
        """Return the ids of all jobs there are, by the API's own listing."""
        ids: list[str] = []
        cursor: str | None = None
        while True:
            path = "/api/jobs?limit=200" + (f"&cursor={cursor}" if cursor else "")
            page = await self.get(path)
            if page is None:
                await asyncio.sleep(AGAIN_S)
                continue
            ids += [job["jobId"] for job in page["data"]]
            cursor = page["nextCursor"]
            if not cursor:
                return ids
