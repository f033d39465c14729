"""SIGTERM in the middle of work, and every service replaced under load."""

import asyncio
import signal
from collections.abc import AsyncIterator
from itertools import count

import httpx
import pytest
import pytest_asyncio

from tests.chaos.harness.arena import Arena, running_arena
from tests.chaos.harness.askers import PATIENCE_S, Asker
from tests.chaos.harness.load import Users
from tests.chaos.harness.plan import Wish
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

DRAIN_S = 2
ENDS_WITHIN_S = 120
"""Far more than the grace period: a busy machine needs time to end a process, too."""
USERS = 4
"""Each asks for its next film when it has the last one, so that a slow machine is asked for fewer."""
MISFITS = ("[twin:seconds=20,size=1280x720,fps=30]", "[twin:seconds=20,size=720x1280,fps=24]")
"""Clips that cannot be joined without encoding, which takes far longer than the grace period."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    """One system for all tests here."""
    env = {"DRAIN_S": str(DRAIN_S)}
    async with running_arena(tmp_path_factory.mktemp("shutdown"), {"gateway": 2}, services_env=env) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def asker(arena: Arena) -> AsyncIterator[Asker]:
    async with httpx.AsyncClient(base_url=arena.gateways[0], timeout=60, trust_env=False) as http:
        yield Asker(arena, http)


async def replace(arena: Arena, name: str) -> None:
    """End a process in order, check that it says so, and start it again."""
    process = arena.system.processes[name]
    process.signal(signal.SIGTERM)
    code = await asyncio.to_thread(process.process.wait, ENDS_WITHIN_S)
    assert code == 0, f"{name} ended with {code}: {process.tail()}"
    process.start()
    await arena.until_up(name)


async def test_a_film_that_cannot_be_finished_in_time_is_handed_back(arena: Arena, asker: Asker) -> None:
    job_id = await asker.accepted([f"a long film {n} {misfit}" for n, misfit in enumerate(MISFITS, 1)])
    await asker.until_status(job_id, "stitching")
    await replace(arena, "stitcher")
    assert (await asker.job(job_id))["status"] == "stitching", "it was done before the grace period was over"
    await asker.until_complete(job_id)


async def test_an_upload_ends_before_the_process_does(arena: Arena, asker: Asker) -> None:
    airtable = arena.system.airtable
    await airtable.fault("upload=late:1000")
    job_id = await asker.accepted([f"a slow upload {n}" for n in (1, 2)])

    async def arrived() -> bool:
        record = (await asker.job(job_id))["recordId"]
        return bool((await airtable.get(f"records/{record}"))["attachments"])

    await eventually(arrived, "the film has arrived and its answer has not", PATIENCE_S)
    await replace(arena, "uploader")
    await airtable.clear_faults()
    await asker.until_complete(job_id)


async def test_an_upload_that_hangs_is_handed_back_and_not_repeated(arena: Arena, asker: Asker) -> None:
    airtable = arena.system.airtable
    await airtable.fault("upload=hang_after", times=1)
    job_id = await asker.accepted([f"a hanging upload {n}" for n in (1, 2)])

    async def arrived() -> bool:
        record = (await asker.job(job_id))["recordId"]
        return bool((await airtable.get(f"records/{record}"))["attachments"])

    await eventually(arrived, "the film has arrived and its answer never will", PATIENCE_S)
    await replace(arena, "uploader")
    await asker.until_complete(job_id)


async def test_replacing_every_process_under_load_fails_nothing(arena: Arena, asker: Asker) -> None:
    async def make_record(record: str) -> None:
        await arena.system.airtable.post("seed", {"records": [{"id": record, "fields": {}}]})

    wishes = (Wish(n, (f"rolling {n} first", f"rolling {n} second"), doomed=False) for n in count())
    users = Users([f"http://127.0.0.1:{arena.front.port}"], wishes, make_record)
    known = await asker.job_count()
    replaced = asyncio.Event()

    posted: list[str] = []

    async def keep_posting() -> None:
        while not replaced.is_set():
            posted.append(await users.post())
            await asker.until_complete(posted[-1])

    async with asyncio.TaskGroup() as group:
        for _ in range(USERS):
            group.create_task(keep_posting())
        for name in arena.system.ports:
            before = len(posted)
            await replace(arena, name)

            async def more(before: int = before) -> bool:
                return len(posted) > before

            await eventually(more, f"more films are asked for after {name} was replaced", PATIENCE_S)
        replaced.set()
    assert await asker.job_count() == known + len(posted), "a request was accepted and not answered"
