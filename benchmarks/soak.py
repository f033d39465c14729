"""Soak: steady load with background faults for a long time, and nothing may grow.

    python -m benchmarks.soak [--minutes 60] [--users 3] [--seed 1]

Two processes of each service, RabbitMQ, Redis, the partners' twins with faulty callbacks. Users post jobs of two clips,
watch them live, and post the next when one has ended. In the background the second process of a service is killed and
started again, connections are reset, replies of the store are lost; finished jobs are purged soon. The first
process of each service lives all the time and is sampled: memory, descriptors, threads, child processes, asyncio tasks;
beside it the store's keys, waiting messages, files of jobs that are purged already, and temporary files. How many jobs
are kept at a moment follows the load, so keys and files of jobs are no sign by themselves. Exit code 1 if something
grows.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.measuring import machine
from benchmarks.pipeline_stand import usage_of
from benchmarks.report import Section, Table, section_markdown
from benchmarks.soak_growth import Tolerance, Trend, trend
from tests.chaos.harness.arena import VHOST, Arena, running_arena
from tests.support.system import SERVICES

SAMPLES = 120
"""Samples of a run, however long it is, but no more often than every `SAMPLE_S`."""
SAMPLE_S = 2.0
FAULT_EVERY_S = 15.0
BROKER_EVERY_S = 600.0
DOWN_S = 1.0
USER_PAUSE_S = 0.5
LIVE_S = 3.0
JOB_TIMEOUT_S = 120.0
"""Without progress for so long, a job fails: far longer than any fault takes to be made good."""
PATIENCE_S = JOB_TIMEOUT_S + 60.0
"""How long a user waits for a film of seconds: until it must have ended in one way or the other."""
AMBIGUOUS = "failed: ambiguous"
"""The answer to an order was lost, and so was its callback: nobody can know whether it was taken, and it is not placed
again. The one end that is no fault of ours."""

SETTLE_S = 180.0
JOB_TTL_S = 15
PROMPTS = tuple((f"a boat {number}", f"a bridge {number}") for number in range(4))
CALLBACK_FAULTS = (("callback=lost", {"every": 9}), ("callback=duplicate:3", {"every": 5}))
MEMORY, FEW = Tolerance(0.04, 6.0), Tolerance(0.1, 6.0)
TOLERANCES: dict[str, Tolerance] = {
    "memory, MiB": MEMORY,
    "descriptors": FEW,
    "threads": FEW,
    "processes": Tolerance(0.1, 3.0),
    "asyncio tasks": FEW,
    "keys of no job": FEW,
    "memory of Redis, MiB": Tolerance(0.25, 3.0),
    "messages waiting": Tolerance(0.5, 30.0),
    "dead letters": Tolerance(0.0, 0.5),
    "artifacts of no job": FEW,
    "temporary files": FEW,
}
TASKS = "soak_asyncio_tasks"
COUNTS_TASKS = f"""
import sys
if any(word.startswith("services.") for word in sys.orig_argv):
    import asyncio
    from prometheus_client import Gauge

    def _tasks():
        known = getattr(asyncio.tasks, "_all_tasks", None) or asyncio.tasks._scheduled_tasks
        return sum(not task.done() for task in list(known))

    Gauge("{TASKS}", "asyncio tasks that are not done").set_function(_tasks)
