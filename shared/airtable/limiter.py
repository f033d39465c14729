"""How fast a base may be called: 5 requests per second and base, else 30 s of silence (Airtable's errors page).

All processes that use one base share a sliding window and a "paused until" mark, kept in the job store.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.clock import Clock, now_ms
from shared.store.memory import MemoryBackend

REQUESTS_PER_SECOND = 4
"""One below Airtable's 5: people's scripts and automations use the same base."""
_WINDOW_MS = 1000


class Limiter(Protocol):
    """Asked before every call."""

    async def acquire(self) -> None:
        """Return when a call may be made."""

    async def pause(self, ms: int) -> None:
        """Let nobody call for `ms` from now on."""


class Marks(Protocol):
    """The part of `shared.store.protocol.Backend` that a limiter needs."""

    async def put_mark(self, key: str, value: str, ttl_ms: int) -> None:
        """Set a mark that disappears after `ttl_ms`."""

    async def get_mark(self, key: str) -> str | None:
        """Return a mark's value, or None."""

    async def take(self, bucket: str, limit: int, window_ms: int, now_ms: int, pause: str = "") -> int:
        """Take a permit (0) unless the mark `pause` stands, or return the milliseconds to wait before asking again."""


class BaseLimiter:
    """One base's limit, shared by everybody who uses the same `marks`."""

    def __init__(
        self,
        marks: Marks,
        base_id: str,
        *,
        requests_per_second: int = REQUESTS_PER_SECOND,
        clock: Clock = now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._marks = marks
        self._bucket = f"airtable:{base_id}"
        self._pause_key = f"airtable-paused:{base_id}"
        self._limit = requests_per_second
        self._clock = clock
        self._sleep = sleep
        self._queue = asyncio.Lock()

    async def acquire(self) -> None:
        """Return when a call may be made. Callers of one process are served in order.

        Raises:
            StoreUnavailable: the shared marks cannot be read.
        """
        async with self._queue:
            while wait_ms := await self._wait_ms():
                await self._sleep(wait_ms / 1000)

    async def pause(self, ms: int) -> None:
        """Let nobody call for `ms` from now on; a longer pause that is already set stays.

        Raises:
            StoreUnavailable: the shared marks cannot be written.
        """
        if ms > await self._paused_ms():
            await self._marks.put_mark(self._pause_key, str(self._clock() + ms), ms)

    async def _wait_ms(self) -> int:
        return await self._marks.take(self._bucket, self._limit, _WINDOW_MS, self._clock(), self._pause_key)

    async def _paused_ms(self) -> int:
        until = await self._marks.get_mark(self._pause_key)
        return max(0, int(until) - self._clock()) if until else 0


def local_limiter(base_id: str) -> BaseLimiter:
    """Return a limiter of this process alone, for tools that run without a store."""
    return BaseLimiter(MemoryBackend(), base_id)
