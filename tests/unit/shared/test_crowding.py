"""What stands in a long queue is not asked for again and again, and is not forgotten either."""

from dataclasses import replace
from functools import partial

import pytest

from shared.bus.protocol import BusHealth, QueueStats
from shared.bus.topology import SUBSCRIPTIONS
from shared.crowding import CROWDED, LOOK_EVERY_S, Crowding
from shared.emitter import Emitter
from shared.events import EventName as E
from shared.job.outstanding import CROWDED_PAUSE_MS, due_at, expires_at, outstanding, postponed
from shared.reconciler import SURE_EVERY, Reconciler
from shared.store.jobs import JobStore
from tests.support.faulty import FaultyBus
from tests.unit.shared.job.builders import T, accepted
from tests.unit.shared.test_reconciler import POLICY, Setting


class QueuesOf(FaultyBus):
    """A bus with as many messages in a queue as it is told."""

    def __init__(self, **ready: int) -> None:
        super().__init__(SUBSCRIPTIONS)
        self.ready = {name.replace("__", "."): count for name, count in ready.items()}
        self.looks = 0
        self.mute = False

    async def health(self, *, everything: bool = False) -> BusHealth:
        self.looks += 1
        stats = tuple(QueueStats(name, count, 1, 0) for name, count in self.ready.items())
        return BusHealth(ok=False, problem="no broker") if self.mute else BusHealth(ok=True, queues=stats)


@pytest.mark.parametrize(
    ("queue", "event", "crowded"),
    [
        ("stitcher__video__ready", E.VIDEO_READY, True),
        ("uploader__video__ready", E.VIDEO_READY, False),
        ("generator__video__requested", E.VIDEO_REQUESTED, True),
        ("generator__job__created", E.JOB_CREATED, False),
        ("uploader__job__created", E.JOB_CREATED, True),
        ("uploader__webhook__due", E.WEBHOOK_DUE, True),
    ],
)
async def test_the_queue_of_whoever_acts_on_an_event_counts(queue: str, event: E, crowded: bool) -> None:
    assert (event in await Crowding(QueuesOf(**{queue: CROWDED})).events()) is crowded
    assert await Crowding(QueuesOf(**{queue: CROWDED - 1})).events() == frozenset()


async def test_it_looks_now_and_then_only_and_an_absent_broker_has_no_long_queues() -> None:
    now_s = 0.0
    bus = QueuesOf(stitcher__video__ready=CROWDED)
    crowding = Crowding(bus, lambda: now_s)
    assert await crowding.events() == await crowding.events() == {E.VIDEO_READY}
    assert bus.looks == 1
    now_s, bus.mute = LOOK_EVERY_S, True
    assert await crowding.events() == frozenset()


def test_a_postponed_job_is_looked_at_later_but_not_after_its_deadline() -> None:
    job = accepted(1, record_id=None)
    due = due_at(job, POLICY)
    assert due is not None
    later = postponed(job, due)
    assert outstanding(later, due + CROWDED_PAUSE_MS, POLICY) == ()
    assert due_at(later, POLICY) == due + CROWDED_PAUSE_MS + 2 * POLICY.nudge_after_ms
    hurried = replace(POLICY, job_timeout_ms=due - T + 1)
    assert due_at(later, hurried) == due + 1


async def test_what_stands_in_a_long_queue_is_asked_for_again_only_now_and_then() -> None:
    at, patient = Setting(), replace(POLICY, job_timeout_ms=3_600_000)
    await at.bus.start()
    due, expires = partial(due_at, policy=patient), partial(expires_at, policy=patient)
    store = JobStore(at.backend, due_at=due, expires_at=expires, clock=at.clock)
    await store.create(accepted(1, record_id=None))
    crowds = Crowding(QueuesOf(generator__video__requested=CROWDED)).events
    emitter = Emitter(at.bus, "reconciler")
    reconciler = Reconciler(
        store, emitter, at.artifacts, patient, owner="one", every_ms=1_000, clock=at.clock, crowds=crowds
    )
    looks: list[int] = []
    while len(looks) < 2 * SURE_EVERY:
        at.clock.now += 1_000
        tick = await reconciler.tick()
        if tick.looked_at:
            looks.append(tick.published)
    assert looks == [0] * (SURE_EVERY - 1) + [1] + [0] * (SURE_EVERY - 1) + [1]
    await at.bus.close()
