"""Putting a process together: adapters chosen from the environment, started, watched, drained, closed.

The same code runs embedded (one process, in-memory bus, SQLite) and distributed (RabbitMQ, Redis): only the
adapters picked here differ. A dependency that is down at start is waited for; meanwhile the process is alive
but not ready.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import structlog

from shared import metrics, tracing
from shared.artifacts.factory import open_artifacts
from shared.artifacts.protocol import ArtifactStore
from shared.bus.memory import MemoryBus
from shared.bus.protocol import Bus, Subscription
from shared.bus.rabbit import RabbitBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.context import Context
from shared.crowding import Crowding
from shared.emitter import Emitter
from shared.errors import ConfigurationError, DependencyDown
from shared.job.outstanding import due_at, expires_at
from shared.media_links import MediaLinks
from shared.presence import Presence, Takes
from shared.reconciler import Reconciler
from shared.service import BusMetrics, Route, attach
from shared.settings import Settings
from shared.store.jobs import JobStore
from shared.store.protocol import Backend
from shared.store.redis import RedisBackend
from shared.store.sqlite import SqliteBackend
from shared.store.upstash import UpstashBackend
from shared.tokens import Signer
from shared.version import VERSION
from shared.workdir import own_work_dir

log = structlog.get_logger(__name__)

CONNECT_AGAIN_S = 2.0


@dataclass(frozen=True)
class Parts:
    """Everything a service is built from.

    Attributes:
        service: what this process is; `embedded` is all of them in one.
        takes: what the bus remembers of the messages it handed out.
    """

    settings: Settings
    context: Context
    backend: Backend
    bus: Bus
    distributed: bool
    work_dir: Path
    service: str = "embedded"
    takes: Takes = field(default_factory=Takes)

    @cached_property
    def signer(self) -> Signer:
        """Signs callback tokens and media links. The stitcher, which parses what strangers send, never has the key.

        Raises:
            ConfigurationError: see `Settings.signing_key`.
        """
        return Signer(self.settings.signing_key(distributed=self.distributed))

    @cached_property
    def links(self) -> MediaLinks:
        """Makes links to media files. Raises `ConfigurationError` like `signer`."""
        return MediaLinks(self.signer, self.settings.base_url, self.context.clock)

    @property
    def artifacts(self) -> ArtifactStore:
        """Where media files are kept."""
        return self.context.artifacts


Build = Callable[[Parts, AsyncExitStack], Awaitable[Sequence[Route]]]
"""Makes a service's routes; what it opens it puts on the stack."""


def choose_backend(settings: Settings, *, distributed: bool) -> Backend:
    """Return the job store's backend that the environment names.

    Raises:
        ConfigurationError: none is named and the services run as separate processes; half of a pair is set; or
            `DATA_DIR` cannot be made.
    """
    if settings.redis_url is not None:
        return RedisBackend(settings.redis_url.get_secret_value())
    if settings.upstash_redis_rest_url is not None:
        if settings.upstash_redis_rest_token is None:
            raise ConfigurationError("UPSTASH_REDIS_REST_URL is set, but UPSTASH_REDIS_REST_TOKEN is not")
        return UpstashBackend(settings.upstash_redis_rest_url, settings.upstash_redis_rest_token.get_secret_value())
    if distributed:
        raise ConfigurationError(
            "no job store: set REDIS_URL, or UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN "
            "(or run all in one process with `sora-stitcher up`, which needs neither)"
        )
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR: cannot make {settings.data_dir}: {error.strerror}") from error
    return SqliteBackend(settings.data_dir / "jobs.sqlite3")


def choose_bus(settings: Settings, *, distributed: bool, takes: Takes | None = None) -> Bus:
    """Return the bus that the environment names; `takes` is told what it hands out.

    Raises:
        ConfigurationError: none is named and the services run as separate processes.
    """
    if settings.rabbitmq_url is not None:
        return RabbitBus(settings.rabbitmq_url.get_secret_value(), SUBSCRIPTIONS, observer=BusMetrics(takes))
    if distributed:
        raise ConfigurationError(
            "RABBITMQ_URL is not set: services that run as separate processes need a broker, e.g. "
            "amqp://user:password@host:5672/ (or run all in one process with `sora-stitcher up`)"
        )
    return MemoryBus(SUBSCRIPTIONS, observer=BusMetrics(takes))


@asynccontextmanager
async def open_parts(settings: Settings, service: str, *, distributed: bool) -> AsyncIterator[Parts]:
    """Choose the adapters; nothing is connected yet (see `connect`). On leaving, everything is closed."""
    policy = settings.policy()
    backend = choose_backend(settings, distributed=distributed)
    takes = Takes()
    bus = choose_bus(settings, distributed=distributed, takes=takes)
    store = JobStore(
        backend,
        due_at=partial(due_at, policy=policy),
        expires_at=partial(expires_at, policy=policy),
        job_ttl_ms=policy.job_ttl_ms,
    )
    metrics.zero(service)
    metrics.BUILD.labels(service, VERSION).set(1)
    metrics.BUS_CONNECTED.labels(service).set_function(lambda: bus.connected)
    with (
        tracing.exporting(settings.otel_exporter_otlp_endpoint, service),
        own_work_dir(settings.data_dir / "work", service) as work_dir,
    ):
        artifacts = open_artifacts(settings.artifacts_location, spool=work_dir, s3=settings.s3_access)
        try:
            yield Parts(
                settings=settings,
                context=Context(store=store, emitter=Emitter(bus, service), artifacts=artifacts, policy=policy),
                backend=backend,
                bus=bus,
                distributed=distributed,
                work_dir=work_dir,
                service=service,
                takes=takes,
            )
        finally:
            await bus.close()
            await store.close()
            await artifacts.close()


async def connect(parts: Parts) -> None:
    """Open store and bus; keep trying while they do not answer."""
    for name, open_it in (("store", parts.context.store.open), ("bus", parts.bus.start)):
        while True:
            try:
                await open_it()
                break
            except DependencyDown as down:
                log.warning("waiting at start", dependency=name, problem=str(down))
                await asyncio.sleep(CONNECT_AGAIN_S)


async def work(parts: Parts, subscriptions: Iterable[Subscription], routes: Sequence[Route]) -> None:
    """Connect, consume, reconcile, and say that this process is there, until cancelled."""
    await connect(parts)
    await attach(parts.bus, subscriptions, routes)
    log.info("working", version=VERSION)
    context = parts.context
    reconciler = Reconciler(
        context.store,
        context.emitter,
        context.artifacts,
        context.policy,
        owner=context.process,
        every_ms=parts.settings.reconcile_every_ms,
        clock=context.clock,
        crowds=Crowding(parts.bus).events,
    )
    presence = Presence(context.store, parts.service, context.process, parts.takes, context.clock)
    announcing = asyncio.create_task(presence.run(), name="presence")
    try:
        await reconciler.run()
    finally:
        await cancel(announcing)


async def until_told_to_stop(*tasks: "asyncio.Task[None]") -> None:
    """Return at SIGTERM or SIGINT; raise what a task raises if one ends before."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    stop = asyncio.create_task(told.wait())
    try:
        await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
    finally:
        stop.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def cancel(*tasks: "asyncio.Task[None]") -> None:
    """Cancel tasks and wait for them."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
