"""Asking the provider no faster than it allows, all replicas together."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.store.jobs import JobStore

BUCKET = "provider:looks"
WINDOW_MS = 1000


class Turns:
    """Permits to ask, shared through the store. Within a process they are given out in order.

    Waiting here instead of sending the message round again keeps a crowd of callbacks from becoming a storm.
    """

    def __init__(
        self, store: JobStore, per_second: int, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._store = store
        self._per_second = per_second
        self._sleep = sleep
        self._queue = asyncio.Lock()

    async def take(self) -> None:
        """Return when it is our turn. Raises `StoreUnavailable`."""
        async with self._queue:
            while True:
                wait_ms = await self._store.take(BUCKET, self._per_second, WINDOW_MS)
                if not wait_ms:
                    return
                await self._sleep(wait_ms / 1000)
