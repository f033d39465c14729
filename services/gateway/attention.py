"""Listening while somebody is there for whom it is worth it.

To hear of an event costs a gateway, and each of its replicas, an eighth of what accepting a job does (measured), and a
job has a dozen of them.
"""

import asyncio
from collections.abc import Collection

from shared.bus.listening import Listener
from shared.bus.protocol import Bus
from shared.events import EventName

LINGER_S = 30.0
"""How long events are heard after the last reader left: pages reload."""


class Attention:
    """Lets a listener hear events from when the first reader comes until a while after the last one left.

    Args:
        bus: where they are heard.
        events: which.
        listener: who hears them.
        linger_s: how long that while is.
    """

    def __init__(self, bus: Bus, events: Collection[EventName], listener: Listener, linger_s: float) -> None:
        self._bus = bus
        self._events = events
        self._listener = listener
        self._linger_s = linger_s
        self._present = 0
        self._going: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def present(self) -> int:
        """How many readers there are."""
        return self._present

    def come(self) -> None:
        """There is one reader more. What happens until the broker has made a queue for them is not heard."""
        self._present += 1
        self._stay()
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="live-listening")

    def go(self) -> None:
        """There is one reader less."""
        self._present -= 1
        if not self._present:
            self._going = asyncio.get_running_loop().call_later(self._linger_s, self._leave)

    async def close(self) -> None:
        """Hear nothing any more."""
        self._leave()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _stay(self) -> None:
        if self._going is not None:
            self._going.cancel()
            self._going = None

    def _leave(self) -> None:
        self._stay()
        task, self._task = self._task, None
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()

    async def _listen(self) -> None:
        hearing = await self._bus.listen(self._events, self._listener)
        try:
            await asyncio.Event().wait()
        finally:
            await hearing.stop()
