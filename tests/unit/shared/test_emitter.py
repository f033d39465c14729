"""Events are published in the name of a service; a broker that is away fails nobody's step."""

from collections.abc import AsyncIterator

import pytest

from shared.bus.topology import SUBSCRIPTIONS
from shared.emitter import Emitter
from shared.errors import PublishFailed
from shared.events import EventName, VideoReady
from shared.job.control import approve, cancel, retry
from shared.job.film import fail
from shared.job.model import Failure, Job, Stage
from shared.tracing import trace_id
from tests.support.faulty import FaultyBus
from tests.support.measured import measured
from tests.unit.shared.job.builders import T, accepted, all_home, completed

DAY_MS = 86_400_000
WHY = Failure(stage=Stage.GENERATING, code="credits", message="no credits")


@pytest.fixture
async def bus() -> AsyncIterator[FaultyBus]:
    bus = FaultyBus(SUBSCRIPTIONS)
    await bus.start()
    yield bus
    await bus.close()


async def test_an_event_says_who_sent_it_about_which_job_and_which_trace(bus: FaultyBus) -> None:
    job = accepted().but(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert await Emitter(bus, "generator").emit(job, VideoReady(clip=2), "2:1")
    [event] = bus.published
    assert (event.id, event.source, event.subject) == ("job_1:video.ready:2:1", "/services/generator", "job_1")
    assert trace_id(event.traceparent) == trace_id(job.traceparent)
    assert event.traceparent != job.traceparent, "a hop has a span of its own"


async def test_a_step_said_twice_has_the_same_id(bus: FaultyBus) -> None:
    emitter = Emitter(bus, "generator")
    for _ in range(2):
        await emitter.announce(accepted())
    assert len({event.id for event in bus.published}) == 1


async def test_a_publish_that_fails_is_reported_only_to_those_who_ask(bus: FaultyBus) -> None:
    bus.deaf = True
    emitter = Emitter(bus, "generator")
    assert not await emitter.emit(accepted(), VideoReady(clip=1), "1:1")
    assert not await emitter.announce(accepted())
    with pytest.raises(PublishFailed):
        await emitter.publish(accepted(), VideoReady(clip=1), "1:1")


async def test_the_end_of_a_job_is_counted_and_announced(bus: FaultyBus) -> None:
    before = measured("sora_jobs_total", outcome="completed", code="none")
    await Emitter(bus, "uploader").ended(completed())
    assert [event.name for event in bus.published] == [EventName.JOB_COMPLETED]
    assert measured("sora_jobs_total", outcome="completed", code="none") == before + 1


async def test_a_code_that_this_version_does_not_know_is_counted_as_another(bus: FaultyBus) -> None:
    failure = Failure(stage=Stage.GENERATING, code="of_a_newer_version", message="?")
    before = measured("sora_jobs_total", outcome="failed", code="other")
    await Emitter(bus, "generator").ended(fail(accepted(), failure=failure, now=1))
    assert measured("sora_jobs_total", outcome="failed", code="other") == before + 1
    assert measured("sora_jobs_total", outcome="failed", code="of_a_newer_version") == 0


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        (approve(all_home(review=True), now=T + DAY_MS), 0),
        (retry(fail(accepted(), failure=WHY, now=T + 5_000), now=T + DAY_MS), 5),
        (fail(accepted(), failure=WHY, now=T), 0),
    ],
    ids=["waited for approval", "was retried the next day", "never waited"],
)
async def test_a_job_lasts_as_long_as_it_is_worked_on_and_not_while_a_person_is_waited_for(
    bus: FaultyBus, job: Job, seconds: float
) -> None:
    now = job.passages[-1].at
    ended = cancel(job, now=now + 60_000) if not job.status.is_final else job
    outcome = str(ended.status)
    before = measured("sora_job_duration_seconds_sum", outcome=outcome)
    await Emitter(bus, "generator").ended(ended)
    lasted = seconds + (60 if ended is not job else 0)
    assert measured("sora_job_duration_seconds_sum", outcome=outcome) - before == pytest.approx(lasted, abs=1)
