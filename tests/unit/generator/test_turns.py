"""Questions to the provider are asked no faster than it allows, in the order in which they came."""

import asyncio

from services.generator.turns import Turns
from shared.store.jobs import JobStore
from tests.support.faulty import FaultyBackend
from tests.support.fixtures_store import FakeClock


class Setting:
    """Turns of several processes on one store, and a clock that only waiting moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = JobStore(
            FaultyBackend(self.clock), due_at=lambda _job: None, expires_at=lambda _job: None, clock=self.clock
        )
        self.asked: list[int] = []

    def turns(self, per_second: int) -> Turns:
        """Turns as one more process has them."""
        return Turns(self.store, per_second, sleep=self._leap)

    async def _leap(self, seconds: float) -> None:
        self.clock.now += round(seconds * 1000)
        await asyncio.sleep(0)

    async def ask(self, turns: Turns) -> None:
        await turns.take()
        self.asked.append(self.clock.now)


async def test_a_crowd_is_spread_over_the_windows_whatever_process_it_is_in() -> None:
    at = Setting()
    one, two = at.turns(5), at.turns(5)
    start = at.clock.now
    for number in range(12):
        await at.ask(one if number % 2 else two)
    windows = [(time - start) // 1000 for time in at.asked]
    assert [windows.count(window) for window in (0, 1, 2)] == [5, 5, 2]


async def test_within_a_process_the_first_to_come_is_the_first_to_ask() -> None:
    at = Setting()
    turns, order = at.turns(1), []

    async def ask(number: int) -> None:
        await turns.take()
        order.append(number)

    await asyncio.gather(*(ask(number) for number in range(6)))
    assert order == list(range(6))


async def test_who_stops_waiting_lets_the_next_one_go() -> None:
    store = JobStore(FaultyBackend(), due_at=lambda _job: None, expires_at=lambda _job: None)
    turns = Turns(store, 1)
    await turns.take()
    impatient = asyncio.create_task(turns.take())
    next_one = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait_for(next_one, 10)
