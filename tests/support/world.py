"""The whole system in this process and quick: the real gateway, services and reconciler, in memory, with real twins.

    async with world(folder) as w:
        job = await w.until_finished(await w.submit("a boat", "a harbour"))

Partners are the sandbox's twins over real HTTP, at a pace for tests. The store, the bus and the artifacts can be
switched off (`w.backend.down`, `w.bus.down`, `w.artifacts.full`), and the clock can leap over waits.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from fastapi import FastAPI

from sandbox.config import FAST_CLIPS, AirtableConfig, KieConfig, TwinsConfig
from sandbox.control_client import TwinControl
from sandbox.serving import listen, origin_of, serving
from sandbox.twins import Twins, Which, running_twins
from services.gateway.bootstrap import build_app
from services.generator.bootstrap import build as build_generator
from services.stitcher.bootstrap import build as build_stitcher
from services.uploader.bootstrap import build as build_uploader
from shared.bus.protocol import Delivery, Handler, Reject, Retry
from shared.bus.topology import SUBSCRIPTIONS
from shared.clock import now_ms
from shared.context import Context
from shared.emitter import Emitter
from shared.errors import DependencyDown, JobNotFound, Refused
from shared.job.mirror import is_settled
from shared.job.model import Job, JobStatus
from shared.job.outstanding import due_at, expires_at
from shared.leases import LeaseLost
from shared.presence import Takes
from shared.runtime import Build, Parts, cancel, work
from shared.service import BusMetrics, Route, attach
from shared.settings import Settings
from shared.store.jobs import JobStore
from shared.tokens import ClipToken
from tests.support.faulty import FaultyArtifacts, FaultyBackend, FaultyBus
from tests.support.waiting import eventually

BUILDERS: Mapping[str, Build] = {
    "generator": build_generator,
    "stitcher": build_stitcher,
    "uploader": build_uploader,
}
ALL = tuple(BUILDERS)
QUICK_KIE: dict[str, Any] = {
    "waiting_ms": 5,
    "queuing_ms": 5,
    "generating_ms": 30,
    "jitter": 0,
    "create_limit": 0,
    "info_limit": 0,
    "callback_retry_ms": 50,
}
QUICK_AIRTABLE: dict[str, Any] = {"rate_limit": 0, "ingest_delay_ms": 20}
QUICK_SETTINGS: dict[str, Any] = {
    "secret_key": "0123456789abcdef" * 4,
    "sora_api_key": "unused",
    "video_models": "sora-2-text-to-video,kling/v3-turbo-text-to-video",
    "provider_orders_per_10s": 10_000,
    "provider_looks_per_s": 1_000,
    "airtable_requests_per_s": 1_000,
    "fetch_allowed_hosts": "127.0.0.1",
    "lease_ms": 3_000,
    "poll_after_ms": 300,
    "nudge_after_ms": 150,
    "reconcile_every_ms": 50,
    "job_timeout": 120_000,
}
OUTCOMES = (Retry, Reject, JobNotFound, Refused, LeaseLost, DependencyDown)
"""What a handler may raise without anybody having to look into it."""
FIRST_RECORD = "recSANDBOX0000001"


def load_settings(**values: Any) -> Settings:
    """Return settings of these values alone: neither the environment's nor those of a `.env` file."""
    ours = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    with patch.dict(os.environ, environment, clear=True):
        return Settings.load(_env_file=None, **values)


class LeapingClock:
    """Real time, and what was leapt over."""

    def __init__(self) -> None:
        self._ahead_ms = 0

    def __call__(self) -> int:
        return now_ms() + self._ahead_ms

    def leap(self, ms: int) -> None:
        """Let this much time pass at once."""
        self._ahead_ms += ms


