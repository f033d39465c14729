"""Scale by simulation: does the cost of a job stay the same, however many there are?

    python -m benchmarks --only scale [--full]

The services' own processes, bus and store, with simulated clips (`benchmarks.scale_worker`). Jobs are put into the
store with all clips out at the provider, then every clip is called back at once. Growing crowds on the same processes
show what grows. Ratios to the smallest crowd count; a figure that is flat says 1.0.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.measuring import machine
from benchmarks.pipeline_stand import AS_DEPLOYED, cpu_s_of
from benchmarks.report import Section, Table
from benchmarks.scale_stand import PATIENT, SERVICES, ScaleStand, create, job_in_flight, running_workers, store_at
from shared.artifacts.memory import MemoryArtifacts
from shared.bus.memory import MemoryBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.clock import now_ms
from shared.emitter import Emitter
from shared.job.model import Job, JobStatus, Passage
from shared.reconciler import Reconciler
from shared.store.cursors import Position, encode_cursor
from shared.store.jobs import JobStore
from tests.support.redis import RedisServer

LOOK_EVERY_S = 0.25
STOPS = (0.1, 0.5, 1.0)
"""Shares of a crowd's jobs that are done when the services' memory is looked at."""
BACKING = {"redis-server": "Redis", "beam.smp": "RabbitMQ"}
"""Names of the backing services' programs."""
PAGE = 20
TICKS = 30


@dataclass(frozen=True)
class Crowd:
    """So many jobs of so many clips, all in flight together."""

    jobs: int
    clips: int

    @property
    def name(self) -> str:
        """For the tables."""
        return f"{self.jobs} jobs of {self.clips} clips"


QUICK = (Crowd(50, 2), Crowd(500, 2), Crowd(5, 100))
FULL = (Crowd(100, 2), Crowd(1000, 2), Crowd(10_000, 2), Crowd(100, 100))
FINISHED = (0, 1_000, 10_000)
"""Numbers of finished jobs beside which the reconciler and the listings are measured."""


@dataclass
class Flow:
    """What a crowd took.

    Attributes:
        rss_kib: by share of jobs done, by service.
        done_at_s: when each tenth of the jobs was done.
        depth: messages waiting, by time since the last callback was queued.
    """

    crowd: Crowd
    wall_s: float = 0.0
    commands: int = 0
    nudges: int = 0
    bytes_in: int = 0
    cpu_s: dict[str, float] = field(default_factory=dict)
    backing_cpu_s: dict[str, float] = field(default_factory=dict)
    rss_kib: dict[float, dict[str, int]] = field(default_factory=dict)
    done_at_s: dict[int, float] = field(default_factory=dict)
    depth: list[tuple[float, int]] = field(default_factory=list)

    @property
    def evenness(self) -> float:
        """Jobs per second in the second half of the crowd, as a multiple of the first half's (without its start)."""
        first = self.done_at_s[5] - self.done_at_s[1]
        second = self.done_at_s[10] - self.done_at_s[6]
        return first / second if second else 1.0


async def flow(stand: ScaleStand, crowd: Crowd) -> Flow:
    """Let a crowd through."""
    found = Flow(crowd)
    jobs = [job_in_flight(crowd.clips) for _ in range(crowd.jobs)]
    await create(stand.store, jobs)
    done, used, commands = await stand.completed(), stand.usage(), await stand.commands()
    nudges, backing = await stand.nudges(), {program: cpu_s_of(program) for program in BACKING}
    received = (await stand.redis.info("stats"))["total_net_input_bytes"]
    began = time.monotonic()
    calling = asyncio.create_task(stand.call_back(jobs))
    stops = list(STOPS)
    while stops:
        await asyncio.sleep(LOOK_EVERY_S)
        share = (await stand.completed() - done) / crowd.jobs
        now_s = time.monotonic() - began
        for tenth in range(1, int(share * 10) + 1):
            found.done_at_s.setdefault(tenth, now_s)
        await _look(stand, found, began)
        while stops and share >= stops[0]:
            found.rss_kib[stops.pop(0)] = {name: usage.rss_kib for name, usage in stand.usage().items()}
    await calling
    found.wall_s = time.monotonic() - began
    while not found.depth or found.depth[-1][1]:  # what others only listen in to may take longer
        await asyncio.sleep(LOOK_EVERY_S)
        await _look(stand, found, began)
    found.commands = await stand.commands() - commands
    found.nudges = await stand.nudges() - nudges
    found.bytes_in = (await stand.redis.info("stats"))["total_net_input_bytes"] - received
    found.backing_cpu_s = {program: cpu_s_of(program) - was for program, was in backing.items()}
    found.cpu_s = {name: now.cpu_s - used[name].cpu_s for name, now in stand.usage().items()}
    return found


