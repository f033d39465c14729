"""One chaos run: load and blows side by side, then healing, then the check."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.harness.arena import VHOST, Arena, running_arena
from tests.chaos.harness.facts import DEAD, Facts, Verdict, check
from tests.chaos.harness.load import FINAL, RECORDS, Users
from tests.chaos.harness.plan import AIRTABLE_FAULTS, KIE_FAULTS, Blow, ChaosPlan, Strike, blows, wishes

SLACK = 4
"""So many blows may be outstanding before the load waits for them, so that no blow hits an idle system."""
LOOK_EVERY_S = 1.0
PACE_S = 0.05
QUIET_S = 120.0
SHOWN = tuple(status.capitalize() for status in FINAL)


@dataclass
class Report:
    """What a run was, what was inflicted, and what came of it."""

    plan: ChaosPlan
    inflicted: Counter[str] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0


class ChaosRun:
    """One run in a running arena.

    Args:
        plan: what to do.
        arena: where.
        tell: is told how it goes, one line at a time.
    """

    def __init__(self, plan: ChaosPlan, arena: Arena, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._arena = arena
        self._tell = tell
        self._blows = blows(plan)
        self._users = Users(arena.gateways, wishes(plan), self._make_record)
        self._struck = 0
        self._posted = 0
        self._healing: set[asyncio.Task[None]] = set()
        self.report = Report(plan)

    async def run(self) -> Report:
        """Inflict everything, heal everything, check everything."""
        started = time.monotonic()
        await self._spoil_partners()
        async with asyncio.TaskGroup() as group:
            striking = group.create_task(self._strike_all())
            try:
                async with asyncio.timeout(self._plan.minutes * 60 or None):
                    await self._post_all(group)
                    await striking
            except TimeoutError:
                self._tell("time is up")
                striking.cancel()
        await self._heal()
        facts = await self._settled()
        self.report.verdict = check(facts)
        self.report.seconds = time.monotonic() - started
        return self.report

    async def _post_all(self, group: asyncio.TaskGroup) -> None:
        plan, window = self._plan, asyncio.Semaphore(self._plan.window)
        for number in range(plan.jobs):
            await window.acquire()
            await self._until_struck(number * len(self._blows) // plan.jobs - SLACK)
            group.create_task(self._one_job(window))
            self._posted += 1
            if number % 25 == 24:
                self._tell(f"{number + 1} jobs posted, {self._struck} blows struck")

    async def _make_record(self, record: str) -> None:
        await self._arena.system.airtable.post("seed", {"records": [{"id": record, "fields": {}}]})

    async def _spoil_partners(self) -> None:
        system = self._arena.system
        for control, faults in ((system.kie, KIE_FAULTS), (system.airtable, AIRTABLE_FAULTS)):
            for fault, rule in faults:
                await control.fault(fault, **rule)

    async def _one_job(self, window: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._plan.job_timeout_ms / 1000 + self._plan.settle_s):
                await self._users.until_final(await self._users.post())
        except TimeoutError:
            self._tell("a job did not end in time")  # the check finds it stuck
        finally:
            window.release()

    async def _until_struck(self, due: int) -> None:
        while self._struck < due:
            await asyncio.sleep(PACE_S)

    async def _until_posted(self, due: int) -> None:
        while self._posted < due:
            await asyncio.sleep(PACE_S)

    async def _strike_all(self) -> None:
        for number, blow in enumerate(self._blows):
            await self._until_posted((number + 1) * self._plan.jobs // (len(self._blows) + 1))
            await self._strike(blow)
            self._struck += 1
            self.report.inflicted[blow.strike] += 1

    async def _strike(self, blow: Blow) -> None:
        arena = self._arena
        if blow.strike in (Strike.KILL, Strike.FREEZE):
            await arena.until_hittable(blow.target)
            arena.down.add(blow.target)
            hit = arena.kill if blow.strike is Strike.KILL else arena.freeze
            self._beside(hit(blow.target, blow.lasting_s))
        elif blow.strike is Strike.KILL_BROKER:
            await asyncio.shield(self._beside(arena.kill_broker(blow.lasting_s)))
        elif blow.strike is Strike.KILL_STORE:
            await asyncio.shield(self._beside(arena.kill_store(blow.lasting_s)))
        elif blow.strike is Strike.RESET:
            arena.lines[blow.target].reset()
        elif blow.strike is Strike.LOSE_REPLY:
            arena.lines[blow.target].lose_replies(blow.count)
        else:
            self._beside(self._slow(blow))

    async def _slow(self, blow: Blow) -> None:
        line = self._arena.lines[blow.target]
        line.delay_s = 0.1
        await asyncio.sleep(blow.lasting_s)
        line.delay_s = 0.0

    def _beside(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Have a blow take its course, and be healed, whatever becomes of the schedule."""
        task = asyncio.create_task(work)
        self._healing.add(task)
        return task

    async def _heal(self) -> None:
        self._tell("healing")
        await asyncio.gather(*self._healing)
        for line in self._arena.lines.values():
            await line.heal()
        kie, airtable = self._arena.system.kie, self._arena.system.airtable
        self._count_partners("kie.ai", await kie.get("faults"))
        self._count_partners("Airtable", await airtable.get("faults"))
        await kie.clear_faults()
        await airtable.clear_faults()

    def _count_partners(self, name: str, shown: dict[str, Any]) -> None:
        for rule in shown["faults"]:
            self.report.inflicted[f"{name}: {rule['fault']}"] += rule["applied"]
        self.report.inflicted["requests not answered by 202"] = len(self._users.tally.unsure)

    async def _settled(self) -> Facts:
        """Wait until nothing moves any more; return how it stands then, whatever was not reached."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._plan.settle_s):
                await self._until_jobs_end()
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                while not await self._is_quiet():
                    await asyncio.sleep(LOOK_EVERY_S)
        return await self._gather_facts(await self._jobs())

    async def _until_jobs_end(self) -> None:
        while unsettled := [job_id for job_id, job in (await self._jobs()).items() if job["status"] not in FINAL]:
            self._tell(f"{len(unsettled)} jobs not ended yet")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _is_quiet(self) -> bool:
        """Whether the broker is empty and every record shows its job's last status."""
        queues = await self._queues()
        left = sum(sum(counts) for queue, counts in queues.items() if not queue.endswith(DEAD))
        records = (await self._arena.system.airtable.get("state"))["records"]
        ours = [record["fields"].get("Status") for name, record in records.items() if name.startswith(RECORDS)]
        lagging = sum(status not in (None, *SHOWN) for status in ours)
        if left or lagging:
            self._tell(f"{left} messages left, {lagging} records lag")
        return not left and not lagging

    async def _queues(self) -> dict[str, tuple[int, int]]:
        return await asyncio.to_thread(self._arena.rabbit.messages, VHOST)

    async def _jobs(self) -> dict[str, dict[str, Any]]:
        jobs: dict[str, dict[str, Any]] = {}
        for job_id in await self._users.listed():
            view = None
            while view is None:
                view = await self._users.get(f"/api/job/{job_id}")
            jobs[job_id] = view["data"]
        return jobs

    async def _gather_facts(self, jobs: dict[str, dict[str, Any]]) -> Facts:
        system, tally = self._arena.system, self._users.tally
        artifacts = system.folder / "data" / "artifacts"
        files = (path for path in artifacts.rglob("*") if path.is_file() and not path.name.startswith(".tmp-"))
        asked = [*tally.accepted.values(), *tally.unsure]
        return Facts(
            acknowledged=frozenset(tally.accepted),
            doomed=frozenset(prompt for wish in asked if wish.doomed for prompt in wish.prompts),
            jobs=jobs,
            tasks=tuple(await system.kie.get("tasks")),
            orders=tuple(await system.kie.get("orders")),
            records=(await system.airtable.get("state"))["records"],
            artifacts=frozenset(str(path.relative_to(artifacts)) for path in files),
            queues=await self._queues(),
        )


async def run_chaos(plan: ChaosPlan, folder: Path, tell: Callable[[str], None] = print) -> Report:
    """Start everything below `folder`, run, and end everything."""
    services_env = {"LEASE_MS": str(plan.lease_ms), "JOB_TIMEOUT": str(plan.job_timeout_ms)}
    twins_env = {"SANDBOX_KIE_CALLBACK_HOLD_MS": "3000", "SANDBOX_KIE_CALLBACK_RETRY_MS": "500"}
    async with running_arena(folder, plan.replicas, services_env=services_env, twins_env=twins_env) as arena:
        tell("everything runs")
        return await ChaosRun(plan, arena, tell).run()
