"""Workers with simulated clips on a private broker and store, and jobs that are in flight from the start."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
from redis.asyncio import Redis

from benchmarks.pipeline_stand import AS_DEPLOYED, ENDS, VHOST, Usage, counted, usage_of
from shared.bus.rabbit import RabbitBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.clock import now_ms
from shared.events import Event, VideoCallback
from shared.job.clips import begin_order, order_taken
from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.model import Job
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.store.jobs import JobStore
from shared.store.redis import RedisBackend
from shared.store.redis_layout import Keys
from shared.workdir import scratch
from tests.support.ports import free_port
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.system import Process

SERVICES = ("gateway", "generator", "stitcher", "uploader")
MODEL = "sora-2-text-to-video"
PATIENT = Policy(poll_after_ms=3_600_000, job_timeout_ms=3_600_000)
"""Nobody polls, and nobody gives up a job that waits in a long queue."""
AT_A_TIME = 100
"""Writes and messages of the benchmark itself that are under way together."""
SHARED_MEMORY = Path("/dev/shm")
READY_S = 120.0


def job_in_flight(clips: int, prompt: str = "simulated") -> Job:
    """Return a job all of whose clips are out at the provider."""
    now = now_ms()
    wish = JobWish(clips=tuple(ClipWish(prompt=f"{prompt} {number}") for number in range(1, clips + 1)))
    job = new_job(new_job_id(now), [new_task_id() for _ in range(clips)], wish, now)
    for clip in job.clips:
        order = partial(begin_order, number=clip.number, owner="bench", provider="simulated", model=MODEL)
        job = order(job, now=now, policy=PATIENT)
        taken = partial(order_taken, number=clip.number, attempt_number=1, task_id=f"task-{clip.task_id}")
        job = taken(job, now=now, policy=PATIENT)
    return job


def store_at(url: str, *, connections: int = AT_A_TIME) -> JobStore:
    """Return a handle on the job store."""
    backend = RedisBackend(url, timeout_s=60, connections=connections)
    return JobStore(backend, due_at=partial(due_at, policy=PATIENT), expires_at=partial(expires_at, policy=PATIENT))


async def create(store: JobStore, jobs: Iterable[Job]) -> None:
    """Store jobs, many at a time."""
    waiting = list(jobs)
    for start in range(0, len(waiting), AT_A_TIME):
        await asyncio.gather(*(store.create(job) for job in waiting[start : start + AT_A_TIME]))


@dataclass
class ScaleStand:
    """The running workers."""

    store: JobStore
    bus: RabbitBus
    redis: Redis
    processes: dict[str, Process]
    ports: dict[str, int]
    keys: Keys = field(default_factory=lambda: Keys("sora:"))

    def usage(self) -> dict[str, Usage]:
        """Return what each service has used so far, and holds now."""
        return {name: usage_of(process.process.pid) for name, process in self.processes.items()}

    async def completed(self) -> int:
        """Return how many jobs have completed; raise if any has failed."""
        completed, failed = (int(count or 0) for count in await self.redis.hmget(self.keys.counts, ENDS))
        if failed:
            raise RuntimeError(f"{failed} of the simulated jobs failed")
        return completed

    async def call_back(self, jobs: Sequence[Job]) -> None:
        """Tell the generator that every clip of these jobs is done, as the gateway does for the provider."""
        events = [
            Event.of(
                job.id,
                VideoCallback(clip=clip.number, attempt=1, task_id=f"task-{clip.task_id}"),
                source="gateway",
                step=f"{clip.number}:1:callback",
            )
            for job in jobs
            for clip in job.clips
        ]
        for start in range(0, len(events), AT_A_TIME):
            await asyncio.gather(
                *(self.bus.publish(event, timeout_s=60) for event in events[start : start + AT_A_TIME])
            )

    async def waiting(self) -> int | None:
        """Return how many messages wait in the queues; None if the broker does not tell now."""
        health = await self.bus.health(everything=True)
        return sum(queue.ready for queue in health.queues) if health.queues else None

    async def nudges(self) -> int:
        """Return how often the reconciler has asked again for a step that was waiting."""
        return (await counted(self.ports.values(), "sora_reconciler_nudges_total")).total()

    async def commands(self) -> int:
        """Return how many commands the store has executed, those inside scripts included."""
        stats = await self.redis.info("commandstats")
        mine = ("cmdstat_hmget", "cmdstat_info", "cmdstat_ping", "cmdstat_auth", "cmdstat_hello", "cmdstat_client")
        return sum(found["calls"] for name, found in stats.items() if not name.startswith(mine))


@asynccontextmanager
async def running_workers() -> AsyncIterator[ScaleStand]:
    """Start broker, store, the gateway and the simulated workers; nothing stays behind."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_folder())
        rabbit, redis = _servers(folder)
        stack.push_async_callback(asyncio.to_thread, rabbit.close)
        stack.push_async_callback(asyncio.to_thread, redis.kill)
        await asyncio.gather(asyncio.to_thread(rabbit.start), asyncio.to_thread(redis.start))
        await asyncio.to_thread(rabbit.add_vhost, VHOST)
        store, bus = store_at(redis.url), RabbitBus(rabbit.url(VHOST), SUBSCRIPTIONS)
        stack.push_async_callback(store.close)
        await store.open()
        stack.push_async_callback(bus.close)
        await bus.start()
        processes, ports = _workers(folder, rabbit.url(VHOST), redis.url)
        for process in processes.values():
            stack.callback(process.kill)
            process.start()
        await asyncio.gather(*(_until_ready(processes[name], port) for name, port in ports.items()))
        client = await stack.enter_async_context(Redis.from_url(redis.url, decode_responses=True))
        yield ScaleStand(store, bus, client, processes, ports)


def _folder() -> AbstractContextManager[Path]:
    base = SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
    return scratch(base, "scale-")


def _servers(folder: Path) -> tuple[RabbitServer, RedisServer]:
    for name in ("rabbit", "redis", "services"):
        (folder / name).mkdir()
    return RabbitServer(folder / "rabbit"), RedisServer(folder / "redis", *AS_DEPLOYED)


def _workers(folder: Path, rabbit_url: str, redis_url: str) -> tuple[dict[str, Process], dict[str, int]]:
    ports = {name: free_port() for name in SERVICES}
    common = {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "RABBITMQ_URL": rabbit_url,
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder / "services" / "data"),
        "SECRET_KEY": "0123456789abcdef" * 4,
        "PUBLIC_URL": f"http://127.0.0.1:{ports['gateway']}",
        "PROVIDER_LOOKS_PER_S": "1000000",
        "JOB_TIMEOUT": str(PATIENT.job_timeout_ms),
        "LOG_LEVEL": "warning",
        "LOG_FORMAT": "json",
    }
    processes = {}
    for name, port in ports.items():
        module = ["services.gateway"] if name == "gateway" else ["benchmarks.scale_worker", name]
        env = {**common, "PORT": str(port), "METRICS_PORT": str(port)}
        processes[name] = Process(name, module, env, folder / "services")
    return processes, ports


async def _until_ready(process: Process, port: int) -> None:
    async with httpx.AsyncClient(timeout=5, trust_env=False, verify=False) as http, asyncio.timeout(READY_S):
        while True:
            if process.process.poll() is not None:
                sys.exit(f"{process.name} ended: {process.tail()}")
            try:
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            await asyncio.sleep(0.1)