async def _look(stand: ScaleStand, found: Flow, began: float) -> None:
    waiting = await stand.waiting()
    if waiting is not None:
        found.depth.append((time.monotonic() - began, waiting))


@dataclass(frozen=True)
class Cost:
    """What one operation asks of the store."""

    commands: float
    bytes_out: float
    ms: float


@dataclass(frozen=True)
class Standing:
    """What the reconciler and the listings cost beside so many finished jobs."""

    finished: int
    tick: Cost
    first_page: Cost
    last_page: Cost


def finished_job(number: int) -> Job:
    """Return a job that has completed, the older the higher its number."""
    job = job_in_flight(2)
    now = now_ms()
    at = now - 1000 * number
    done = Passage(status=JobStatus.COMPLETED, at=now)
    return job.but(status=JobStatus.COMPLETED, created_at=at, finished_at=now, passages=(*job.passages, done))


async def standing() -> list[Standing]:
    """Measure the reconciler and the listings on growing numbers of finished jobs, beside some unfinished ones."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        server = RedisServer(Path(name), *AS_DEPLOYED)
        server.start()
        store, redis = store_at(server.url), Redis.from_url(server.url, decode_responses=True)
        try:
            await store.open()
            await create(store, (job_in_flight(2) for _ in range(100)))
            known = 0
            for finished in FINISHED:
                await create(store, (finished_job(number) for number in range(known, finished)))
                known = finished
                found.append(await _standing(store, redis, finished))
        finally:
            await redis.aclose()
            await store.close()
            server.stop()
    return found


async def _standing(store: JobStore, redis: Redis, finished: int) -> Standing:
    bus = MemoryBus(SUBSCRIPTIONS)
    reconciler = Reconciler(
        store, Emitter(bus, "bench"), MemoryArtifacts(), PATIENT, owner="bench", every_ms=1000, clock=now_ms
    )
    await reconciler.tick()
    oldest = encode_cursor(Position(now_ms() - 1000 * max(0, finished - PAGE), ""))

    async def tick() -> object:
        return await reconciler.tick()

    async def first() -> object:
        return await store.page(limit=PAGE)

    async def last() -> object:
        return await store.page(limit=PAGE, cursor=oldest if finished else None)

    costs = [await _cost(redis, operation) for operation in (tick, first, last)]
    return Standing(finished, *costs)


async def _cost(redis: Redis, operation: object) -> Cost:
    took = []
    before, sent = await _commands(redis), (await redis.info("stats"))["total_net_output_bytes"]
    answer = len(str(await redis.info("stats")))
    for _ in range(TICKS):
        began = time.perf_counter()
        await operation()  # type: ignore[operator]
        took.append(1000 * (time.perf_counter() - began))
    bytes_out = (await redis.info("stats"))["total_net_output_bytes"] - sent - 2 * answer
    return Cost((await _commands(redis) - before) / TICKS, max(0, bytes_out) / TICKS, min(took))


async def _commands(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return sum(found["calls"] for name, found in stats.items() if name != "cmdstat_info")


def _mib(kib: int) -> str:
    return f"{kib / 1024:.0f}"


def crowds_table(flows: Sequence[Flow]) -> Table:
    """What a job costs in crowds of growing size."""
    columns = [
        *(
            "in flight together",
            "clips/s",
            "Redis commands a clip",
            "x",
            "KB to Redis a clip",
            "services, CPU ms a clip",
            "x",
        ),
        *(f"{name}, CPU ms a clip" for name in BACKING.values()),
        *("asked again a job", "jobs/s, second half : first half"),
    ]
    rows, base = [], flows[0]
    for found in flows:
        clips = found.crowd.jobs * found.crowd.clips
        cpu, base_cpu = (sum(each.cpu_s.values()) / (each.crowd.jobs * each.crowd.clips) for each in (found, base))
        commands, base_commands = (each.commands / (each.crowd.jobs * each.crowd.clips) for each in (found, base))
        rows.append(
            [
                found.crowd.name,
                f"{clips / found.wall_s:.0f}",
                f"{commands:.0f}",
                f"{commands / base_commands:.2f}",
                f"{found.bytes_in / clips / 1000:.1f}",
                f"{1000 * cpu:.1f}",
                f"{cpu / base_cpu:.2f}",
                *(f"{1000 * found.backing_cpu_s[program] / clips:.1f}" for program in BACKING),
                f"{found.nudges / found.crowd.jobs:.1f}",
                f"{found.evenness:.2f}",
            ]
        )
    return Table("", columns, rows)


def memory_table(flows: Sequence[Flow]) -> Table:
    """Resident memory of each service while the crowds go through."""
    rows = []
    for found in flows:
        for share in STOPS:
            held = found.rss_kib[share]
            rows.append([f"{found.crowd.name}, {share:.0%} done", *(_mib(held[name]) for name in SERVICES)])
    return Table("", ["resident memory, with child processes", *(f"{name}, MiB" for name in SERVICES)], rows)


def depth_table(found: Flow) -> Table:
    """How the queues of the largest crowd empty."""
    peak_at, peak = max(found.depth, key=lambda each: each[1])
    after = [(at, count) for at, count in found.depth if at >= peak_at]
    rows = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        wanted = peak_at + share * (after[-1][0] - peak_at)
        at, count = min(after, key=lambda each: abs(each[0] - wanted))
        rows.append([f"{at:.0f} s", str(count), f"{count / max(1, peak):.2f}", f"{1 - share:.2f}"])
    columns = ["at", "waiting", "of the most", "a straight line"]
    return Table(f"Queues of {found.crowd.name}, from the deepest on", columns, rows)


def standing_table(found: Sequence[Standing]) -> Table:
    """Reconciler and listings beside growing numbers of finished jobs."""
    rows = []
    base = found[0]
    for name in ("tick", "first_page", "last_page"):
        for each in found:
            cost, least = getattr(each, name), getattr(base, name)
            rows.append(
                [
                    f"{TITLES[name]}, {each.finished} finished jobs",
                    f"{cost.commands:.1f}",
                    f"{cost.bytes_out / 1000:.1f}",
                    f"{cost.ms / least.ms:.2f}",
                ]
            )
    return Table("", ["beside 100 unfinished jobs", "Redis commands", "KB from Redis", "time, x"], rows)


TITLES: Mapping[str, str] = {
    "tick": "one round of the reconciler",
    "first_page": f"first {PAGE} of the listing",
    "last_page": f"last {PAGE} of the listing",
}


async def measure(full: bool) -> Section:
    """Run all crowds; see the module's docstring."""
    async with running_workers() as stand:
        await flow(stand, Crowd(20, 2))  # everything is done once before it counts
        flows = [await flow(stand, crowd) for crowd in (FULL if full else QUICK)]
    beside = await standing()
    largest = max(flows, key=lambda each: each.crowd.jobs)
    grown = {name: largest.rss_kib[1.0][name] / largest.rss_kib[0.1][name] for name in largest.rss_kib[0.1]}
    worst = max(grown, key=lambda name: grown[name])
    prose = f"""Clips, their checks and the joining are simulated; gateway, workers, RabbitMQ and Redis are real, one
process each. Jobs lie in the store with all clips out at the provider, then all clips are called back at once. Between
10 % and 100 % of {largest.crowd.name} done, the memory of the {worst} grew most, by {grown[worst] - 1:.1%}.
Commands inside Lua scripts are counted. A long queue makes the reconciler ask again for what waits in it, with doubling
pauses, unless the queue is longer than 100 (before that was so, a crowd of 500 jobs was asked for 4.3 times a job and
cost 1.32 times the commands of a crowd of 50). Machine: {machine()}."""
    tables = [crowds_table(flows), memory_table(flows), depth_table(largest), standing_table(beside)]
    return Section("scale", "Scale by simulation", prose, tables)
