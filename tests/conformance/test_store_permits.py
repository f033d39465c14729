"""The shared sliding window of every backend: never more permits than the limit in any window."""

import asyncio
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.store.protocol import Backend
from tests.support.fixtures_store import Connect, FakeClock

NOW = 1_800_000_000_000


def bucket() -> str:
    return f"bucket-{uuid.uuid4().hex}"


def most_in_a_window(granted: list[int], window_ms: int) -> int:
    return max((sum(start <= at < start + window_ms for at in granted) for start in granted), default=0)


async def test_the_limit_is_granted_at_once_and_then_a_wait(store_backend: Backend) -> None:
    name = bucket()
    answers = [await store_backend.take(name, 3, 1_000, NOW + n) for n in range(4)]
    assert answers == [0, 0, 0, 997]


async def test_waiting_as_told_is_enough(store_backend: Backend) -> None:
    name = bucket()
    for n in (0, 400):
        assert await store_backend.take(name, 2, 1_000, NOW + n) == 0
    wait = await store_backend.take(name, 2, 1_000, NOW + 500)
    assert wait == 500
    assert await store_backend.take(name, 2, 1_000, NOW + 500 + wait - 1) == 1
    assert await store_backend.take(name, 2, 1_000, NOW + 500 + wait) == 0


async def test_a_refused_request_takes_nothing(store_backend: Backend) -> None:
    name = bucket()
    assert await store_backend.take(name, 1, 1_000, NOW) == 0
    for _ in range(20):
        assert await store_backend.take(name, 1, 1_000, NOW + 500) == 500
    assert await store_backend.take(name, 1, 1_000, NOW + 1_000) == 0


async def test_nothing_is_granted_while_a_pause_stands(store_backend: Backend, store_clock: FakeClock) -> None:
    name, pause, now = bucket(), bucket(), store_clock()
    await store_backend.put_mark(pause, "until later", 60_000)
    wait = await store_backend.take(name, 1, 1_000, now, pause)
    assert wait == 60_000
    assert await store_backend.take(name, 1, 1_000, now, bucket()) == 0, "the pause of something else does not count"
    assert await store_backend.take(bucket(), 1, 1_000, now + wait, pause) == 0, "waiting as told is enough"


async def test_buckets_do_not_know_each_other(store_backend: Backend) -> None:
    assert await store_backend.take(bucket(), 1, 1_000, NOW) == 0
    assert await store_backend.take(bucket(), 1, 1_000, NOW) == 0


async def test_a_lowered_limit_waits_for_enough_permits_to_lapse(store_backend: Backend) -> None:
    name = bucket()
    for n in range(5):
        assert await store_backend.take(name, 5, 1_000, NOW + n) == 0
    assert await store_backend.take(name, 2, 1_000, NOW + 10) == 993


async def test_processes_share_one_window(connect_store: Connect) -> None:
    handles = [await connect_store() for _ in range(3)]
    name = bucket()
    answers = await asyncio.gather(*(handles[n % 3].take(name, 20, 10_000, NOW) for n in range(60)))
    assert answers.count(0) == 20
    assert set(answers) == {0, 10_000}


async def test_a_clock_that_was_far_ahead_does_not_close_the_window_for_good(store_backend: Backend) -> None:
    name = bucket()
    assert await store_backend.take(name, 1, 1_000, NOW + 3_600_000) == 0
    assert await store_backend.take(name, 1, 1_000, NOW) == 0
    assert await store_backend.take(name, 1, 1_000, NOW + 1) == 999


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 5),
    window_ms=st.integers(1, 50),
    steps=st.lists(st.integers(0, 30), min_size=1, max_size=40),
)
async def test_never_more_than_the_limit_in_any_window(
    store_backend: Backend, limit: int, window_ms: int, steps: list[int]
) -> None:
    name, now, granted = bucket(), NOW, list[int]()
    for step in steps:
        now += step
        wait = await store_backend.take(name, limit, window_ms, now)
        inside = [at for at in granted if at > now - window_ms]
        if wait == 0:
            granted.append(now)
        else:
            assert len(inside) == limit, "refused although there was room"
            assert now + wait == inside[0] + window_ms
    assert most_in_a_window(granted, window_ms) <= limit
