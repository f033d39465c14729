"""Announcing new jobs behind their answers.

A job that is stored will be made, announced or not: the reconciler of any gateway or worker announces what nobody
seems to have heard of. So the caller need not wait for the broker to have written the announcement to its disks, only
for the store.
"""

import asyncio

import structlog

from shared.emitter import Emitter
from shared.job.model import Job

log = structlog.get_logger(__name__)

AT_ONCE = 200
"""Announcements under way in one process. Further callers wait for a place: a broker that is slow slows them down."""
FINISH_S = 5.0
"""How long a gateway that stops waits for them; what is left over is announced by the reconciler."""


class Announcer:
    """Announces jobs, many at a time."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._places = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[bool]] = set()

    async def announce(self, job: Job) -> None:
        """Announce a job that is stored; returns at once unless too many are under way: callers are let on in turn."""
        await self._places.acquire()
        task = asyncio.create_task(self._emitter.announce(job), name="announce")
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Wait for those under way."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=FINISH_S)

    def _ended(self, task: "asyncio.Task[bool]") -> None:
        self._under_way.discard(task)
        self._places.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job was not announced now", exc_info=error)
