"""Processes say that they are there, in the store they share, and are forgotten when they say nothing any more."""

from shared.clock import Clock
from shared.presence import PERIOD_MS, SILENT_MS, Presence, Takes, present
from shared.store.jobs import JobStore
from shared.store.memory import MemoryBackend

START = 1_700_000_000_000


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def store_of(clock: Clock) -> JobStore:
    return JobStore(MemoryBackend(clock), due_at=lambda _: None, expires_at=lambda _: None, clock=clock)


async def test_a_process_is_shown_with_what_it_said_last() -> None:
    clock = Hand()
    store, takes = store_of(clock), Takes()
    process = Presence(store, "stitcher", "7-ab", takes, clock)
    await process.say(START)
    clock.now += PERIOD_MS
    takes.note("stitcher.video.ready", 1.5, clock.now)
    await process.say(START)
    await process.say(START)  # the answer was lost, and it is said again
    [found] = await present(store, clock.now)
    assert (found.service, found.started_at, found.seen_at) == ("stitcher", START, clock.now)
    assert found.instance.endswith(":7-ab")
    taken = found.taken["stitcher.video.ready"]
    assert (taken.at, taken.waited_ms) == (clock.now, 1500)


async def test_a_process_that_is_late_is_still_shown_and_one_that_is_silent_is_not() -> None:
    clock = Hand()
    store = store_of(clock)
    for name in ("a", "b"):
        await Presence(store, "uploader", name, Takes(), clock).say(START)
    for late in range(0, SILENT_MS, PERIOD_MS // 3):
        assert len(await present(store, START + late)) == 2, late
    assert await present(store, START + SILENT_MS) == []


async def test_words_of_another_version_are_passed_over() -> None:
    clock = Hand()
    store = store_of(clock)
    await store.tally(f"presence:{START // PERIOD_MS}", {"[1, 2]": 1}, caps={}, token=None, ttl_ms=60_000)
    await Presence(store, "gateway", "1", Takes(), clock).say(START)
    assert [each.service for each in await present(store, START)] == ["gateway"]
