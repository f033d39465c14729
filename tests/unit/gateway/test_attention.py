"""A gateway hears events while somebody reads, and no longer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.gateway.attention import Attention
from shared.bus.memory import MemoryBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.events import Event, EventName, JobCancelled
from tests.support.waiting import eventually


class Hall:
    """A bus, and what was heard on it."""

    def __init__(self, linger_s: float) -> None:
        self.bus = MemoryBus(SUBSCRIPTIONS)
        self.heard: list[Event] = []
        self.attention = Attention(self.bus, [EventName.JOB_CANCELLED], self.hear, linger_s)

    async def hear(self, event: Event) -> None:
        self.heard.append(event)

    @property
    def listeners(self) -> int:
        return len(self.bus._ears)

    async def until_listeners(self, count: int) -> None:
        async def there() -> bool:
            return self.listeners == count

        await eventually(there, f"{count} listen")

    async def publish(self, step: str) -> None:
        await self.bus.publish(Event.of("job_1", JobCancelled(), source="gateway", step=step, traceparent=None))


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    hall = Hall(linger_s=0.0)
    await hall.bus.start()
    yield hall
    await hall.attention.close()
    await hall.bus.close()


async def test_nobody_listens_before_the_first_reader_comes(hall: Hall) -> None:
    await hall.publish("1")
    assert hall.listeners == 0
    hall.attention.come()
    hall.attention.come()
    assert hall.attention.present == 2
    await hall.until_listeners(1)
    await hall.publish("2")

    async def heard() -> bool:
        return len(hall.heard) == 1

    await eventually(heard, "the second event is heard")


async def test_nobody_listens_after_the_last_reader_has_left_and_again_for_the_next(hall: Hall) -> None:
    hall.attention.come()
    await hall.until_listeners(1)
    hall.attention.go()
    await hall.until_listeners(0)
    hall.attention.come()
    await hall.until_listeners(1)


async def test_a_page_that_reloads_misses_nothing() -> None:
    hall = Hall(linger_s=60.0)
    await hall.bus.start()
    hall.attention.come()
    await hall.until_listeners(1)
    hall.attention.go()
    hall.attention.come()
    await hall.publish("1")

    async def heard() -> bool:
        return len(hall.heard) == 1

    await eventually(heard, "the event is heard")
    hall.attention.go()
    await hall.attention.close()
    assert hall.listeners == 0
    await hall.bus.close()


async def test_a_reader_who_leaves_before_the_broker_answered_leaves_nothing_behind(hall: Hall) -> None:
    hall.attention.come()
    hall.attention.go()
    await asyncio.sleep(0)
    await hall.attention.close()
    assert hall.listeners == 0
