"""One job in one world: from the request to its end, what kills it on the way, and what is looked at afterwards."""

import asyncio
import shutil
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from shared.bus.topology import SUBSCRIPTIONS
from shared.job.mirror import is_settled
from shared.job.model import ClipStatus, Job
from tests.support.crash.hook import NOTHING
from tests.support.crash.looking import EARLIER, Ending, Look
from tests.support.crash.partner import CLIP
from tests.support.crash.world import LOOK_EVERY_S, PATIENCE_S, Death, World
from tests.support.system import SERVICES

LONG_S = 20.0
IMPATIENT = {"JOB_TIMEOUT": "4000"}
"""Settings for jobs that end by their deadline; the same for all, for other settings mean other processes."""

Script = Callable[["Run"], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A job and what befalls it.

    Attributes:
        name: for people.
        clips: for each clip that is ordered, faults of the provider (`sandbox.faults`), or "".
        sources: clips behind them that are existing files: `url` or `artifact`.
        more: further members of the full form; `{partner}` and `{mark}` in text are filled in.
        route: where it is posted.
        keyed: whether the request has an `Idempotency-Key`.
        refused: HTTP statuses with which the request may be refused before it is taken.
        record: whether a record waits for the film.
        airtable: faults of Airtable on the record, from before the request on.
        env: settings; `<service>.NAME` is for one service alone, `{folder}` the
            world's folder, `{detour}` its other way to Redis.
        before: done before the request.
        meanwhile: done beside, once the job is accepted.
        arms_itself: `meanwhile` kills processes, too, and calls `Run.arm` when it is done with that.
        order_may_be_cut_off: an order may end half-way although nobody dies: its owner can renew its lease no more.
        goes_back: a person sends the job back to `generating`.
        only: the scenario is for places with this in their chain, which it takes from all others.
        ends: how it ends.
    """

    name: str
    clips: tuple[str, ...] = ("",)
    sources: tuple[Literal["url", "artifact"], ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    route: Literal["generate-video", "process-record", "jobs", "jobs:batch"] = "jobs"
    keyed: bool = False
    refused: tuple[int, ...] = ()
    record: bool = True
    airtable: tuple[Mapping[str, Any], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    before: Script | None = None
    meanwhile: Script | None = None
    arms_itself: bool = False
    order_may_be_cut_off: bool = False
    goes_back: bool = False
    only: str = ""
    ends: Ending = field(default_factory=Ending)


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
        self.mark = mark
        self.unsent: set[int] = set()

    async def go(self, *, record: bool = False) -> None:
        """Do it all; what went wrong is in `problems` then."""
        world, script = self.world, self.scenario.meanwhile
        beside: asyncio.Task[None] | None = None
        watch = asyncio.create_task(self._ask_for_stacks())
        try:
            await world.dress(self.scenario.env, record=record)
            await self._prepare()
            path, key = f"/api/{self.scenario.route}", self.key if self.scenario.keyed else None
            self.job_id = (await world.post(path, self._body(), key=key, refused=self.scenario.refused)).id
            beside = asyncio.create_task(script(self)) if script is not None else None
            await self.until(self._over, "the job ends")
            if beside is not None:
                await beside
                await self.until(self._over, "the job ends after what was done to it")
            await self.until(self._quiet, "all messages are handled")
            await self._over()  # the last of the messages may have changed the job
            self.problems += await Look(self).problems()
            await self._tidy()
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
    def key(self) -> str:
        """The request's `Idempotency-Key`."""
        return f"key-{self.mark}"

    @property
    def hook(self) -> str:
        """The path at which the user's system takes the job's webhooks."""
        return urlsplit(str(self._filled(self.scenario.more.get("webhookUrl", "")))).path

    async def ask(self, what: str, *, key: str | None = None) -> None:
        """Do something to the job, as a person does."""
        await self.world.ask(f"/api/job/{self.job_id}/{what}", key=key)

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
        if "artifact" in scenario.sources:
            there = world.artifacts / EARLIER
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(world.around.partner.folder / CLIP, there)
        for fault in scenario.airtable:
            await world.around.airtable.fault(**{**fault, "match": self.record_id})
        if scenario.before is not None:
            await scenario.before(self)
        if not scenario.arms_itself:
            self.arm()

    def _body(self) -> object:
        record = {"recordId": self.record_id} if self.scenario.record else {}
        match self.scenario.route:
            case "process-record":
                return record
            case "generate-video":
                return {"prompt1": self.prompts[0], "prompt2": self.prompts[1], **record}
            case _:
                sources = {"url": f"{self.world.around.partner.url}/{CLIP}", "artifact": EARLIER}
                clips = [
                    *({"prompt": prompt} for prompt in self.prompts),
                    *({kind: sources[kind]} for kind in self.scenario.sources),
                ]
                job = {"clips": clips, **record, **self._filled(dict(self.scenario.more))}
                return [job] if self.scenario.route == "jobs:batch" else job

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{partner}", self.world.around.partner.url).replace("{mark}", self.mark)
        return {name: self._filled(each) for name, each in value.items()} if isinstance(value, dict) else value

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
            self.unsent |= {clip.number for clip in job.clips if clip.status is ClipStatus.SUBMITTING}

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

    async def _tidy(self) -> None:
        """Remove what the next job of this world must not find."""
        shutil.rmtree(self.world.artifacts / "jobs", ignore_errors=True)
        if await self.world.messages():
            for subscription in SUBSCRIPTIONS:
                await self.world.bus.drop_dead(subscription.queue)

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
