"""Two gateway processes over one RabbitMQ and one Redis, and a service that works on their jobs: the test itself."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

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
from tests.support.system import Process
from tests.support.waiting import eventually

BROKEN = Failure(stage=Stage.GENERATING, code="internal", message="it broke")


@dataclass
class Replicas:
    """The gateways, and what a service of theirs would do."""

    store: JobStore
    bus: RabbitBus
    processes: list[Process] = field(default_factory=list)
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    async def submit(self) -> str:
        """Order a film at the first gateway and return its id."""
        answer = await self.clients[0].post("/api/jobs", json={"clips": [{"prompt": "a boat"}]})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["data"]["jobId"]
        return job_id

    async def change(self, job_id: str) -> Job:
        """Write the job anew, and tell."""
        job = await self.store.update(job_id, lambda job: job.but(nudges=job.nudges + 1))
        await Emitter(self.bus, "test").announce(job)
        return job

    async def end(self, job_id: str) -> Job:
        """Let the job fail, and tell."""
        job = await self.store.update(job_id, lambda job: fail(job, failure=BROKEN, now=job.updated_at))
        await Emitter(self.bus, "test").announce(job)
        return job


@asynccontextmanager
async def gateways(
    folder: Path, rabbit_url: str, redis_url: str, headers: Mapping[str, str] | None = None, **env: str
) -> AsyncIterator[Replicas]:
    """Run two gateways.

    Args:
        folder: for their data and logs.
        rabbit_url: the broker.
        redis_url: the job store.
        headers: of our own requests.
        **env: what else is in their environment.
    """
    policy = Policy()
    store = JobStore(
        RedisBackend(redis_url),
        due_at=partial(due_at, policy=policy),
        expires_at=partial(expires_at, policy=policy),
    )
    found = Replicas(store, RabbitBus(rabbit_url, SUBSCRIPTIONS))
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            port = free_port()
            own = {
                "PORT": str(port),
                "RABBITMQ_URL": rabbit_url,
                "REDIS_URL": redis_url,
                "SECRET_KEY": "0123456789abcdef" * 4,
                "DATA_DIR": str(folder / f"data-{number}"),
                "NUDGE_AFTER_MS": "600000",
                "DRAIN_S": "10",
                **env,
            }
            process = Process(f"gateway-{number}", ["services.gateway"], own, folder)
            stack.callback(process.kill)
            process.start()
            found.processes.append(process)
            http = httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False, verify=False, headers=headers
            )  # plain HTTP: no certificates
            found.clients.append(await stack.enter_async_context(http))
        await found.store.open()
        stack.push_async_callback(found.store.close)
        await found.bus.start()
        stack.push_async_callback(found.bus.close)
        for http, process in zip(found.clients, found.processes, strict=True):
            await _until_ready(http, process)
        yield found


async def _until_ready(http: httpx.AsyncClient, process: Process) -> None:
    async def ready() -> bool:
        assert process.process.poll() is None, process.tail()
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(ready, "the gateway is ready", 60)
