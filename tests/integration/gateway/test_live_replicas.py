"""Live pages of two gateway processes over real RabbitMQ and Redis: events reach both, and what is lost is healed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from shared.bus.rabbit import RabbitBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.emitter import Emitter
from shared.job.film import fail
from shared.job.model import Failure, Job, Stage
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.store.jobs import JobStore
from shared.store.redis import RedisBackend
from tests.support.ports import free_port
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.sse import reading
from tests.support.system import Process
from tests.support.waiting import eventually

BROKEN = Failure(stage=Stage.GENERATING, code="internal", message="it broke")


@dataclass
class Replicas:
    """Two gateways, and a service that works on their jobs: this test."""

    store: JobStore
    bus: RabbitBus
    processes: list[Process] = field(default_factory=list)
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    async def submit(self) -> str:
        answer = await self.clients[0].post("/api/jobs", json={"clips": [{"prompt": "a boat"}]})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["data"]["jobId"]
        return job_id

    async def change(self, job_id: str) -> Job:
        job = await self.store.update(job_id, lambda job: job.but(nudges=job.nudges + 1))
        await Emitter(self.bus, "test").announce(job)
        return job

    async def end(self, job_id: str) -> Job:
        job = await self.store.update(job_id, lambda job: fail(job, failure=BROKEN, now=job.updated_at))
        await Emitter(self.bus, "test").announce(job)
        return job


async def until_ready(http: httpx.AsyncClient, process: Process) -> None:
    async def ready() -> bool:
        assert process.process.poll() is None, process.tail()
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(ready, "the gateway is ready", 60)


@pytest.fixture
async def replicas(tmp_path: Path, rabbit_url: str, own_redis_server: RedisServer) -> AsyncIterator[Replicas]:
    """Two gateways that run."""
    policy = Policy()
    store = JobStore(
        RedisBackend(own_redis_server.url),
        due_at=partial(due_at, policy=policy),
        expires_at=partial(expires_at, policy=policy),
    )
    found = Replicas(store, RabbitBus(rabbit_url, SUBSCRIPTIONS))
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            port = free_port()
            env = {
                "PORT": str(port),
                "RABBITMQ_URL": rabbit_url,
                "REDIS_URL": own_redis_server.url,
                "SECRET_KEY": "0123456789abcdef" * 4,
                "DATA_DIR": str(tmp_path / f"data-{number}"),
                "NUDGE_AFTER_MS": "600000",
                "DRAIN_S": "10",
            }
            process = Process(f"gateway-{number}", ["services.gateway"], env, tmp_path)
            stack.callback(process.kill)
            process.start()
            found.processes.append(process)
            http = httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False, verify=False
            )  # plain HTTP: no certificates
            found.clients.append(await stack.enter_async_context(http))
        await found.store.open()
        stack.push_async_callback(found.store.close)
        await found.bus.start()
        stack.push_async_callback(found.bus.close)
        for http, process in zip(found.clients, found.processes, strict=True):
            await until_ready(http, process)
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
