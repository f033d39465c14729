"""Everything a run needs, running: broker, store, toxic lines, load balancer, twins, and the fleet of services."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chaos.harness.toxics import ToxicProxy
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.system import System

VHOST = "chaos"
LOOK_EVERY_S = 0.2
UP_TIMEOUT_S = 180.0


@dataclass
class Arena:
    """The system under fire.

    Attributes:
        lines: proxies between the services and `broker` and `store`.
        front: load balancer before the gateways, at `PUBLIC_URL`.
        down: processes that are dead or frozen now, or not answering again yet.
    """

    system: System
    rabbit: RabbitServer
    redis: RedisServer
    lines: Mapping[str, ToxicProxy]
    front: ToxicProxy
    down: set[str] = field(default_factory=set)

    @property
    def gateways(self) -> list[str]:
        """Base URLs of the gateways themselves."""
        return [f"http://127.0.0.1:{port}" for name, port in self.system.ports.items() if name.startswith("gateway")]

    async def until_up(self, name: str) -> None:
        """Return when a process answers `/healthz`."""
        port, process = self.system.ports[name], self.system.processes[name]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + UP_TIMEOUT_S
        async with httpx.AsyncClient(timeout=5, trust_env=False, verify=False) as http:
            while True:
                assert process.process.poll() is None, f"{name} ended by itself: {process.tail()}"
                try:
                    if (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200:
                        return
                except httpx.TransportError as error:
                    if loop.time() > deadline:
                        raise AssertionError(f"{name} does not come up: {process.tail()}") from error
                await asyncio.sleep(LOOK_EVERY_S)

    async def until_hittable(self, name: str) -> None:
        """Return when a process is neither down nor starting, so that hitting it hits work."""
        while name in self.down:
            await asyncio.sleep(LOOK_EVERY_S)

    async def kill(self, name: str, down_s: float) -> None:
        """End a process with SIGKILL, start it `down_s` later, and return when it answers again."""
        self.down.add(name)
        process = self.system.processes[name]
        process.kill()
        await asyncio.sleep(down_s)
        process.start()
        await self.until_up(name)
        self.down.discard(name)

    async def freeze(self, name: str, frozen_s: float) -> None:
        """Stop a process without ending it, for `frozen_s`."""
        self.down.add(name)
        process = self.system.processes[name]
        process.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(frozen_s)
        finally:
            process.signal(signal.SIGCONT)
        self.down.discard(name)

    async def kill_broker(self, down_s: float) -> None:
        """End RabbitMQ with SIGKILL and start it `down_s` later."""
        await asyncio.to_thread(self.rabbit.settle)
        await asyncio.to_thread(self.rabbit.kill)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self.rabbit.start)

    async def kill_store(self, down_s: float) -> None:
        """End Redis with SIGKILL and start it `down_s` later."""
        await asyncio.to_thread(self.redis.kill)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self.redis.start)


@asynccontextmanager
async def running_arena(
    folder: Path,
    replicas: Mapping[str, int],
    *,
    services_env: Mapping[str, str] | None = None,
    twins_env: Mapping[str, str] | None = None,
) -> AsyncIterator[Arena]:
    """Start everything below `folder`; nothing stays behind."""
    folders = {name: folder / name for name in ("rabbit", "redis", "services")}
    for path in folders.values():
        path.mkdir()
    rabbit, redis = RabbitServer(folders["rabbit"]), RedisServer(folders["redis"])
    try:
        await asyncio.gather(asyncio.to_thread(rabbit.start), asyncio.to_thread(redis.start))
        await asyncio.to_thread(rabbit.add_vhost, VHOST)
        async with ToxicProxy([redis.port]) as store, ToxicProxy([rabbit.port]) as broker, ToxicProxy([]) as front:
            backing = {
                "RABBITMQ_URL": rabbit.url(VHOST).replace(str(rabbit.port), str(broker.port)),
                "REDIS_URL": redis.url.replace(str(redis.port), str(store.port)),
            }
            env = {"PUBLIC_URL": f"http://127.0.0.1:{front.port}", **(services_env or {})}
            system = System(folders["services"], backing, replicas, env, twins_env or {})
            async with system:
                front.targets = [port for name, port in system.ports.items() if name.startswith("gateway")]
                yield Arena(system, rabbit, redis, {"store": store, "broker": broker}, front)
    finally:
        await asyncio.to_thread(redis.kill)
        await asyncio.to_thread(rabbit.close)
