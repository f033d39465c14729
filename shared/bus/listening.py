"""Listening: every process hears every event, at best once, while it is there to hear it.

For what only concerns those who look on (live pages): nothing is kept, acknowledged or repeated. Whoever must not miss
an event consumes it; whoever listens looks at the job store now and then to heal what was lost.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection

from pydantic import ValidationError

from shared.bus.outcomes import describe
from shared.bus.tasks import finish
from shared.events import Event, EventName

BACKLOG = 1_000
"""Events that may wait for a slow handler in one process; the oldest are forgotten first."""

Listener = Callable[[Event], Awaitable[None]]
"""Hears one event. What it raises is logged and otherwise ignored."""

logger = logging.getLogger(__name__)


class Ear:
    """Hands what is heard to one listener, one event after the other, in a task of its own.

    Args:
        events: the names that it wants to hear.
        listener: see `Listener`.
        stopped: is told that this ear hears nothing any more.
    """

    def __init__(
        self, events: Collection[EventName], listener: Listener, stopped: "Callable[[Ear], None] | None" = None
    ) -> None:
        self.events = frozenset(events)
        self._listener = listener
        self._stopped = stopped
        self._heard: deque[bytes] = deque(maxlen=BACKLOG)
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to hand on."""
        self._task = asyncio.create_task(self._hand_on(), name="bus-ear")

    def hear(self, body: bytes) -> None:
        """Take an event's JSON; returns at once."""
        self._heard.append(body)
        self._more.set()

    async def stop(self) -> None:
        """Hand on nothing any more."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._stopped is not None:
            self._stopped(self)
        await finish([task], 0)

    async def _hand_on(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._heard:
                await self._tell(self._heard.popleft())

    async def _tell(self, body: bytes) -> None:
        try:
            event = Event.model_validate_json(body)
            if event.name in self.events:
                await self._listener(event)
        except ValidationError:
            logger.warning("heard something that is no event")
        except Exception as error:  # noqa: BLE001 - whatever it is, the next event is heard all the same
            logger.warning("a listener failed: %s", describe(error))
