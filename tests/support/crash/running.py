"""One job in one world: from the request to its end, what kills it on the way, and what is looked at afterwards."""

import asyncio
import os
import shutil
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from shared.bus.topology import SUBSCRIPTIONS
from shared.job.mirror import NAMES, is_settled
from shared.job.model import ClipStatus, Job, JobStatus
from tests.support.crash.hook import NOTHING
from tests.support.crash.world import LOOK_EVERY_S, PATIENCE_S, Death, World
from tests.support.system import SERVICES

WORDS = tuple(dict.fromkeys(NAMES.values()))
"""The record's statuses in their order; `Failed` may follow any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a scenario ends, killed or not.

    Attributes:
        status: the job's; None if the job is purged in the end.
        code: of its failure.
        orders: how many orders the provider takes, by clip.
        attached: how many attachments the record ever gets.
        word: the record's last status, or None if it cannot be written any more.
        dead: dead letters that are left; one that was written just before a kill may be there twice.
    """

    status: JobStatus | None = JobStatus.COMPLETED
    code: str | None = None
    orders: tuple[int, ...] = (1,)
    attached: int = 1
    word: str | None = "Completed"
    dead: int = 0


LONG_S = 20.0

Script = Callable[["Run"], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A job and what befalls it.

    Attributes:
        name: for people.
        clips: for each clip, faults of the provider (`sandbox.faults`), or "".
        route: where it is posted.
        record: whether a record waits for the film.
        airtable: faults of Airtable on the record, from before the request on.
        env: settings; `<service>.NAME` is for one service alone, `{folder}` the
            world's folder, `{detour}` its other way to Redis.
        before: done before the request.
        meanwhile: done beside, once the job is accepted.
        arms_itself: `meanwhile` kills processes, too, and calls `Run.arm` when it is done with that.
        order_may_be_cut_off: an order may end half-way although nobody dies: its owner can renew its lease no more.
        only: the scenario is for places with this in their chain, which it takes from all others.
        ends: how it ends.
    """

    name: str
    clips: tuple[str, ...] = ("",)
    route: Literal["generate-video", "process-record", "jobs"] = "jobs"
    record: bool = True
    airtable: tuple[Mapping[str, Any], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    before: Script | None = None
    meanwhile: Script | None = None
    arms_itself: bool = False
    order_may_be_cut_off: bool = False
    only: str = ""
    ends: Ending = Ending()


ANYBODY = "anybody"


@dataclass(frozen=True, slots=True)
class Kill:
    """A place at which a process is to die: that of a service, or of `ANYBODY`, the first that comes by."""

    service: str
    place: bytes


class Run:
    """A scenario in a world.

    Attributes:
        problems: what was wrong in the end; empty if nothing was.
        struck: places at which processes died as they were told.
        job: as it was last seen.
    """

    def __init__(self, world: World, scenario: Scenario, kills: Sequence[Kill] = ()) -> None:
        self.world = world
        self.scenario = scenario
        self.kills = kills
        self.problems: list[str] = []
        self.struck: set[bytes] = set()
        self.job: Job | None = None
        self.job_id = ""
        mark = uuid.uuid4().hex[:14]
        self.record_id = f"rec{mark}"
        self.prompts = [
            f"clip {number} [twin:{','.join(filter(None, (f'run={mark}{number}', faults)))}]"
            for number, faults in enumerate(scenario.clips, start=1)
        ]
        self._unsent: set[int] = set()

    async def go(self, *, record: bool = False) -> None:
        """Do it all; what went wrong is in `problems` then."""
        world, script = self.world, self.scenario.meanwhile
        beside: asyncio.Task[None] | None = None
        watch = asyncio.create_task(self._ask_for_stacks())
        try:
            await world.dress(self.scenario.env, record=record)
            await self._prepare()
            self.job_id = (await world.post(f"/api/{self.scenario.route}", self._body())).id
            beside = asyncio.create_task(script(self)) if script is not None else None
            await self.until(self._over, "the job ends")
            if beside is not None:
                await beside
            await self.until(self._quiet, "all messages are handled")
            await self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this run's report
            self.problems.append(f"{type(error).__name__}: {error}")
        finally:
            watch.cancel()
            if beside is not None:
                beside.cancel()
            world.on_death = None
        if self.problems:
            self.problems.append(await self._story())
            await world.stop()

    def arm(self, *services: str) -> None:
        """Have the processes of services (none named: of all) die where they are to, if nobody did so there yet."""
        for kill in self.kills:
            for service in services or SERVICES:
                if kill.service in (service, ANYBODY) and kill.place not in self.struck:
                    self.world.arm(service, kill.place)

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Return once a condition holds."""
        deadline = time.monotonic() + timeout_s
        while not await condition():
            assert time.monotonic() < deadline, f"it does not come true that {what}"
            await asyncio.sleep(LOOK_EVERY_S)

    async def until_job(self, condition: Callable[[Job], bool], what: str) -> Job:
        """Return the job once a condition holds of it."""
        found: list[Job] = []

        async def holds() -> bool:
            job = await self.world.job(self.job_id)
            if job is not None and condition(job):
                found.append(job)
            return bool(found)

        await self.until(holds, what)
        return found[0]

    @property
    def artifacts(self) -> Path:
        """The job's folder in the artifact store."""
        return self.world.artifacts / "jobs" / self.job_id

    async def _prepare(self) -> None:
        world, scenario = self.world, self.scenario
        await world.forget()
        world.on_death = self._note
        if scenario.record:
            fields = {f"Prompt {number}": prompt for number, prompt in enumerate(self.prompts, start=1)}
            seed = [{"id": self.record_id, "fields": fields if scenario.route == "process-record" else {}}]
            await world.around.airtable.post("seed", {"records": seed})
        for fault in scenario.airtable:
            await world.around.airtable.fault(**{**fault, "match": self.record_id})
        if scenario.before is not None:
            await scenario.before(self)
        if not scenario.arms_itself:
            self.arm()

    def _body(self) -> dict[str, Any]:
        record = {"recordId": self.record_id} if self.scenario.record else {}
        match self.scenario.route:
            case "process-record":
                return record
            case "generate-video":
                return {"prompt1": self.prompts[0], "prompt2": self.prompts[1], **record}
            case "jobs":
                return {"clips": [{"prompt": prompt} for prompt in self.prompts], **record}

    async def _note(self, death: Death) -> None:
        if death.place != NOTHING:
            self.struck.add(death.place)
            if Kill(ANYBODY, death.place) in self.kills:
                for service in SERVICES:
                    self.world.arm(service, NOTHING)
        elif death.status not in (0, -signal.SIGKILL):
            self.problems.append(f"{death.service} ended by itself with {death.status}")
        elif not self.scenario.arms_itself:  # a script ended it, which made it forget where to die
            self.arm(death.service)
        job = await self.world.job(self.job_id)
        if job is not None and death.service == "generator":
            self._unsent |= {clip.number for clip in job.clips if clip.status is ClipStatus.SUBMITTING}

    async def _over(self) -> bool:
        job = await self.world.job(self.job_id)
        if self.scenario.ends.status is None:
            return job is None
        self.job = job
        return job is not None and is_settled(job)

    async def _quiet(self) -> bool:
        # Twice, since a message that moves from a delay queue to its work queue is for a moment in neither.
        for _ in range(2):
            if not all(queue.endswith(".dead") for queue in await self.world.messages()):
                return False
        return self.world.all_run

    async def _look(self) -> None:
        """Look at everything that the job may have left anywhere."""
        world, ends, job = self.world, self.scenario.ends, self.job
        orders = await self._orders()
        if job is not None and self.scenario.order_may_be_cut_off:
            self._unsent |= {clip.number for clip in job.clips if clip.artifact is None}
        lost = {number for number in self._unsent if orders[number - 1] == 0}
        if job is not None and lost:
            ends = Ending(status=JobStatus.FAILED, code="ambiguous", orders=ends.orders, attached=0, word="Failed")
        wanted = [0 if number in lost else count for number, count in enumerate(ends.orders, start=1)]
        self._same("orders that the provider took, by clip", orders, wanted)
        self._same("status", job.status if job is not None else None, ends.status)
        code = job.failure.code if job is not None and job.failure is not None else None
        self._same("code of the failure", code, ends.code)
        await self._look_at_files(job)
        if self.scenario.record:
            await self._look_at_record(ends)
        dead = sum(count for queue, count in (await world.messages()).items() if queue.endswith(".dead"))
        if not ends.dead <= dead <= ends.dead * (1 + len(self.kills)):
            self.problems.append(f"dead letters: {dead} instead of {ends.dead}")
        await self._tidy(dead)

    async def _orders(self) -> list[int]:
        counts = (await self.world.around.kie.get("orders/count"))["by_prompt"]
        return [counts.get(prompt, 0) for prompt in self.prompts]

    async def _look_at_files(self, job: Job | None) -> None:
        named = set() if job is None else {clip.artifact.key for clip in job.clips if clip.artifact is not None}
        if job is not None and job.status is JobStatus.COMPLETED:
            self._same("clips at home", len(named), len(job.clips))
        if job is not None and job.film is not None:
            named |= {f"jobs/{job.id}/film.mp4", f"jobs/{job.id}/poster.jpg"}
        root = self.world.artifacts
        await self._sweep(root)
        kept = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        self._same("files in the artifact store", kept, named)
        await self.until(self._work_is_gone, "the work folders of processes that died are removed")

    async def _sweep(self, root: Path) -> None:
        """Let what was left half-written grow old, and see it removed after a restart."""
        left = [path for path in root.rglob(".*") if path.is_file()]
        if not left:
            return
        for path in left:
            os.utime(path, (0, 0))
        # Whoever reconciles sweeps when it begins to; with the lock's end, that is the first to be there again.
        for service in SERVICES:
            self.world.signal(service, signal.SIGKILL)
        await self.world.forget()

        async def gone() -> bool:
            return not any(path.exists() for path in left)

        await self.until(gone, "what was left half-written in the artifact store is removed")

    async def _work_is_gone(self) -> bool:
        found = list((self.world.data / "work").rglob("*"))
        alive = self.world.pids
        return all(path.name.split("-")[1:2] and int(path.name.split("-")[1]) in alive for path in found)

    async def _tidy(self, dead: int) -> None:
        """Remove what the next job of this world must not find."""
        shutil.rmtree(self.world.artifacts / "jobs", ignore_errors=True)
        if dead:
            for subscription in SUBSCRIPTIONS:
                await self.world.bus.drop_dead(subscription.queue)

    async def _look_at_record(self, ends: Ending) -> None:
        record = await self.world.around.airtable.get(f"records/{self.record_id}")
        # What Airtable could not fetch (the gateway died while it served the film) never stood in the record.
        arrived = [attachment for attachment in record["attachments"] if attachment["state"] == "ok"]
        self._same("attachments ever", len(arrived), ends.attached)
        written = [change["value"] for change in record["writes"] if change["field"] == "Status"]
        order = [WORDS.index(word) for word in written]
        if order != sorted(order):
            self.problems.append(f"the record's Status went back: {written}")
        if ends.word is not None:
            self._same("the record's last Status", written[-1] if written else None, ends.word)

    def _same(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.problems.append(f"{what}: {found!r} instead of {wanted!r}")

    async def _ask_for_stacks(self) -> None:
        """Have the services tell what they wait for if the run takes long; read only if it goes wrong."""
        await asyncio.sleep(LONG_S)
        for service in SERVICES:
            self.world.signal(service, signal.SIGUSR1)

    async def _story(self) -> str:
        """What is known of a run that went wrong."""
        job = await self.world.job(self.job_id) if self.job_id else None
        lines = [f"scenario {self.scenario.name!r}, job {self.job_id or 'none'}, record {self.record_id}"]
        if job is not None:
            lines += [f"  {entry.at - job.created_at:6d} ms {entry.what}" for entry in job.timeline]
        logs = [
            f"--- {service}\n{self.world.tail(service)}" for service in ("generator", "stitcher", "uploader", "gateway")
        ]
        return "\n".join([*lines, *logs])
