"""Calls are counted by month, by all processes together."""

from datetime import UTC, datetime

from shared.airtable.limiter import BaseLimiter
from shared.airtable.quota import CountedLimiter, airtable_calls_this_month
from shared.store.memory import MemoryBackend


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class World:
    """The store that several processes share, and the time."""

    def __init__(self, now: str) -> None:
        self.now_ms = ms(now)
        self.store = MemoryBackend(self.clock)

    def clock(self) -> int:
        return self.now_ms

    def limiter(self, base: str = "appA") -> CountedLimiter:
        unlimited = BaseLimiter(self.store, base, requests_per_second=1000, clock=self.clock)
        return CountedLimiter(unlimited, self.store, base, clock=self.clock)

    async def calls(self) -> int:
        return await airtable_calls_this_month(self.store, self.now_ms)


async def test_every_call_of_every_process_and_base_counts() -> None:
    world = World("2026-11-22")
    assert await world.calls() == 0
    for limiter in (world.limiter(), world.limiter(), world.limiter("appB")):
        await limiter.acquire()
    assert await world.calls() == 3


async def test_a_month_ends_at_midnight_utc() -> None:
    world = World("2026-11-30T23:59:59")
    await world.limiter().acquire()
    assert await world.calls() == 1
    world.now_ms += 1000
    assert await world.calls() == 0
    await world.limiter().acquire()
    assert await world.calls() == 1


async def test_a_pause_holds_counted_callers_back() -> None:
    world = World("2026-11-22")
    await world.limiter().pause(30_000)
    assert await world.store.get_mark("airtable-paused:appA") == str(world.now_ms + 30_000)
    assert await world.calls() == 0
