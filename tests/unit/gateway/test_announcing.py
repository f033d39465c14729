"""New jobs are announced behind their answers: nobody waits for the broker, and none is forgotten."""

import asyncio

import pytest
from structlog.testing import capture_logs

from services.gateway import announcing
from services.gateway.announcing import AT_ONCE, Announcer
from shared.emitter import Emitter
from shared.events import Event
from shared.job.model import Job
from tests.unit.shared.job.builders import accepted


class SlowBus:
    """Confirms nothing until it is let; counts what it was given."""

    def __init__(self) -> None:
        self.asked: list[Event] = []
        self.may_confirm = asyncio.Event()

    async def publish(self, event: Event, *, timeout_s: float = 5.0, transient: bool = False) -> None:
        self.asked.append(event)
        await self.may_confirm.wait()


@pytest.fixture
def bus() -> SlowBus:
    return SlowBus()


@pytest.fixture
def announcer(bus: SlowBus) -> Announcer:
    return Announcer(Emitter(bus, "gateway"))  # type: ignore[arg-type]  # it only publishes


async def announce(announcer: Announcer, job: Job, times: int) -> None:
    for _ in range(times):
        await announcer.announce(job)
    await asyncio.sleep(0)


async def test_nobody_waits_for_the_broker_to_confirm(announcer: Announcer, bus: SlowBus) -> None:
    await announce(announcer, accepted(), 3)
    assert len(bus.asked) == 3
    bus.may_confirm.set()
    await announcer.close()


async def test_a_broker_that_is_far_behind_slows_callers_down(announcer: Announcer, bus: SlowBus) -> None:
    await announce(announcer, accepted(), AT_ONCE)
    waiting = asyncio.create_task(announcer.announce(accepted()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(bus.asked) == AT_ONCE
    assert not waiting.done()
    bus.may_confirm.set()
    await waiting
    await announcer.close()


async def test_whoever_stops_waits_for_those_under_way(announcer: Announcer, bus: SlowBus) -> None:
    await announce(announcer, accepted(), 1)
    closing = asyncio.create_task(announcer.close())
    await asyncio.sleep(0)
    assert not closing.done()
    bus.may_confirm.set()
    await closing


async def test_but_not_for_ever(announcer: Announcer, bus: SlowBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "FINISH_S", 0.0)
    await announce(announcer, accepted(), 1)
    await announcer.close()
    assert not bus.may_confirm.is_set()
    bus.may_confirm.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_an_announcement_that_fails_unexpectedly_is_logged(
    announcer: Announcer, bus: SlowBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(bus, "publish", fail)
    with capture_logs() as logged:
        await announce(announcer, accepted(), 1)
        await asyncio.sleep(0)
    assert [line["event"] for line in logged] == ["a job was not announced now"]
    await announcer.close()