@dataclass
class World:
    """A running system and the powers over it that tests need.

    Attributes:
        http: a client of the gateway, over real HTTP.
        app: the gateway's application.
        surprises: what handlers raised beside `OUTCOMES`; must stay empty.
        under_way: how many handlers are at work.
    """

    parts: Parts
    http: httpx.AsyncClient
    clock: LeapingClock
    backend: FaultyBackend
    bus: FaultyBus
    artifacts: FaultyArtifacts
    twins: Twins
    app: FastAPI = field(default_factory=FastAPI)
    working: "asyncio.Task[None] | None" = None
    surprises: list[BaseException] = field(default_factory=list)
    under_way: int = 0
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    replicas: int = 0

    @property
    def kie(self) -> TwinControl:
        """The kie.ai twin's control plane."""
        return self.twins.kie_control

    @property
    def airtable(self) -> TwinControl:
        """The Airtable twin's control plane."""
        return self.twins.airtable_control

    @property
    def store(self) -> JobStore:
        """The job store."""
        return self.parts.context.store

    async def until_working(self) -> None:
        """Return once the system takes jobs."""

        async def is_working() -> bool:
            self._check_alive()
            return self.bus.connected

        await eventually(is_working, "the bus is open")

    def _check_alive(self) -> None:
        if self.working is not None and self.working.done():
            self.working.result()

    async def submit(self, *prompts: str, record: str | None = None, **more: Any) -> str:
        """Post a job of these clips and return its id."""
        body: dict[str, Any] = {"clips": [{"prompt": prompt} for prompt in prompts], **more}
        if record is not None:
            body["recordId"] = record
        answer = await self.http.post("/api/jobs", json=body)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["data"]["jobId"]
        return job_id

    async def job(self, job_id: str) -> Job:
        """Return a job as it stands, even while the store is down for everybody else."""
        down, self.backend.down = self.backend.down, False
        try:
            return await self.store.get(job_id)
        finally:
            self.backend.down = down

    async def view(self, job_id: str) -> dict[str, Any]:
        """Return a job as the gateway shows it."""
        answer = await self.http.get(f"/api/job/{job_id}")
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def put(self, job: Job) -> Job:
        """Store a job that is on its way already."""
        return await self.store.create(job)

    async def until(
        self, job_id: str, condition: Callable[[Job], bool], what: str, *, timeout_s: float = 30, leaping: bool = False
    ) -> Job:
        """Return the job as soon as the condition holds.

        Args:
            job_id: the job.
            condition: what is waited for.
            what: the same, for the message of the failure.
            timeout_s: how long.
            leaping: whether the clock leaps over times in which nobody works on the job.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._check_alive()
            job = await self.job(job_id)
            if condition(job):
                return job
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s:g} s: {what}; {job.model_dump_json(indent=1)}")
            if leaping:
                self._leap_to_next_step(job)
            await asyncio.sleep(0.01)

    def _leap_to_next_step(self, job: Job) -> None:
        now, due = self.clock(), due_at(job, self.parts.context.policy)
        leases = [job.lease, job.mirror.lease, *(clip.lease for clip in job.clips)]
        leases += [webhook.lease for webhook in job.webhooks]
        if due is not None and due > now and not any(lease is not None and lease.is_live(now) for lease in leases):
            self.clock.leap(due - now)

    async def until_finished(self, job_id: str, *, timeout_s: float = 30, leaping: bool = False) -> Job:
        """Return the job once it has completed or failed."""
        return await self.until(
            job_id, lambda job: job.status.is_final, "the job is over", timeout_s=timeout_s, leaping=leaping
        )

    async def until_home(self, job_id: str, *, leaping: bool = False) -> Job:
        """Return the job once all its clips are home."""
        waiting = (JobStatus.PENDING, JobStatus.GENERATING)
        job = await self.until(job_id, lambda job: job.status not in waiting, "all clips are home", leaping=leaping)
        assert job.status is not JobStatus.FAILED, job.failure
        return job

    async def until_settled(self, job_id: str, *, timeout_s: float = 30, leaping: bool = False) -> Job:
        """Return the job once it is over and its record says so."""
        what = "the job is over and its record says so"
        return await self.until(job_id, is_settled, what, timeout_s=timeout_s, leaping=leaping)

    async def orders(self, part: str = "") -> list[dict[str, Any]]:
        """Return the orders that the kie.ai twin took, of prompts that contain `part`."""
        orders: list[dict[str, Any]] = await self.kie.get("orders")
        return [order for order in orders if order["task_id"] and part in order["prompt"]]

    async def statuses(self, record: str) -> list[str | None]:
        """Return every value that a record's Status was given, in order."""
        return [write["value"] for write in await self.writes(record) if write["field"] == "Status"]

    async def writes(self, record: str) -> list[dict[str, Any]]:
        """Return every change of a record, in order."""
        writes: list[dict[str, Any]] = (await self.airtable.get(f"records/{record}"))["writes"]
        return writes

    async def add_record(self, **fields: Any) -> str:
        """Add a record to the Airtable twin's table and return its id."""
        answer = await self.airtable.post("seed", {"records": [{"fields": fields}]})
        return str(answer["ids"][0])

    def callback_path(self, job_id: str, clip: int = 1, attempt: int = 1) -> str:
        """Return path and query of the callback address of an attempt."""
        token = self.parts.signer.callback_token(ClipToken(job_id, clip, attempt))
        return f"/api/callback/sora?t={token}"

    def work_files(self) -> list[Path]:
        """Return what lies in the services' work folder."""
        return sorted(self.parts.work_dir.rglob("*"))

    async def join(self, service: str) -> None:
        """Start one (more) replica of a service, with leases of its own."""
        self.replicas += 1
        parts = replace(self.parts, context=replace(self.parts.context, process=f"{service}-{self.replicas}"))
        routes = [self._watched(route) for route in await BUILDERS[service](parts, self.stack)]
        await attach(self.bus, [each for each in SUBSCRIPTIONS if each.service == service], routes)

    def _watched(self, route: Route) -> Route:
        """Return the route with a handler that notes surprises."""
        handler: Handler = route.handler

        async def handle(delivery: Delivery) -> None:
            self.under_way += 1
            try:
                await handler(delivery)
            except OUTCOMES:
                raise
            except Exception as error:
                self.surprises.append(error)
                raise
            finally:
                self.under_way -= 1

        return replace(route, handler=handle)


