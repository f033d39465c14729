"""Counters that all processes share: added to together or not at all, and once per token."""

import asyncio
import uuid

import pytest

from shared.store.protocol import Backend, Tally
from tests.support.fixtures_store import Connect, FakeClock

HOUR_MS = 3_600_000


@pytest.fixture
def book() -> str:
    """A book that no other test uses."""
    return f"book-{uuid.uuid4().hex}"


async def test_counters_add_up(store_backend: Backend, book: str) -> None:
    first = await store_backend.tally(book, {"a": 2, "b:ü 1": 3}, {}, None, HOUR_MS)
    again = await store_backend.tally(book, {"a": 5}, {}, None, HOUR_MS)
    assert (first, again) == (Tally(None, {"a": 2, "b:ü 1": 3}), Tally(None, {"a": 7}))
    assert await store_backend.amounts(book) == {"a": 7, "b:ü 1": 3}


async def test_a_book_nobody_wrote_in_is_empty(store_backend: Backend, book: str) -> None:
    assert await store_backend.amounts(book) == {}


async def test_nothing_is_added_if_one_counter_would_pass_its_cap(store_backend: Backend, book: str) -> None:
    await store_backend.tally(book, {"a": 8, "b": 1}, {"a": 10, "b": 10}, "t1", HOUR_MS)
    refused = await store_backend.tally(book, {"b": 1, "a": 3}, {"a": 10, "b": 10}, "t2", HOUR_MS)
    assert refused == Tally("a", {"b": 1, "a": 8})
    assert await store_backend.amounts(book) == {"a": 8, "b": 1}
    assert (await store_backend.tally(book, {"a": 2}, {"a": 10}, "t3", HOUR_MS)).refused is None


async def test_a_refused_token_may_be_tried_again(store_backend: Backend, book: str) -> None:
    assert (await store_backend.tally(book, {"a": 3}, {"a": 2}, "t", HOUR_MS)).refused == "a"
    assert await store_backend.tally(book, {"a": 3}, {"a": 3}, "t", HOUR_MS) == Tally(None, {"a": 3})


async def test_a_token_counts_once_and_is_not_refused_when_it_is_repeated(store_backend: Backend, book: str) -> None:
    for _ in range(3):
        assert await store_backend.tally(book, {"a": 3}, {"a": 5}, "t", HOUR_MS) == Tally(None, {"a": 3})


async def test_a_token_belongs_to_its_book(store_backend: Backend, book: str) -> None:
    await store_backend.tally(book, {"a": 1}, {}, "t", HOUR_MS)
    other = await store_backend.tally(book + "-2", {"a": 1}, {}, "t", HOUR_MS)
    assert other.amounts == {"a": 1}
    assert await store_backend.amounts(book) == {"a": 1}


async def test_giving_back_is_possible_above_the_cap(store_backend: Backend, book: str) -> None:
    await store_backend.tally(book, {"a": 9}, {}, None, HOUR_MS)
    assert await store_backend.tally(book, {"a": -2}, {"a": 5}, None, HOUR_MS) == Tally(None, {"a": 7})


async def test_processes_together_never_pass_the_cap(connect_store: Connect, book: str) -> None:
    handles = [await connect_store() for _ in range(3)]
    answers = await asyncio.gather(
        *(handles[n % 3].tally(book, {"a": 2}, {"a": 21}, f"t{n}", HOUR_MS) for n in range(30))
    )
    assert sum(answer.refused is None for answer in answers) == 10
    assert await handles[0].amounts(book) == {"a": 20}


@pytest.mark.parametrize("connect_store", ["memory", "sqlite"], indirect=True)
async def test_a_book_disappears_when_its_time_is_over(
    connect_store: Connect, store_clock: FakeClock, book: str
) -> None:
    """Redis counts by its own clock; its part is that the key has a time to live."""
    store = await connect_store()
    await store.tally(book, {"a": 1}, {"a": 1}, "t", 1_000)
    store_clock.now += 999
    assert await store.amounts(book) == {"a": 1}
    store_clock.now += 1
    assert await store.amounts(book) == {}
    assert await store.tally(book, {"a": 1}, {"a": 1}, "t", 1_000) == Tally(None, {"a": 1})
