"""What a job asks of store, broker, disk and system: counts that must not creep up. Times are for the benchmarks."""

import subprocess
from collections import Counter
from typing import Any

import pytest

from shared.artifacts import files
from shared.events import EventName as E
from shared.store.memory import MemoryBackend
from tests.support.fixtures_world import OpenWorld
from tests.support.waiting import eventually
from tests.support.world import World

ROUND_TRIPS = ("insert", "load", "swap", "marks", "get_mark", "put_mark", "take", "tally")
"""Calls of the backend that a job makes; each is one command to a Redis server."""

ROUND_TRIPS_A_JOB, ROUND_TRIPS_A_CLIP = 16, 14
"""A little more than are made: a read more, now and then, is chance; one more for every clip is not."""
PROCESSES_A_JOB = 2
"""For the poster, and one that is made ready for the next; beside them, one looks at each clip."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each of `ROUND_TRIPS` was made."""
    counts: Counter[str] = Counter()

    def counting(name: str) -> Any:
        real = getattr(MemoryBackend, name)

        async def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return await real(*args, **options)

        return call

    for name in ROUND_TRIPS:
        monkeypatch.setattr(MemoryBackend, name, counting(name))
    return counts


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The processes that were started."""
    found: list[object] = []
    real = subprocess.Popen.__init__

    def start(self: Any, args: Any, *more: Any, **options: Any) -> None:
        found.append(args)
        real(self, args, *more, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)
    return found


async def through(w: World, clips: int) -> str:
    """Let a job through; look at the bus only, for looking at the store would be counted."""
    job_id = await w.submit(*(f"boat {number % 2}" for number in range(clips)))

    async def is_over() -> bool:
        return any(event.name is E.JOB_COMPLETED and event.subject == job_id for event in w.bus.published)

    await eventually(is_over, "the job has completed")
    return job_id


async def test_a_clip_more_costs_no_more_than_the_clip_before(
    open_world: OpenWorld, asked: Counter[str], started: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one world: two clips, then six; and no byte of a clip or a film is copied into the artifacts."""

    def copied(*_: object) -> None:
        raise AssertionError("bytes were copied that a link would have carried")

    monkeypatch.setattr(files, "copy_file", copied)
    w = await open_world(reconcile_every_ms=60_000, poll_after_ms=60_000, nudge_after_ms=60_000)
    await through(w, 2)  # what is done once is done
    for clips in (2, 6):
        asked.clear()
        started.clear()
        job_id = await through(w, clips)
        events = Counter(event.name for event in w.bus.published if event.subject == job_id)
        del events[E.JOB_PROGRESS]
        assert events == {
            **dict.fromkeys((E.VIDEO_REQUESTED, E.VIDEO_CALLBACK, E.VIDEO_READY), clips),
            E.JOB_CREATED: 2,  # that it was accepted, and that ordering began
            **dict.fromkeys((E.JOB_STITCHING, E.JOB_STITCHED, E.JOB_UPLOADING, E.JOB_COMPLETED), 1),
        }
        assert asked.total() <= ROUND_TRIPS_A_JOB + clips * ROUND_TRIPS_A_CLIP, asked
        assert len(started) <= PROCESSES_A_JOB + clips, started
