"""A message that is given up fails its job with the reason, once, and never a job that is over."""

from functools import partial

import pytest

from shared.artifacts.memory import MemoryArtifacts
from shared.bus.protocol import Delivery
from shared.bus.topology import SUBSCRIPTIONS
from shared.context import Context
from shared.emitter import Emitter
from shared.errors import StoreUnavailable
from shared.events import Event, EventName, VideoReady
from shared.giving_up import give_up_job
from shared.job.model import JobStatus, Stage
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.store.jobs import JobStore
from tests.support.faulty import FaultyBackend, FaultyBus
from tests.unit.shared.job.builders import accepted, completed

POLICY = Policy()
DELIVERY = Delivery(
    Event.of("job_1", VideoReady(clip=1), source="generator", step="1"), attempt=8, redelivered=True, waited_s=0.0
)


class Setting:
    """A service's surroundings in memory."""

    def __init__(self) -> None:
        self.backend = FaultyBackend()
        self.bus = FaultyBus(SUBSCRIPTIONS)
        store = JobStore(
            self.backend, due_at=partial(due_at, policy=POLICY), expires_at=partial(expires_at, policy=POLICY)
        )
        self.context = Context(
            store=store, emitter=Emitter(self.bus, "stitcher"), artifacts=MemoryArtifacts(), policy=POLICY
        )
        self.give_up = give_up_job(self.context, Stage.STITCHING)


@pytest.fixture
async def at() -> Setting:
    setting = Setting()
    await setting.bus.start()
    return setting


async def test_the_job_fails_with_stage_reason_and_attempts_and_that_is_told_once(at: Setting) -> None:
    await at.context.store.create(accepted())
    for _ in range(2):
        await at.give_up(DELIVERY, "ValueError: a bug")
    job = await at.context.store.get("job_1")
    assert job.failure is not None
    assert (job.status, job.failure.stage, job.failure.code) == (JobStatus.FAILED, Stage.STITCHING, "internal")
    assert job.failure.message == "video.ready.v1 was given up after 8 attempts: ValueError: a bug"
    assert job.failure.retryable
    assert [event.name for event in at.bus.published] == [EventName.JOB_FAILED]


async def test_a_job_that_is_over_stays_as_it_is(at: Setting) -> None:
    await at.context.store.create(completed())
    await at.give_up(DELIVERY, "too late")
    assert (await at.context.store.get("job_1")).status is JobStatus.COMPLETED
    assert at.bus.published == []


async def test_a_message_about_an_unknown_job_may_be_buried(at: Setting) -> None:
    await at.give_up(DELIVERY, "whatever")
    assert at.bus.published == []


async def test_without_a_store_the_message_is_not_buried_yet(at: Setting) -> None:
    at.backend.down = True
    with pytest.raises(StoreUnavailable):
        await at.give_up(DELIVERY, "whatever")
