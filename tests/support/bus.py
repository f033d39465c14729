"""What tests of a bus need: events, handlers that do as they are told, and an observer that remembers."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from shared.bus.observer import Publication, Settlement
from shared.bus.protocol import Delivery, Subscription
from shared.events import Event, EventName, JobCreated, VideoReady, VideoRequested
from tests.support.waiting import eventually

REQUESTED = Subscription("generator", EventName.VIDEO_REQUESTED, max_attempts=3, backoff_s=0.02, backoff_max_s=0.05)
READY_STITCHER = Subscription("stitcher", EventName.VIDEO_READY, max_attempts=3, backoff_s=0.02, backoff_max_s=0.05)
READY_UPLOADER = replace(READY_STITCHER, service="uploader")


def requested(number: int = 1, job: str = "job_1") -> Event:
    """An order for clip `number`."""
    return Event.of(job, VideoRequested(clip=number), source="generator", step=str(number))


def ready(number: int = 1) -> Event:
    """The news that clip `number` is home."""
    return Event.of("job_1", VideoReady(clip=number), source="generator", step=str(number))


def created() -> Event:
    """An event that nobody listens to in these tests."""
    return Event.of("job_1", JobCreated(clips=2), source="gateway", step="1")


class Script:
    """A handler that ends each delivery as told and remembers what it saw.

    Args:
        endings: what to raise at the first, second, … delivery of each event (None: return); after that, return.
    """

    def __init__(self, endings: Iterable[BaseException | None] = ()) -> None:
        self._endings = list(endings)
        self._seen: dict[str, int] = defaultdict(int)
        self.deliveries: list[Delivery] = []

    async def __call__(self, delivery: Delivery) -> None:
        """Handle."""
        self.deliveries.append(delivery)
        turn = self._seen[delivery.event.id]
        self._seen[delivery.event.id] += 1
        ending = self._endings[turn] if turn < len(self._endings) else None
        if ending is not None:
            raise ending.with_traceback(None)  # or its traceback would grow with every delivery

    async def wait_for(self, count: int, timeout_s: float = 20.0) -> None:
        """Return once there were `count` deliveries."""

        async def enough() -> bool:
            return len(self.deliveries) >= count

        await eventually(enough, f"{count} deliveries, there were {len(self.deliveries)}", timeout_s)


class Hearer:
    """A listener that remembers, and fails the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self._failures = failures
        self.events: list[Event] = []

    async def __call__(self, event: Event) -> None:
        """Hear."""
        self.events.append(event)
        if len(self.events) <= self._failures:
            raise RuntimeError("hard of hearing")

    async def wait_for(self, *ids: str, timeout_s: float = 20.0) -> None:
        """Return once events of these ids were heard."""

        async def heard() -> bool:
            return set(ids) <= {event.id for event in self.events}

        await eventually(heard, f"{ids} heard", timeout_s)


class Gate:
    """A handler that waits inside until it is let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.started: list[Delivery] = []
        self.ended: list[Delivery] = []
        self.cancelled: list[Delivery] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, delivery: Delivery) -> None:
        """Handle."""
        self.started.append(delivery)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(delivery)
            raise
        finally:
            self.at_once -= 1
        self.ended.append(delivery)

    async def wait_started(self, count: int, timeout_s: float = 20.0) -> None:
        """Return once `count` deliveries are inside or were."""

        async def enough() -> bool:
            return len(self.started) >= count

        await eventually(enough, f"{count} deliveries begun, there were {len(self.started)}", timeout_s)

    async def wait_ended(self, count: int, timeout_s: float = 20.0) -> None:
        """Return once `count` deliveries went through."""

        async def enough() -> bool:
            return len(self.ended) >= count

        await eventually(enough, f"{count} deliveries ended, there were {len(self.ended)}", timeout_s)


class Epitaphs:
    """An `on_dead` that remembers, and fails the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self._failures = failures
        self.told: list[tuple[Delivery, str]] = []

    async def __call__(self, delivery: Delivery, reason: str) -> None:
        """Hear of a death."""
        self.told.append((delivery, reason))
        if len(self.told) <= self._failures:
            raise RuntimeError("the store is down")


class Diary:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def published(self, event: EventName, outcome: Publication) -> None:
        """Remember."""
        self.entries.append(f"published {event} {outcome}")

    def delivered(self, subscription: Subscription, delivery: Delivery) -> None:
        """Remember."""
        self.entries.append(f"delivered {subscription.queue} {delivery.attempt}")

    def settled(self, subscription: Subscription, delivery: Delivery, outcome: Settlement, seconds: float) -> None:
        """Remember."""
        assert seconds >= 0
        self.entries.append(f"settled {subscription.queue} {delivery.attempt} {outcome}")

    def dead(self, subscription: Subscription, reason: str) -> None:
        """Remember."""
        self.entries.append(f"dead {subscription.queue} {reason}")
