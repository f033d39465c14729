"""A world: the four services as processes, a virtual host, a Redis database and a folder of their own.

The partners' twins are shared by all worlds; jobs do not meet there. A world does one job after another.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from sandbox import TwinControl
from shared.bus.rabbit import RabbitBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.errors import JobNotFound
from shared.job.model import Job
from shared.store.jobs import JobStore
from shared.store.redis import RedisBackend
from tests.chaos.harness.toxics import ToxicProxy
from tests.support.crash.fleet import Fleet, Orders, Running
from tests.support.crash.partner import Partner
from tests.support.ports import free_port
from tests.support.rabbit import RabbitServer
from tests.support.system import SERVICES

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.05

QUICK = {
    "PROVIDER_ORDERS_PER_10S": "100000",
    "PROVIDER_LOOKS_PER_S": "10000",
    "AIRTABLE_REQUESTS_PER_S": "10000",
    "POLL_AFTER_MS": "1000",
    "NUDGE_AFTER_MS": "300",
    "RECONCILE_EVERY_MS": "300",
    "LEASE_MS": "900",
    "JOB_TIMEOUT": "30000",
    "DRAIN_S": "0",
    "FETCH_ALLOWED_HOSTS": "127.0.0.1",
    "LOG_FORMAT": "json",
    "METRICS_PORT": "0",
    "RATE_LIMIT_PER_MINUTE": "100000",
    "MAX_UNFINISHED_JOBS": "1000",
    "MAX_CLIPS_PER_DAY": "100000",
}
"""Settings that let a world recover within a second or two, and limits that are counted and never met."""


@dataclass(frozen=True)
class Surroundings:
    """What all worlds share.

    Attributes:
        redis_url: without a database.
        twins: as the twins' process prints it.
        partner: the user's own server.
    """

    fleet: Fleet
    rabbit: RabbitServer
    redis_url: str
    twins: Mapping[str, Any]
    partner: Partner
    rabbit_turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def kie(self) -> TwinControl:
        """The kie.ai twin's control plane."""
        return TwinControl(str(self.twins["kie_url"]).removesuffix("/api/v1"))

    @property
    def airtable(self) -> TwinControl:
        """The Airtable twin's control plane."""
        return TwinControl(str(self.twins["airtable_url"]))


