import asyncio
from collections import Counter

from shared.airtable.limiter import BaseLimiter, local_limiter
from shared.store.memory import MemoryBackend


class World:
    """A clock that only moves when somebody sleeps, and the marks that several limiters share."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.marks = MemoryBackend(self.clock)

    def clock(self) -> int:
        return self.now_ms

    async def sleep(self, seconds: float) -> None:
        self.now_ms += max(1, round(seconds * 1000))
        await asyncio.sleep(0)

    def limiter(self, base: str = "appA") -> BaseLimiter:
        return BaseLimiter(self.marks, base, clock=self.clock, sleep=self.sleep)


async def test_a_base_gets_four_calls_in_any_second() -> None:
    world = World()
    limiter = world.limiter()
    times = []
    for _ in range(12):
        await limiter.acquire()
        times.append(world.now_ms)
    assert times[3] == times[0]
    assert all(later - earlier >= 1000 for earlier, later in zip(times, times[4:], strict=False))


async def test_limiters_of_several_processes_share_one_limit() -> None:
    world = World()
    first, second = world.limiter(), world.limiter()
    times = []
    for _ in range(8):
        await first.acquire()
        await second.acquire()
        times += [world.now_ms]
    assert max(Counter(times).values()) <= 2


async def test_a_pause_of_one_holds_everybody_back() -> None:
    world = World()
    started = world.now_ms
    await world.limiter().pause(30_000)
    await world.limiter().acquire()
    assert world.now_ms >= started + 30_000


async def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    world = World()
    started = world.now_ms
    limiter = world.limiter()
    await limiter.pause(30_000)
    await limiter.pause(1_000)
    await limiter.acquire()
    assert world.now_ms >= started + 30_000


async def test_bases_do_not_wait_for_one_another() -> None:
    world = World()
    started = world.now_ms
    await world.limiter("appA").pause(30_000)
    await world.limiter("appB").acquire()
    assert world.now_ms == started


async def test_a_caller_who_gives_up_leaves_the_queue_free() -> None:
    world = World()
    limiter = world.limiter()
    await limiter.pause(30_000)
    task = asyncio.create_task(limiter.acquire())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await limiter.acquire()
    assert task.cancelled()


async def test_the_local_limiter_lets_the_first_calls_through_at_once() -> None:
    limiter = local_limiter("appA")
    async with asyncio.timeout(5):
        for _ in range(4):
            await limiter.acquire()