"""
"""A `sitecustomize.py` that has every service tell its tasks beside its own metrics: no step of ours needs that."""


@dataclass
class Soak:
    """A run, and what was seen in it."""

    arena: Arena
    seed: int
    tell: Callable[[str], None] = print
    samples: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    counted: Counter[str] = field(default_factory=Counter)
    records: int = 0
    stopped: bool = False

    async def run(self, minutes: float, users: int) -> None:
        """Let it run; on return, all jobs have ended."""
        for fault, rule in CALLBACK_FAULTS:
            await self.arena.system.kie.fault(fault, **rule)
        sampling = asyncio.create_task(self._sample_all(max(SAMPLE_S, minutes * 60 / SAMPLES)))
        async with asyncio.TaskGroup() as group:
            for _ in range(users):
                group.create_task(self._use())
            faults = group.create_task(self._break())
            await asyncio.sleep(minutes * 60)
            self.stopped = True
            faults.cancel()
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        await self._until_quiet()

    async def _use(self) -> None:
        while not self.stopped:
            job_id = None
            try:
                async with asyncio.timeout(PATIENCE_S):
                    job_id = await self._post()
                    await self._watch(job_id)
                    end = await self._end_of(job_id)
                self.counted[end] += 1
                if end.startswith("failed"):
                    await self._tell_of(job_id)
            except TimeoutError:
                self.counted["not ended in time"] += 1
                await self._tell_of(job_id)
            await asyncio.sleep(USER_PAUSE_S)

    async def _tell_of(self, job_id: str | None) -> None:
        """Tell all that is known of a job that ended badly, or not in time: everything else is deleted at the end."""
        if job_id is None:
            self.tell(f"nothing was accepted for {PATIENCE_S:g} s")
            return
        with suppress(httpx.TransportError):
            async with self._http() as http:
                self.tell((await http.get(f"/api/job/{job_id}")).text)
        for process in self.arena.system.processes.values():
            for line in process.log.read_text(errors="replace").splitlines():
                if job_id in line:
                    self.tell(f"{process.name}: {line}")

    def _http(self) -> httpx.AsyncClient:
        url = f"http://127.0.0.1:{self.arena.front.port}"
        return httpx.AsyncClient(base_url=url, timeout=10, trust_env=False, verify=False)

    async def _post(self) -> str:
        while True:
            self.records += 1
            record = f"recSOAK{self.records:010d}"
            await self.arena.system.airtable.post("seed", {"records": [{"id": record, "fields": {}}]})
            prompts = PROMPTS[self.records % len(PROMPTS)]
            body = {"clips": [{"prompt": prompt} for prompt in prompts], "recordId": record}
            with suppress(httpx.TransportError):
                async with self._http() as http:
                    answer = await http.post("/api/jobs", json=body)
                if answer.status_code == 202:
                    return str(answer.json()["data"]["jobId"])
            self.counted["requests not answered by 202"] += 1
            await asyncio.sleep(USER_PAUSE_S)

    async def _watch(self, job_id: str) -> None:
        """Follow a job's live events for a moment, and hang up in the middle."""
        with suppress(httpx.TransportError, TimeoutError):
            async with (
                asyncio.timeout(LIVE_S),
                self._http() as http,
                http.stream("GET", f"/api/job/{job_id}/events") as answer,
            ):
                async for _ in answer.aiter_lines():
                    self.counted["lines of live events"] += 1

    async def _end_of(self, job_id: str) -> str:
        while True:
            with suppress(httpx.TransportError):
                async with self._http() as http:
                    answer = await http.get(f"/api/job/{job_id}")
                if answer.status_code == 404:  # only what has ended is ever purged
                    return "ended, and purged before its user looked"
                if answer.status_code == 200 and (job := answer.json()["data"])["status"] in ("completed", "failed"):
                    return "completed" if job["status"] == "completed" else f"failed: {job['failure']['code']}"
            await asyncio.sleep(1.0)

    async def _break(self) -> None:
        """Break something every now and then, for ever; broker and store themselves rarely."""
        chance, arena, began = random.Random(self.seed), self.arena, time.monotonic()
        while True:
            await asyncio.sleep(FAULT_EVERY_S * chance.uniform(0.5, 1.5))
            if time.monotonic() - began > BROKER_EVERY_S:
                began = time.monotonic()
                victim = chance.choice(("broker", "store"))
                self.counted[f"{victim} killed"] += 1
                with suppress(AssertionError):  # it is slow to come back on a busy machine, and comes all the same
                    await (arena.kill_broker(DOWN_S) if victim == "broker" else arena.kill_store(DOWN_S))
                continue
            match chance.choice(("kill", "reset", "lose", "front")):
                case "kill":
                    victim = f"{chance.choice(SERVICES)}-2"
                    self.counted[f"{victim} killed"] += 1
                    await arena.kill(victim, DOWN_S)
                case "reset":
                    line = chance.choice(("store", "broker"))
                    self.counted[f"connections to the {line} reset"] += 1
                    arena.lines[line].reset()
                case "lose":
                    self.counted["replies of the store lost"] += 2
                    arena.lines["store"].lose_replies(2)
                case _:
                    self.counted["connections of users reset"] += 1
                    arena.front.reset()

    async def _sample_all(self, every_s: float) -> None:
        async with Redis.from_url(self.arena.redis.url, decode_responses=True) as redis:
            while True:
                try:
                    found = await self._sample(redis)
                except (RedisError, OSError, httpx.TransportError, AssertionError) as gone:
                    self.tell(f"no sample now: {type(gone).__name__}")  # broker or store is being killed
                else:
                    for key, value in found.items():
                        self.samples[key].append(value)
                await asyncio.sleep(every_s)

    async def _sample(self, redis: Redis) -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        for service in SERVICES:
            usage = usage_of(self.arena.system.processes[service].process.pid)
            found[service, "memory, MiB"] = usage.own_rss_kib / 1024
            found[service, "descriptors"] = usage.descriptors
            found[service, "processes"] = usage.processes
            found[service, "threads"] = usage.threads
            found[service, "asyncio tasks"] = await self._tasks(service)
        found["store", "memory of Redis, MiB"] = (await redis.info("memory"))["used_memory"] / 2**20
        queues = await asyncio.to_thread(self.arena.rabbit.messages, VHOST)
        dead = sum(sum(counts) for name, counts in queues.items() if name.endswith(".dead"))
        found["broker", "messages waiting"] = sum(sum(counts) for counts in queues.values()) - dead
        found["broker", "dead letters"] = dead
        found |= await asyncio.to_thread(self._files)
        found["store", "keys of no job"], found["disk", "artifacts of no job"] = await self._ownerless(redis)
        return found

    async def _ownerless(self, redis: Redis) -> tuple[int, int]:
        """Count keys that are no job's row, and files below `jobs/<id>/` of jobs that are not stored (any more)."""
        folder = self.arena.system.folder / "data" / "artifacts" / "jobs"
        owners = Counter(path.parent.name for path in folder.glob("*/*") if not path.name.startswith(".tmp-"))
        keys = {key async for key in redis.scan_iter(count=1000)}
        jobs = {key.rpartition(":job:")[2] for key in keys if ":job:" in key}
        return len(keys) - len(jobs), sum(count for owner, count in owners.items() if owner not in jobs)

    def _files(self) -> dict[tuple[str, str], float]:
        data = self.arena.system.folder / "data"
        begun = [path for path in (data / "artifacts").rglob(".tmp-*") if path.is_file()]
        work = [path for path in (data / "work").rglob("*") if path.is_file() and path.suffix != ".lock"]
        return {("disk", "temporary files"): len(begun) + len(work)}

    async def _tasks(self, service: str) -> float:
        async with httpx.AsyncClient(timeout=10, trust_env=False, verify=False) as http:
            text = (await http.get(f"http://127.0.0.1:{self.arena.system.ports[service]}/metrics")).text
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return next(sample.value for sample in samples if sample.name == TASKS)

    async def _until_quiet(self) -> None:
        """Wait for queues to empty and temporary files to go; what stays is counted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while await self._left():  # noqa: ASYNC110 - other processes empty them
                    await asyncio.sleep(1.0)
        for name, left in (await self._left()).items():
            self.counted[f"left over: {name}"] += left

    async def _left(self) -> dict[str, int]:
        queues = await asyncio.to_thread(self.arena.rabbit.messages, VHOST)
        found = {f"messages in {name}": sum(counts) for name, counts in queues.items() if not name.endswith(".dead")}
        found["temporary files"] = round((await asyncio.to_thread(self._files))["disk", "temporary files"])
        return {name: count for name, count in found.items() if count}

    def trends(self) -> list[Trend]:
        """Return the trend of everything that was sampled."""
        return [trend(f"{where}: {what}", samples, TOLERANCES[what]) for (where, what), samples in self.samples.items()]

    def problems(self) -> list[str]:
        """Return what grew, stayed or went wrong."""
        grown = [f"{each.name} grows: {each.thirds}" for each in self.trends() if each.grows]
        bad = ("failed", "not ended in time", "left over")
        wrong = [
            f"{name}: {count}" for name, count in self.counted.items() if name.startswith(bad) and name != AMBIGUOUS
        ]
        return [*grown, *wrong]


async def soak(minutes: float, users: int, seed: int, tell: Callable[[str], None] = print) -> Soak:
    """Start everything, let it run, end everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = _site(folder)
        env = {"PYTHONPATH": str(site), "JOB_TTL": str(JOB_TTL_S), "JOB_TIMEOUT": str(round(JOB_TIMEOUT_S * 1000))}
        async with running_arena(folder, dict.fromkeys(SERVICES, 2), services_env=env) as arena:
            tell(f"everything runs; {minutes:g} minutes from now")
            found = Soak(arena, seed, tell)
            await found.run(minutes, users)
    return found


