"""The four services as processes of their own on a private broker and store, and what kernel and store tell of them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from shared.store.redis_layout import Keys
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.system import System

VHOST = "bench"
AS_DEPLOYED = ("--appendfsync", "everysec")
"""Of Redis: what deploy/redis/redis.conf sets."""
AT_ONCE = {
    "SANDBOX_CLIP_SECONDS": "2",
    "SANDBOX_CLIP_SHORT_SIDE": "720",
    "SANDBOX_KIE_WAITING_MS": "0",
    "SANDBOX_KIE_QUEUING_MS": "0",
    "SANDBOX_KIE_GENERATING_MS": "50",
    "SANDBOX_AIRTABLE_INGEST_DELAY_MS": "0",
}
"""Twins that add no time of their own: a clip is done 50 ms after its order, so that the order's answer comes first."""
AS_CONFIGURED = {"POLL_AFTER_MS": "15000", "NUDGE_AFTER_MS": "5000", "RECONCILE_EVERY_MS": "1000", "LEASE_MS": "30000"}
"""The services' own defaults, in place of the quicker ones of the tests."""
PROMPTS = ("a lighthouse in the rain", "a harbour at night")
ENDS = ["completed", "failed"]
LOOK_EVERY_S = 0.02
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True)
class Usage:
    """What a process and all it has started have used so far, and hold now; descriptors and threads are its own."""

    cpu_s: float
    rss_kib: int
    own_rss_kib: int
    descriptors: int
    threads: int
    processes: int


def usage_of(pid: int) -> Usage:
    """Read a process and its living descendants from /proc; processor time includes descendants that have ended."""
    stats = _stats()
    tree = {pid}
    while more := {each for each, fields in stats.items() if int(fields[1]) in tree} - tree:
        tree |= more
    present = [stats[each] for each in tree if each in stats]
    return Usage(
        cpu_s=sum(int(ticks) for fields in present for ticks in fields[11:15]) / TICKS_PER_S,
        rss_kib=sum(int(fields[21]) for fields in present) * PAGE_KIB,
        own_rss_kib=int(stats[pid][21]) * PAGE_KIB if pid in stats else 0,
        descriptors=_descriptors(pid),
        threads=int(stats[pid][17]) if pid in stats else 0,
        processes=len(present),
    )


def cpu_s_of(program: str) -> float:
    """Return the processor time of every process of that program that this one has started, directly or not."""
    stats, ours = _stats(), {os.getpid()}
    while more := {each for each, fields in stats.items() if int(fields[1]) in ours} - ours:
        ours |= more
    ticks = 0
    for pid in ours & stats.keys():
        try:
            if (Path("/proc") / str(pid) / "comm").read_text().startswith(program):
                ticks += int(stats[pid][11]) + int(stats[pid][12])
        except OSError:  # it has ended meanwhile
            continue
    return ticks / TICKS_PER_S


def _stats() -> dict[int, list[str]]:
    """Return the fields of every `/proc/*/stat` after the name."""
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
    return found


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:  # it has ended meanwhile
        return 0


@dataclass
class Stand:
    """The running system and its backing services."""

    system: System
    rabbit: RabbitServer
    redis: RedisServer
    http: httpx.AsyncClient
    store: Redis
    keys: Keys = field(default_factory=lambda: Keys("sora:"))
    records: int = 0

    @property
    def services(self) -> list[str]:
        """The services' processes by name."""
        return [name for name in self.system.processes if name != "twins"]

    def usage(self, names: Iterable[str] | None = None) -> dict[str, Usage]:
        """Return the usage of these processes, of all services by default."""
        return {name: usage_of(self.system.processes[name].process.pid) for name in names or self.services}

    async def submit(self, prompts: Sequence[str] = PROMPTS, **more: Any) -> tuple[str, str]:
        """Post a job with a record of its own; return both ids."""
        self.records += 1
        record = f"recBENCH{self.records:09d}"
        await self.system.airtable.post("seed", {"records": [{"id": record, "fields": {}}]})
        body = {"clips": [{"prompt": prompt} for prompt in prompts], "recordId": record, **more}
        answer = await self.http.post("/api/jobs", json=body)
        answer.raise_for_status()
        return str(answer.json()["data"]["jobId"]), record

    async def ended(self) -> int:
        """Return how many jobs have completed; raise if any has failed."""
        completed, failed = (int(count or 0) for count in await self.store.hmget(self.keys.counts, ENDS))
        if failed:
            raise RuntimeError(f"{failed} jobs failed; one: {(await self.http.get('/api/jobs?status=failed')).text}")
        return completed

    async def until_ended(self, count: int, timeout_s: float = 600) -> None:
        """Return once so many jobs have completed in all."""
        async with asyncio.timeout(timeout_s):
            while await self.ended() < count:  # noqa: ASYNC110 - another process ends them
                await asyncio.sleep(LOOK_EVERY_S)

    async def view(self, job_id: str) -> dict[str, Any]:
        """Return a job as the gateway shows it."""
        answer = await self.http.get(f"/api/job/{job_id}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()["data"]
        return found

    async def counted(self, metric: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Return a counter's samples, summed over all processes, by the values of these labels."""
        return await counted(self.system.ports.values(), metric, *labels)


async def counted(ports: Iterable[int], metric: str, *labels: str) -> Counter[tuple[str, ...]]:
    """Return a counter's samples, summed over the processes whose metrics are at these ports, by these labels."""
    sums: Counter[tuple[str, ...]] = Counter()
    async with httpx.AsyncClient(timeout=10, trust_env=False, verify=False) as http:
        for port in ports:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name == metric:
                        sums[tuple(sample.labels[label] for label in labels)] += round(sample.value)
    return sums


@asynccontextmanager
async def running_stand(
    folder: Path,
    *,
    replicas: Mapping[str, int] | None = None,
    env: Mapping[str, str] | None = None,
    twins: Mapping[str, str] | None = None,
) -> AsyncIterator[Stand]:
    """Start everything below `folder`; nothing stays behind. Clips are rendered before the first job counts."""
    folders = {name: folder / name for name in ("rabbit", "redis", "services", "clips")}
    for path in folders.values():
        path.mkdir()
    rabbit, redis = RabbitServer(folders["rabbit"]), RedisServer(folders["redis"], *AS_DEPLOYED)
    try:
        await asyncio.gather(asyncio.to_thread(rabbit.start), asyncio.to_thread(redis.start))
        await asyncio.to_thread(rabbit.add_vhost, VHOST)
        backing = {"RABBITMQ_URL": rabbit.url(VHOST), "REDIS_URL": redis.url}
        told = {**AT_ONCE, "SANDBOX_CLIP_CACHE_DIR": str(folders["clips"]), **(twins or {})}
        system = System(folders["services"], backing, replicas or {}, {**AS_CONFIGURED, **(env or {})}, told)
        store = Redis.from_url(redis.url, decode_responses=True)
        async with system, system.client() as http, store:
            yield Stand(system, rabbit, redis, http, store)
    finally:
        await asyncio.to_thread(redis.kill)
        await asyncio.to_thread(rabbit.close)
