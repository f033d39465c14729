"""Telling that a queue is long: then what waits in it is not lost, and asking for it again only makes it longer."""

import time
from collections.abc import Callable

from shared.bus.protocol import Bus
from shared.events import EventName as E

CROWDED = 100
"""Messages that wait in a queue before it counts as long."""
LOOK_EVERY_S = 5.0
_ACTS = {E.VIDEO_REQUESTED: "generator", E.VIDEO_CALLBACK: "generator", E.VIDEO_READY: "stitcher"}
"""Who does the step that an event asks for, where others only listen in; of all other events it is the uploader."""


class Crowding:
    """Looks at the queues, now and then, when asked.

    Args:
        bus: whose queues.
        clock_s: seconds, for how old a look may be.
    """

    def __init__(self, bus: Bus, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock_s = clock_s
        self._look_at_s = 0.0
        self._crowded: frozenset[E] = frozenset()

    async def events(self) -> frozenset[E]:
        """Return the events that wait in a long queue of whoever acts on them; none if the broker does not tell."""
        now_s = self._clock_s()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            health = await self._bus.health(everything=True)
            waiting = {stats.queue: stats.ready for stats in health.queues}
            self._crowded = frozenset(
                event for event in E if waiting.get(f"{_ACTS.get(event, 'uploader')}.{event}", 0) >= CROWDED
            )
        return self._crowded