@asynccontextmanager
async def world(
    folder: Path,
    *,
    partners: Sequence[Which] = ("kie",),
    services: Sequence[str] = ALL,
    kie: Mapping[str, Any] | None = None,
    airtable: Mapping[str, Any] | None = None,
    bus: Mapping[str, Any] | None = None,
    clip_cache: Path | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """Run the system; on leaving, everything is stopped, and nothing unexpected may have happened.

    Args:
        folder: for artifacts and work files.
        partners: the twins to run.
        services: the workers to run, by name; name one twice for two replicas of it.
        kie: settings of the kie.ai twin that differ from `QUICK_KIE`.
        airtable: settings of the Airtable twin that differ from `QUICK_AIRTABLE`.
        bus: options of `MemoryBus`, such as `duplicate_every` and `shuffle`.
        clip_cache: where rendered clips are kept, so that the next world need not render them again.
        **settings: of ours, in lower case, that differ from `QUICK_SETTINGS`.
    """
    config = TwinsConfig(
        kie=KieConfig(**{**QUICK_KIE, **(kie or {})}),
        airtable=AirtableConfig(**{**QUICK_AIRTABLE, **(airtable or {})}),
        clips=FAST_CLIPS.model_copy(update={"cache_dir": str(clip_cache or "")}),
    )
    async with AsyncExitStack() as stack:
        # Leaps are not the absence of anybody who reconciles.
        stack.enter_context(patch("shared.reconciler.ABSENT_AFTER_MS", 365 * 86_400_000))
        twins = await stack.enter_async_context(running_twins(config, partners))
        sock = stack.enter_context(listen("127.0.0.1", 0))
        origin = origin_of(sock)
        values = {"data_dir": folder / "data", "public_url": origin, **_addresses(twins)}
        w = _new_world(load_settings(**{**QUICK_SETTINGS, **values, **settings}), folder, twins, bus or {})
        stack.push_async_callback(_close, w)
        w.app = await build_app(w.parts, stack)
        w.stack = stack
        for service in services:
            await w.join(service)
        w.working = asyncio.create_task(work(w.parts, (), ()))
        stack.push_async_callback(cancel, w.working)
        stack.push_async_callback(w.bus.drain, 0)
        await stack.enter_async_context(serving([(w.app, sock)]))
        await w.until_working()
        yield w
    assert not w.surprises, w.surprises


def _addresses(twins: Twins) -> dict[str, Any]:
    """Return the settings that lead to those twins that run."""
    found: dict[str, Any] = {}
    if twins.kie_url:
        found |= {"sora_api_base_url": twins.kie_url, "sora_api_key": twins.api_keys.kie}
    if twins.airtable_url:
        found |= {
            "airtable_api_key": twins.api_keys.airtable,
            "airtable_base_id": twins.base_id,
            "airtable_table_name": twins.table,
            "airtable_endpoint_url": twins.airtable_url,
            "airtable_content_url": twins.airtable_content_url,
        }
    return found


def _new_world(settings: Settings, folder: Path, twins: Twins, options: Mapping[str, Any]) -> World:
    clock = LeapingClock()
    backend, artifacts = FaultyBackend(clock), FaultyArtifacts(folder / "artifacts")
    takes = Takes()
    bus = FaultyBus(SUBSCRIPTIONS, observer=BusMetrics(takes, clock), clock=clock, **options)
    policy = settings.policy()
    store = JobStore(
        backend, due_at=partial(due_at, policy=policy), expires_at=partial(expires_at, policy=policy), clock=clock
    )
    context = Context(store=store, emitter=Emitter(bus, "world"), artifacts=artifacts, policy=policy, clock=clock)
    work_dir = folder / "work"
    work_dir.mkdir(parents=True)
    parts = Parts(
        settings=settings,
        context=context,
        backend=backend,
        bus=bus,
        distributed=True,
        work_dir=work_dir,
        takes=takes,
    )
    http = httpx.AsyncClient(
        base_url=settings.base_url, timeout=30, trust_env=False, verify=False
    )  # plain HTTP: no certificates
    return World(parts, http, clock, backend, bus, artifacts, twins)


async def _close(w: World) -> None:
    await w.http.aclose()
    await w.bus.close()
    await w.store.close()
    await w.artifacts.close()
