"""Whoever the system depends on goes away for a while: it says so, loses nothing, and goes on by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.chaos.harness.arena import Arena, running_arena
from tests.chaos.harness.askers import Asker
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

PROCESSES = ("gateway", "generator", "stitcher", "uploader")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    """One system for all outages, one after the other."""
    # The generator's clips take long enough for every outage to find work under way.
    slow = {"SANDBOX_KIE_GENERATING_MS": "1500"}
    async with running_arena(tmp_path_factory.mktemp("outages"), {}, twins_env=slow) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def asker(arena: Arena) -> AsyncIterator[Asker]:
    async with httpx.AsyncClient(base_url=arena.gateways[0], timeout=60, trust_env=False) as http:
        asker = Asker(arena, http)
        for name in PROCESSES:
            await asker.until_ready(name)
        yield asker


async def all_unready(asker: Asker, dependency: str) -> None:
    await asyncio.gather(*(asker.until_unready(name, dependency) for name in PROCESSES))


async def refused_for_now(asker: Asker, prompt: str) -> None:
    """Check that a job is refused in the way that tells a client to come again."""
    answer = await asker.post([prompt], with_record=False)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["success"] is False


@dataclass(frozen=True)
class Outage:
    """A way in which RabbitMQ goes away, and how it comes back."""

    name: str
    begin: Callable[[Arena], Awaitable[None]]
    end: Callable[[Arena], Awaitable[None]]
    is_noticed_at_once: bool = True


async def _stop(arena: Arena) -> None:
    await asyncio.to_thread(arena.rabbit.settle)
    await asyncio.to_thread(arena.rabbit.stop)


async def _start(arena: Arena) -> None:
    await asyncio.to_thread(arena.rabbit.start)


async def _kill(arena: Arena) -> None:
    await asyncio.to_thread(arena.rabbit.kill)


async def _start_empty(arena: Arena) -> None:
    await asyncio.to_thread(arena.rabbit.start_empty)


async def _freeze(arena: Arena) -> None:
    arena.rabbit.freeze()


async def _thaw(arena: Arena) -> None:
    arena.rabbit.thaw()


OUTAGES = (
    Outage("stopped", _stop, _start),
    Outage("killed, and empty when it comes back", _kill, _start_empty),
    Outage("frozen", _freeze, _thaw, is_noticed_at_once=False),
)


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name)
async def test_work_goes_on_by_itself_after_rabbitmq_was_away(arena: Arena, asker: Asker, outage: Outage) -> None:
    under_way = await asker.accepted([f"under way while RabbitMQ is {outage.name} {n}" for n in (1, 2)])
    await asker.until_status(under_way, "generating")
    await outage.begin(arena)
    await all_unready(asker, "bus")
    if outage.is_noticed_at_once:
        before = await asker.job_count()
        await refused_for_now(asker, "nobody could be told of this")
        assert await asker.job_count() == before, "a refused job was made all the same"
    await outage.end(arena)
    for name in PROCESSES:
        await asker.until_ready(name)
    later = await asker.accepted([f"after RabbitMQ was {outage.name} {n}" for n in (1, 2)])
    await asker.until_complete(under_way)
    await asker.until_complete(later)


async def test_work_goes_on_by_itself_after_redis_refused_connections(arena: Arena, asker: Asker) -> None:
    under_way = await asker.accepted([f"under way while Redis refuses {n}" for n in (1, 2)])
    before = await asker.job_count()
    await arena.lines["store"].refuse()
    await all_unready(asker, "store")
    await refused_for_now(asker, "this could not be written down")
    await arena.lines["store"].heal()
    for name in PROCESSES:
        await asker.until_ready(name)
    assert await asker.job_count() == before, "a refused job was made all the same"
    await asker.until_complete(under_way)


async def test_work_goes_on_by_itself_after_redis_was_frozen(arena: Arena, asker: Asker) -> None:
    under_way = await asker.accepted([f"under way while Redis is frozen {n}" for n in (1, 2)])
    arena.redis.freeze()
    await all_unready(asker, "store")
    await refused_for_now(asker, "this could not be written down either")
    arena.redis.thaw()
    for name in PROCESSES:
        await asker.until_ready(name)
    await asker.until_complete(under_way)


async def test_a_film_waits_for_airtable_to_come_back(arena: Arena, asker: Asker) -> None:
    airtable = arena.system.airtable
    await airtable.fault("any=drop_before")
    job_id = await asker.accepted([f"while Airtable is down {n}" for n in (1, 2)])
    await asker.until_status(job_id, "uploading")
    for name in PROCESSES:
        await asker.until_ready(name)
    await airtable.clear_faults()
    await asker.until_complete(job_id)


async def test_an_order_waits_for_the_provider_to_come_back(arena: Arena, asker: Asker) -> None:
    kie = arena.system.kie
    await kie.fault("any=455")
    job_id = await asker.accepted([f"while kie.ai is down {n}" for n in (1, 2)])

    async def refused_twice() -> bool:
        return len(await kie.get("orders?prompt=while kie.ai is down")) >= 2

    await eventually(refused_twice, "kie.ai is asked", 60)
    assert (await asker.job(job_id))["status"] == "generating"
    await kie.clear_faults()
    await asker.until_complete(job_id)


async def test_work_goes_on_by_itself_after_the_artifact_store_was_unusable(arena: Arena, asker: Asker) -> None:
    artifacts: Path = arena.system.folder / "data" / "artifacts"
    away = artifacts.with_name("away")
    under_way = await asker.accepted([f"while nothing can be stored {n}" for n in (1, 2)])
    artifacts.rename(away)
    artifacts.write_bytes(b"")  # a file in place of the folder refuses even root
    await all_unready(asker, "artifacts")
    artifacts.unlink()
    away.rename(artifacts)
    for name in PROCESSES:
        await asker.until_ready(name)
    await asker.until_complete(under_way)
