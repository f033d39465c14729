"""What the pipeline costs beyond the work itself: time, processor time, store round trips and events per job.

    python -m benchmarks --only pipeline [--full]

Four services as processes of their own, real RabbitMQ and Redis, the partners' twins, which answer at once; jobs of two
clips of 2 s, 1280x720, with a record. Beside each job runs the floor: the same downloads, checks, join and upload done
by one process that calls the same tools directly. Only ratios within one run count.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import machine, measured
from benchmarks.pipeline_floor import STEPS, Bare, Taken, bare
from benchmarks.pipeline_stand import PROMPTS, Stand, running_stand
from benchmarks.pipeline_trace import path_of, per_job, round_trips, typical
from benchmarks.report import Section, Table
from tests.support.otlp import collector

FLOOR = "the work alone"
ROUND_TRIPS_BEFORE, EVENTS_HANDLED_BEFORE = 111.1, 16.2
"""Of the same job, counted by this benchmark before it was used to take away what need not be there."""
WARM_UP = 3
"""Jobs before anything counts: clips are rendered, processes that decode are started, scripts are known."""


@dataclass(frozen=True)
class Sizes:
    """How many jobs each part takes."""

    paired: int
    crowd: int
    traced: int


QUICK, FULL = Sizes(12, 40, 8), Sizes(40, 200, 30)


@dataclass(frozen=True)
class Crowd:
    """Many jobs at once.

    Attributes:
        jobs_per_s: throughput.
        cpu_ms: processor time per job, by process.
    """

    jobs_per_s: float
    cpu_ms: Mapping[str, float]


@dataclass(frozen=True)
class Apart:
    """A single job through the services, and the same work alone; ms from the last clip to the film in the record."""

    through_ms: float
    settled_ms: float
    alone: Taken


async def paired(stand: Stand, direct: Bare, rounds: int) -> list[Apart]:
    """Run a job through the services, then its work alone, in turn."""
    found: list[Apart] = []
    for _ in range(rounds):
        before = await stand.ended()
        job_id, record = await stand.submit()
        await stand.until_ended(before + 1)
        view = await stand.view(job_id)
        done_ms, urls = await _provider(stand, view)
        writes = (await stand.system.airtable.get(f"records/{record}"))["writes"]
        film_at = max(write["at_ms"] for write in writes if write["field"] == "Video")
        told_at = max(write["at_ms"] for write in writes if write["field"] == "Status")
        await stand.system.airtable.post("seed", {"records": [{"id": f"recALONE{len(found):09d}", "fields": {}}]})
        alone = await direct.make(urls, f"recALONE{len(found):09d}")
        found.append(Apart(film_at - done_ms, told_at - done_ms, alone))
    return found


async def _provider(stand: Stand, view: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Return when the last clip was done at the provider, and where its clips are."""
    tasks = [
        await stand.system.kie.get(f"tasks/{clip['attempts'][-1]['providerTaskId']}")
        for clip in sorted(view["clips"], key=lambda clip: int(clip["number"]))
    ]
    return max(task["completeTime"] for task in tasks), [task["resultUrl"] for task in tasks]


async def crowd(stand: Stand, jobs: int) -> Crowd:
    """Post many jobs at once and wait for all."""
    ended, used = await stand.ended(), stand.usage()
    began = time.perf_counter()
    for _ in range(0, jobs, 10):
        await asyncio.gather(*(stand.submit() for _ in range(10)))
    await stand.until_ended(ended + jobs)
    lasted_s = time.perf_counter() - began
    now = stand.usage()
    return Crowd(jobs / lasted_s, {name: 1000 * (now[name].cpu_s - used[name].cpu_s) / jobs for name in now})


async def alone_cpu_ms(stand: Stand, direct: Bare, jobs: int) -> tuple[float, float]:
    """Do the work of many jobs alone, one after another; return jobs/s and processor time per job in ms."""
    job_id, _ = await stand.submit()
    await stand.until_ended(await _all(stand))
    _, urls = await _provider(stand, await stand.view(job_id))
    await stand.system.airtable.post("seed", {"records": [{"id": "recALONE000000XXX", "fields": {}}]})
    with measured() as usage:
        for _ in range(jobs):
            await direct.make(urls, "recALONE000000XXX")
    return jobs / usage.wall_s, 1000 * usage.cpu_s / jobs