def _with_key(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended.

    Attributes:
        service: which one.
        status: its exit code, or minus the signal that ended it.
        place: where it was told to die and did (`hook.place_hash`), or `NOTHING`.
    """

    service: str
    status: int
    place: bytes


OnDeath = Callable[[Death], Awaitable[None]]


class World:
    """See the module's docstring.

    Attributes:
        folder: for logs, artifacts and work files.
        detour: another way to Redis, which can be cut; `{detour}` in settings.
        on_death: called when a process has ended, before it is started again.
    """

    def __init__(self, around: Surroundings, number: int, folder: Path) -> None:
        self.around = around
        self.number = number
        self.folder = folder
        self.vhost = f"crash-{number}"
        self.base_url = f"http://127.0.0.1:{free_port()}"
        self.http = httpx.AsyncClient(base_url=self.base_url, timeout=20, trust_env=False)
        self.redis_url = f"{around.redis_url}/{number}"
        self.store = JobStore(RedisBackend(self.redis_url), due_at=lambda _: None, expires_at=lambda _: None)
        self._redis = Redis.from_url(self.redis_url)
        self.bus = RabbitBus(around.rabbit.url(self.vhost), SUBSCRIPTIONS)
        self.on_death: OnDeath | None = None
        self.detour = ToxicProxy([int(around.redis_url.rpartition(":")[2])])
        self._orders: dict[str, Orders] = {}
        self._dress: tuple[dict[str, str], bool] | None = None
        self._processes: dict[str, Running] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator["World"]:
        """Furnish the world; its services are started by `dress`."""
        self.data.mkdir(parents=True)
        async with self.around.rabbit_turn:
            await asyncio.to_thread(self.around.rabbit.add_vhost, self.vhost)
        self._orders = {service: Orders(self.folder / f"{service}.orders") for service in SERVICES}
        try:
            await self.bus.start()
            async with self.detour:
                yield self
        finally:
            await self.stop()
            await self.bus.close()
            await self.store.close()
            await self._redis.aclose()
            await self.http.aclose()
            async with self.around.rabbit_turn:
                await asyncio.to_thread(self.around.rabbit.drop_vhost, self.vhost)

    @property
    def data(self) -> Path:
        """`DATA_DIR` of the services."""
        return self.folder / "data"

    @property
    def artifacts(self) -> Path:
        """Where the artifact store keeps its files."""
        return self.data / "artifacts"

    def places(self, service: str) -> Path:
        """The file in which the service's process notes the places it visits."""
        return self.folder / f"{service}.places"

    @property
    def all_run(self) -> bool:
        """Whether no service is just being started again."""
        return not any(process.ended.done() for process in self._processes.values())

    @property
    def pids(self) -> set[int]:
        """The processes that run now."""
        return {process.pid for process in self._processes.values() if not process.ended.done()}

    async def forget(self) -> None:
        """Forget all jobs and what was marked, and where somebody was to freeze."""
        await self._redis.flushdb()
        for orders in self._orders.values():
            orders.freeze_at(None)

    async def dress(self, env: Mapping[str, str], *, record: bool = False) -> None:
        """Have the services run with these settings beside the usual ones; `record`: note what places they visit."""
        wanted = (self._settings(env), record)
        if wanted == self._dress:
            return
        await self.stop()
        self._dress = wanted
        for service in SERVICES:
            await self._start(service)

    async def stop(self) -> None:
        """Kill all services."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        self._keepers.clear()
        for process in self._processes.values():
            process.signal(signal.SIGKILL)
            await process.ended
        self._processes.clear()
        self._dress = None

    def arm(self, service: str, place: bytes) -> None:
        """Have the service's process die at a place (`NOTHING`: nowhere)."""
        self._orders[service].die_at(place)

    def freeze_at(self, service: str, point: str) -> None:
        """Have the service's process freeze when it next comes to a point."""
        self._orders[service].freeze_at(point)

    def froze(self, service: str) -> bool:
        """Whether the service's process has come to where it was to freeze."""
        return self._orders[service].froze

    def signal(self, service: str, number: signal.Signals) -> None:
        """Send a service a signal; it is started again when it ends."""
        self._processes[service].signal(number)

    async def job(self, job_id: str) -> Job | None:
        """Return the job as it stands, or None."""
        with suppress(JobNotFound):
            return await self.store.get(job_id)
        return None

    async def post(self, path: str, body: object, *, key: str | None = None, refused: Collection[int] = ()) -> Job:
        """Post the world's only job as a careful client does.

        A request whose answer was lost is sent again with the same key, or without one looked up before. One that is
        `refused` with these statuses is sent again, too.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer: httpx.Response | None = None
            with suppress(httpx.TransportError):
                answer = await self.http.post(path, json=body, headers=_with_key(key))
                assert answer.status_code in (200, 202, 503, *refused), answer.text
            jobs, _ = await self.store.page(limit=2)
            if jobs and (key is None or (answer is not None and answer.status_code in (200, 202))):
                return jobs[0]
            assert time.monotonic() < deadline, f"the gateway does not take the job\n{self.tail('gateway')}"
            await asyncio.sleep(LOOK_EVERY_S)

    async def ask(self, path: str, body: object = None, *, key: str | None = None) -> Any:
        """Post what a person asks of the job until it is answered; return the answer's `data`.

        A repetition may be refused: the first request was carried out, and its answer lost.
        """
        deadline = time.monotonic() + PATIENCE_S
        repeated = False
        while True:
            with suppress(httpx.TransportError):
                answer = await self.http.post(path, json=body, headers=_with_key(key))
                if answer.is_success:
                    return answer.json()["data"]
                if answer.status_code == httpx.codes.CONFLICT and repeated:
                    return None
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, f"{path}: {answer.text}"
            assert time.monotonic() < deadline, f"{path} is not answered\n{self.tail('gateway')}"
            repeated = True
            await asyncio.sleep(LOOK_EVERY_S)

    async def messages(self) -> dict[str, int]:
        """Queues that are not empty, with the number of their messages, those in somebody's hands included."""
        async with self.around.rabbit_turn:
            counted = await asyncio.to_thread(self.around.rabbit.messages, self.vhost)
        return {queue: ready + held for queue, (ready, held) in counted.items() if ready + held}

    def tail(self, service: str, lines: int = 25) -> str:
        """The end of a service's log."""
        path = self.folder / f"{service}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    async def _start(self, service: str) -> None:
        assert self._dress is not None
        env, record = self._dress
        own = {name.partition(".")[2]: value for name, value in env.items() if name.startswith(f"{service}.")}
        common = {name: value for name, value in env.items() if "." not in name}
        process = await self.around.fleet.start(
            f"{self.number}/{service}",
            service,
            {**common, **own},
            self.folder,
            self._orders[service],
            self.places(service) if record else None,
        )
        self._processes[service] = process
        self._keepers[service] = asyncio.create_task(self._keep(service, process))

    async def _keep(self, service: str, process: Running) -> None:
        """Start a service again when it ends, as its supervisor would."""
        status = await asyncio.shield(process.ended)
        death = Death(service, status, self._orders[service].took_effect())
        del self._keepers[service]
        if self.on_death is not None:
            await self.on_death(death)
        await self._start(service)

    def _settings(self, env: Mapping[str, str]) -> dict[str, str]:
        twins = self.around.twins
        return {
            **QUICK,
            "DATA_DIR": str(self.data),
            "SECRET_KEY": "0123456789abcdef" * 4,
            "PORT": self.base_url.rpartition(":")[2],
            "PUBLIC_URL": self.base_url,
            "RABBITMQ_URL": self.around.rabbit.url(self.vhost),
            "REDIS_URL": self.redis_url,
            "SORA_API_BASE_URL": twins["kie_url"],
            "SORA_API_KEY": twins["api_keys"]["kie"],
            "AIRTABLE_API_KEY": twins["api_keys"]["airtable"],
            "AIRTABLE_BASE_ID": twins["base_id"],
            "AIRTABLE_TABLE_NAME": twins["table"],
            "AIRTABLE_ENDPOINT_URL": twins["airtable_url"],
            "AIRTABLE_CONTENT_URL": twins["airtable_content_url"],
            **{name: self._filled(value) for name, value in env.items()},
        }

    def _filled(self, value: str) -> str:
        detour = f"redis://127.0.0.1:{self.detour.port}/{self.number}"
        return value.replace("{folder}", str(self.folder)).replace("{detour}", detour)
