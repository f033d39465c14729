"""Readiness names what does not answer, and does not wait for it for ever."""

import asyncio

import pytest

from shared import readiness as module
from shared.artifacts.memory import MemoryArtifacts
from shared.bus.topology import SUBSCRIPTIONS
from shared.readiness import Readiness, readiness
from shared.store.jobs import JobStore
from tests.support.faulty import FaultyBackend, FaultyBus


def store_on(backend: FaultyBackend) -> JobStore:
    return JobStore(backend, due_at=lambda _job: None, expires_at=lambda _job: None)


async def look(bus: FaultyBus, backend: FaultyBackend) -> Readiness:
    return await readiness(bus, store_on(backend), MemoryArtifacts())


@pytest.fixture
async def bus() -> FaultyBus:
    bus = FaultyBus(SUBSCRIPTIONS)
    await bus.start()
    return bus


async def test_when_all_answer_it_is_ready(bus: FaultyBus) -> None:
    found = await look(bus, FaultyBackend())
    assert found.ok
    assert found.as_dict() == {
        "status": "ready",
        "checks": {"bus": {"ok": True}, "store": {"ok": True}, "artifacts": {"ok": True}},
    }


async def test_each_one_that_does_not_answer_is_named_with_its_problem(bus: FaultyBus) -> None:
    backend = FaultyBackend()
    backend.down = bus.down = True
    found = await look(bus, backend)
    assert not found.ok
    assert found.as_dict() == {
        "status": "not ready",
        "checks": {
            "bus": {"ok": False, "problem": "the broker is down, for the test"},
            "store": {"ok": False, "problem": "the store is down, for the test"},
            "artifacts": {"ok": True},
        },
    }


async def test_before_the_bus_is_open_it_is_not_ready() -> None:
    assert not (await look(FaultyBus(SUBSCRIPTIONS), FaultyBackend())).ok


async def test_one_that_hangs_does_not_keep_the_answer_waiting(bus: FaultyBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)

    class Hanging(FaultyBackend):
        async def ping(self) -> None:
            await asyncio.Event().wait()

    found = await look(bus, Hanging())
    assert found.problems == {"bus": "", "store": "no answer within 0.05 s", "artifacts": ""}