async def _all(stand: Stand) -> int:
    counts = await stand.store.hgetall(stand.keys.counts)
    return sum(map(int, counts.values()))


async def warm(stand: Stand) -> None:
    """Let everything be done once before it counts."""
    for _ in range(WARM_UP):
        ended = await stand.ended()
        await stand.submit()
        await stand.until_ended(ended + 1)


async def untraced(sizes: Sizes, stitchers: int) -> tuple[list[Apart], Crowd, tuple[float, float]]:
    """Measure times and throughput, with nothing that watches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with running_stand(folder, replicas={"stitcher": stitchers}) as stand:
            await warm(stand)
            async with bare(folder / "bare", stand.system) as direct:
                await direct.make((await _provider(stand, await _some(stand)))[1], "recBENCH000000001")
                pairs = await paired(stand, direct, sizes.paired) if stitchers == 1 else []
                many = await crowd(stand, sizes.crowd)
                alone = await alone_cpu_ms(stand, direct, sizes.paired) if stitchers == 1 else (0.0, 0.0)
    return pairs, many, alone


async def _some(stand: Stand) -> dict[str, Any]:
    listing = (await stand.http.get("/api/jobs?status=completed&limit=1")).json()
    return await stand.view(listing["data"][0]["jobId"])


@dataclass(frozen=True)
class Traced:
    """What watching found."""

    steps: Sequence[tuple[str, float]]
    commands: Mapping[str, float]
    events: Mapping[str, float]
    deliveries: Mapping[str, float]


async def traced(sizes: Sizes) -> Traced:
    """Follow single jobs: spans of every step, and every command that reaches the store."""
    with tempfile.TemporaryDirectory() as name, collector() as spans:
        async with running_stand(Path(name), env={"OTEL_EXPORTER_OTLP_ENDPOINT": spans.url}) as stand:
            await warm(stand)
            began = time.monotonic()
            done: dict[str, int] = {}
            before = await _events(stand)
            async with round_trips(stand.store) as commands:
                for _ in range(sizes.traced):
                    ended = await stand.ended()
                    job_id, _ = await stand.submit()
                    await stand.until_ended(ended + 1)
                    done[job_id] = (await _provider(stand, await stand.view(job_id)))[0]
                busy, lasted_s = Counter(commands), time.monotonic() - began
            after = await _events(stand)
            async with round_trips(stand.store) as idle:
                await asyncio.sleep(lasted_s)
                rest = Counter(idle)
        paths = [path_of(spans.spans, job_id, done_ms) for job_id, done_ms in done.items()]
    mine = Counter({"HMGET": busy["HMGET"], "GET": len(done)})  # of this benchmark: looks at counts and views
    busy.subtract(mine)
    published, delivered = (per_job(now, was, sizes.traced) for now, was in zip(after, before, strict=True))
    return Traced(typical(paths), per_job(busy, rest, sizes.traced), published, delivered)


async def _events(stand: Stand) -> tuple[Counter[str], Counter[str]]:
    published = await stand.counted("sora_events_published_total", "event")
    delivered = await stand.counted("sora_stage_messages_total", "stage")
    return (
        Counter({name: round(count) for (name,), count in published.items()}),
        Counter({name: round(count) for (name,), count in delivered.items()}),
    )


def _ratio(value: float, floor: float) -> str:
    return f"{value / floor:.2f}" if floor else ""


def latency_table(pairs: Sequence[Apart]) -> Table:
    """Times of single jobs beside those of the work alone."""
    floor = statistics.median(pair.alone.total_ms for pair in pairs)
    rows = [
        ("film in the record", statistics.median(pair.through_ms for pair in pairs)),
        ("record says Completed", statistics.median(pair.settled_ms for pair in pairs)),
        (FLOOR, floor),
    ]
    columns = ["single jobs, from the last clip done at the provider", "ms (median)", f"x of {FLOOR}"]
    return Table("", columns, [(name, f"{ms:.0f}", _ratio(ms, floor)) for name, ms in rows])


def floor_table(pairs: Sequence[Apart]) -> Table:
    """What the work alone is made of."""
    ms = {step: statistics.median(pair.alone.ms[step] for pair in pairs) for step in STEPS}
    return Table(
        "The work alone, by one process",
        ["step", "ms (median)", "share"],
        [(step, f"{took:.0f}", f"{took / sum(ms.values()):.0%}") for step, took in ms.items()],
    )


def steps_table(found: Traced) -> Table:
    """Where each millisecond goes."""
    total = sum(ms for _, ms in found.steps)
    rows = [(name, f"{ms:.1f}", f"{ms / total:.0%}") for name, ms in found.steps]
    return Table("Single jobs, traced: the time until", ["milestone", "ms (median)", "share"], rows)


def throughput_table(alone: tuple[float, float], crowds: Mapping[str, Crowd]) -> Table:
    """Jobs per second and processor time of each service."""
    services = ["gateway", "generator", "stitcher", "uploader"]
    rows = [[FLOOR, f"{alone[0]:.2f}", "1.00", *[""] * len(services), f"{alone[1]:.0f}", "1.00"]]
    for name, found in crowds.items():
        cpu = {
            service: sum(ms for process, ms in found.cpu_ms.items() if process.startswith(service))
            for service in services
        }
        total = sum(cpu.values())
        rows.append(
            [
                name,
                f"{found.jobs_per_s:.2f}",
                _ratio(found.jobs_per_s, alone[0]),
                *(f"{ms:.0f}" for ms in cpu.values()),
                f"{total:.0f}",
                _ratio(total, alone[1]),
            ]
        )
    columns = ["many jobs at once", "jobs/s", "x", *(f"{name}, CPU ms" for name in services), "CPU ms a job", "x"]
    return Table("", columns, rows)


def counts_table(found: Traced) -> Table:
    """What a job asks of store and broker."""
    rows = [(f"store: {name}", f"{count:.1f}") for name, count in sorted(found.commands.items()) if count >= 0.05]
    rows.append(("store: all round trips", f"{sum(found.commands.values()):.1f}"))
    rows += [(f"event {name}", f"{count:.1f}") for name, count in sorted(found.events.items()) if count >= 0.05]
    rows.append(("events published", f"{sum(found.events.values()):.1f}"))
    rows.append(("events handled by the workers", f"{sum(found.deliveries.values()):.1f}"))
    return Table("A job of two clips with a record takes", ["what", "times"], rows)


def bottleneck(found: Crowd) -> str:
    """Name the process that used most of the processors."""
    name, ms = max(found.cpu_ms.items(), key=lambda each: each[1])
    share = ms / sum(found.cpu_ms.values())
    return f"the {name} ({share:.0%} of the services' processor time)"


async def measure(full: bool) -> Section:
    """Run all parts; see the module's docstring."""
    sizes = FULL if full else QUICK
    pairs, one, alone = await untraced(sizes, 1)
    _, two, _ = await untraced(sizes, 2)
    followed = await traced(sizes)
    floor = statistics.median(pair.alone.total_ms for pair in pairs)
    through = statistics.median(pair.through_ms for pair in pairs)
    prose = f"""Jobs of {len(PROMPTS)} clips of 2 s (1280x720) with a record; four services as processes, RabbitMQ,
Redis with an append-only file, twins that answer at once. Single jobs in turn with {FLOOR}: from the last clip done at
the provider to the film in the record {through / floor:.2f} times the floor, that is {through - floor:.0f} ms for
callback, events, store and statuses. With {sizes.crowd} jobs at once, {one.jobs_per_s:.2f} jobs/s with one stitcher
and {two.jobs_per_s:.2f} with two ({two.jobs_per_s / one.jobs_per_s:.2f}x); most of the work is done by
{bottleneck(one)}. The traced run is slower than the others; its shares count, not its milliseconds. Twins, broker and
store run on the same cores. Machine: {machine()}."""
    trips, handled = sum(followed.commands.values()), sum(followed.deliveries.values())
    prose += f"""

A job's round trips to the store: {trips:.0f}, {trips / ROUND_TRIPS_BEFORE:.2f} times the {ROUND_TRIPS_BEFORE:.0f} of
the first run of this benchmark. What went: reading again what was just read or written, reading marks one by one, two
writes where one does, and a renewal of every clip's lease just before its end. Events handled: {handled:.0f}
({EVENTS_HANDLED_BEFORE:.0f} before); a job of 100 clips handled about 100 more that asked again for clips asked for."""
    tables = [
        latency_table(pairs),
        floor_table(pairs),
        throughput_table(alone, {"one stitcher": one, "two stitchers": two}),
        steps_table(followed),
        counts_table(followed),
    ]
    return Section("pipeline", "Pipeline overhead", prose, tables)