def _site(folder: Path) -> Path:
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(COUNTS_TASKS)
    return site


def section(found: Soak, minutes: float) -> Section:
    """Put a run into words and tables."""
    rows = [
        [each.name, *(f"{value:.1f}" for value in each.thirds), "grows" if each.grows else "flat"]
        for each in found.trends()
    ]
    happened = [[name, str(count)] for name, count in sorted(found.counted.items())]
    problems = found.problems()
    verdict = "Nothing grew" if not problems else "Not clean: " + "; ".join(problems)
    prose = f"""{minutes:g} minutes of steady load with background faults: two processes of each service, of which the
second ones are killed and the first ones sampled; finished jobs are purged after {JOB_TTL_S} s. Medians of the thirds
of the run after its first quarter. {verdict}. Machine: {machine()}."""
    tables = [
        Table("", ["what", "first third", "second", "last", ""], rows),
        Table("What happened in the run", ["what", "times"], happened),
    ]
    return Section("soak", "Soak", prose, tables)


async def measure(full: bool) -> Section:
    """Run an hour, or in short two minutes that only show that it runs."""
    minutes = 60.0 if full else 2.0
    return section(await soak(minutes, 3, 1, _quiet), minutes)


def _quiet(_: str) -> None:
    """Progress is of interest to who runs it alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run alone and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--users", type=int, default=3, help="jobs under way at the same time")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    found = asyncio.run(soak(chosen.minutes, chosen.users, chosen.seed))
    print(section_markdown(section(found, chosen.minutes)))
    return 1 if found.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
