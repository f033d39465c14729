"""What a change of a job tells the other services: exactly what changed, and once."""

from functools import partial

import pytest

from services.generator.reporting import JobWriter, changes, newly_ambiguous
from shared.artifacts.memory import MemoryArtifacts
from shared.bus.topology import SUBSCRIPTIONS
from shared.context import Context
from shared.emitter import Emitter
from shared.errors import Refused
from shared.events import EventName
from shared.job.film import fail
from shared.job.model import Failure, Job, JobStatus, Stage
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.store.jobs import JobStore
from shared.store.memory import MemoryBackend
from tests.support.faulty import FaultyBus
from tests.support.measured import measured
from tests.unit.shared.job.builders import (
    T,
    accepted,
    all_home,
    ambiguous,
    clip_ready,
    declined,
    fetching,
    gave_up,
    generating,
    home,
    ordering,
)

POLICY = Policy()
WHY = Failure(stage=Stage.GENERATING, code="credits", message="no credits")


def told(before: Job, after: Job) -> list[tuple[str, str]]:
    return [(payload.name, step) for payload, step in changes(before, after, T)]


def test_the_first_order_tells_that_the_job_is_generating() -> None:
    assert told(accepted(), ordering(accepted())) == [("job.created", "2")]
    assert told(ordering(accepted()), generating(accepted())) == []


def test_a_clip_that_came_home_is_told_with_its_attempt() -> None:
    before = fetching(generating(accepted()))
    assert told(before, home(before)) == [("video.ready", "1:1")]


def test_a_clip_that_was_given_up_is_told_with_its_reason() -> None:
    before = generating(accepted())
    [(payload, step)] = changes(before, gave_up(before), T)
    assert (payload.name, step) == (EventName.VIDEO_FAILED, "1:1")
    assert payload.model_dump()["code"] == "server"


def test_a_clip_that_may_be_ordered_again_now_is_asked_for_and_a_later_one_is_left_to_its_time() -> None:
    before = ordering(accepted())
    assert told(before, declined(before, again_at=T)) == [("video.requested", "1:2")]
    assert told(before, declined(before, again_at=T + 1)) == []


def test_nothing_is_told_of_nothing() -> None:
    for job in (accepted(), generating(accepted()), clip_ready(accepted()), all_home()):
        assert told(job, job) == []


def test_a_clip_of_unknown_fate_is_counted_when_it_becomes_so() -> None:
    assert newly_ambiguous(ordering(accepted()), ambiguous(accepted())) == 1
    assert newly_ambiguous(ambiguous(accepted()), ambiguous(accepted())) == 0


@pytest.fixture
async def at() -> tuple[JobWriter, JobStore, FaultyBus]:
    bus = FaultyBus(SUBSCRIPTIONS)
    await bus.start()
    store = JobStore(
        MemoryBackend(), due_at=partial(due_at, policy=POLICY), expires_at=partial(expires_at, policy=POLICY)
    )
    context = Context(store=store, emitter=Emitter(bus, "generator"), artifacts=MemoryArtifacts(), policy=POLICY)
    return JobWriter(context), store, bus


async def test_a_writer_tells_only_of_its_own_change(at: tuple[JobWriter, JobStore, FaultyBus]) -> None:
    """Two who know the same old job: the second finds the end written already, and does not announce it again."""
    writer, store, bus = at
    known = await store.create(accepted())
    ended = measured("sora_jobs_total", outcome="failed", code="credits")
    for _ in range(2):
        after = await writer.write(known, partial(fail, failure=WHY, now=T))
        assert after.status is JobStatus.FAILED
    assert [event.name for event in bus.published] == [EventName.JOB_FAILED]
    assert measured("sora_jobs_total", outcome="failed", code="credits") == ended + 1


async def test_a_writer_compares_with_the_job_as_it_was_and_not_as_it_was_known(
    at: tuple[JobWriter, JobStore, FaultyBus],
) -> None:
    writer, store, bus = at
    known = await store.create(fetching(fetching(generating(generating(accepted()), 2)), 2))
    await writer.write(known, home)
    await writer.write(known, partial(home, clip=2))
    ready = [event.data["clip"] for event in bus.published if event.name is EventName.VIDEO_READY]
    assert ready == [1, 2]


async def test_a_refused_change_tells_nothing(at: tuple[JobWriter, JobStore, FaultyBus]) -> None:
    writer, store, bus = at
    known = await store.create(accepted())

    def refuse(_job: Job) -> Job:
        raise Refused("too_early")

    with pytest.raises(Refused):
        await writer.write(known, refuse)
    assert bus.published == []
