"""A reader of Server-Sent Events, as a browser is one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True)
class Sent:
    """One event as it came."""

    name: str
    data: dict[str, Any]
    id: str | None = None


@dataclass
class Reading:
    """A stream that is being read.

    Attributes:
        events: what has come so far.
        comments: how many lines of comment.
        ended: whether the server has ended the stream.
    """

    status: int
    events: list[Sent] = field(default_factory=list)
    comments: int = 0
    ended: bool = False
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def jobs(self) -> list[Sent]:
        """The `job` events."""
        return [event for event in self.events if event.name == "job"]

    @property
    def statuses(self) -> list[str]:
        """The status in each `job` event."""
        return [event.data["status"] for event in self.jobs]

    async def until(self, condition: Any, what: str, timeout_s: float = 20) -> None:
        """Return as soon as `condition(self)` is true."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition(self):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"not within {timeout_s:g} s: {what}; so far {self}") from None

    async def until_ended(self, timeout_s: float = 20) -> None:
        """Return when the server has ended the stream."""
        await self.until(lambda reading: reading.ended, "the end of the stream", timeout_s)

    async def _read(self, response: httpx.Response) -> None:
        fields: dict[str, str] = {}
        try:
            async for line in response.aiter_lines():
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    self.events.append(Sent(fields["event"], json.loads(fields["data"]), fields.get("id")))
                    fields = {}
                else:
                    fields = {}
                self._more.set()
        except httpx.TransportError:
            pass  # the server is gone: an end, too
        self.ended = True
        self._more.set()


@asynccontextmanager
async def reading(http: httpx.AsyncClient, path: str, last_event_id: str | None = None) -> AsyncIterator[Reading]:
    """Read a stream in the background; on leaving, hang up."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}
    async with http.stream("GET", path, headers=headers) as response:
        found = Reading(response.status_code)
        task = asyncio.create_task(found._read(response))
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
