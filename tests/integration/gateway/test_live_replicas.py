"""Live pages of two gateway processes over real RabbitMQ and Redis: events reach both, and what is lost is healed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.job.film import fail
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.replicas import BROKEN, Replicas, gateways
from tests.support.sse import reading


@pytest.fixture
async def replicas(tmp_path: Path, rabbit_url: str, own_redis_server: RedisServer) -> AsyncIterator[Replicas]:
    """Two gateways that run."""
    async with gateways(tmp_path, rabbit_url, own_redis_server.url) as found:
        yield found


async def test_every_replica_shows_what_happens(replicas: Replicas) -> None:
    job_id = await replicas.submit()
    one, two = replicas.clients
    path = f"/api/job/{job_id}/events"
    async with reading(one, path) as first, reading(two, path) as second, reading(two, "/api/events") as everything:
        for stream in (first, second, everything):
            await stream.until(lambda s: bool(s.jobs), "the first event")
        changed = await replicas.change(job_id)
        for stream in (first, second):
            await stream.until(lambda s: s.jobs[-1].id == str(changed.version), "the change")
        await replicas.end(job_id)
        for stream in (first, second):
            await stream.until_ended()
            assert stream.statuses[-1] == "failed"
        await everything.until(lambda s: s.statuses[-1] == "failed", "the end")


async def test_a_reader_resumes_at_another_replica_when_its_own_stops(replicas: Replicas) -> None:
    job_id = await replicas.submit()
    one, two = replicas.clients
    path = f"/api/job/{job_id}/events"
    async with reading(one, path) as stream:
        await stream.until(lambda s: bool(s.jobs), "the first event")
        # Streams have no end of their own, and yet the process is gone well before its drain time is over.
        assert await asyncio.to_thread(replicas.processes[0].stop, 8) == 0
        await stream.until_ended()
    changed = await replicas.change(job_id)
    async with reading(two, path, stream.jobs[-1].id) as resumed:
        await resumed.until(lambda s: bool(s.jobs), "what happened meanwhile")
        assert [event.id for event in resumed.jobs] == [str(changed.version)]


async def test_streams_outlive_the_broker(replicas: Replicas, rabbit_server: RabbitServer) -> None:
    job_id = await replicas.submit()
    async with reading(replicas.clients[1], f"/api/job/{job_id}/events") as stream:
        await stream.until(lambda s: bool(s.jobs), "the first event")
        await asyncio.to_thread(rabbit_server.kill)
        try:
            changed = await replicas.store.update(job_id, lambda job: job.but(nudges=job.nudges + 1))
            await stream.until(lambda s: s.jobs[-1].id == str(changed.version), "the change that nothing told of")
        finally:
            await asyncio.to_thread(rabbit_server.start)
        await replicas.store.update(job_id, lambda job: fail(job, failure=BROKEN, now=job.updated_at))
        await stream.until_ended()
    assert stream.statuses[-1] == "failed"
