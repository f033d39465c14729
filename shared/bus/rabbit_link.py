"""One connection to RabbitMQ that is kept up for ever.

aio-pika's own robust connection is not used: it takes one URL, keeps channels only weakly, and restores what it
remembers instead of what ought to be there. Here every (re)connection declares the topology, and whoever needs a
channel opens it on the connection that is up now.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from random import Random

import aio_pika
from aio_pika.abc import AbstractConnection
from yarl import URL

from shared.bus.delays import backoff_s
from shared.bus.rabbit_channel import CLOSE_S, temporary_channel
from shared.bus.rabbit_errors import broker_call
from shared.bus.rabbit_topology import Topology, declare
from shared.errors import PublishFailed

CONNECT_S = 5.0
DECLARE_S = 30.0
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0

logger = logging.getLogger(__name__)


class Link:
    """A supervised connection.

    Args:
        urls: the cluster's nodes, tried in turn; credentials in them are never logged.
        topology: declared on each new connection, also on a broker that came back empty.
        purpose: part of the connection's name in RabbitMQ's lists.
        heartbeat_s: a dead peer is noticed after about three times this.
    """

    def __init__(self, urls: Sequence[URL], topology: Topology, purpose: str, heartbeat_s: int, random: Random) -> None:
        self._urls = urls
        self._topology = topology
        self._purpose = purpose
        self._heartbeat_s = heartbeat_s
        self._random = random
        self._next_url = 0
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._redeclaring: asyncio.Task[None] | None = None
        self.problem = "not connected yet"

    async def start(self, wait_s: float) -> None:
        """Connect, and from then on stay connected.

        Args:
            wait_s: keep trying for so long; 0 tries each URL once.

        Raises:
            PublishFailed: no node could be reached.
        """
        give_up_at = asyncio.get_running_loop().time() + wait_s
        failures = 0
        while True:
            try:
                await self._connect()
                break
            except PublishFailed:
                failures += 1
                pause_s = backoff_s(failures, _BACKOFF_FIRST_S, _BACKOFF_MAX_S, self._random)
                if asyncio.get_running_loop().time() + pause_s > give_up_at:
                    raise
                await asyncio.sleep(pause_s)
        self.supervise()

    def supervise(self) -> None:
        """Stay connected, or get connected, from now on in the background."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._keep_up(), name=f"bus-{self._purpose}-link")

    @property
    def is_up(self) -> bool:
        """Whether there is a connection now."""
        return self._up.is_set()

    def connection(self) -> AbstractConnection:
        """Return the connection that is up now.

        Raises:
            PublishFailed: there is none; says why.
        """
        if self._connection is None or not self._up.is_set():
            raise PublishFailed(f"not connected to RabbitMQ: {self.problem}")
        return self._connection

    async def wait_up(self) -> AbstractConnection:
        """Return the connection as soon as there is one."""
        await self._up.wait()
        return self.connection()

    async def redeclare(self) -> None:
        """Declare the topology once more, for when something of it was deleted under us; callers at once share it.

        Raises:
            PublishFailed: the broker does not let us or does not answer.
        """
        if self._redeclaring is None or self._redeclaring.done():
            self._redeclaring = asyncio.create_task(self._declare(self.connection()))
            self._redeclaring.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._redeclaring)

    async def close(self) -> None:
        """Disconnect for good."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        self._up.clear()
        await self._discard()
        self.problem = "closed"

    async def _keep_up(self) -> None:
        failures = 0
        while True:
            if self._up.is_set():
                await self._lost.wait()
                self._up.clear()
                failures = 0
                logger.warning("connection to RabbitMQ lost (%s): %s", self._purpose, self.problem)
            await self._discard()
            try:
                await self._connect()
            except PublishFailed as error:
                failures += 1
                self.problem = str(error)
                pause_s = backoff_s(failures, _BACKOFF_FIRST_S, _BACKOFF_MAX_S, self._random)
                logger.warning("%s; again in %.1f s", error, pause_s)
                await asyncio.sleep(pause_s)

    async def _connect(self) -> None:
        """Try each URL once, beginning after the one that was tried last."""
        failures = []
        for _ in self._urls:
            url = self._urls[self._next_url % len(self._urls)]
            self._next_url += 1
            try:
                await self._connect_to(url)
            except PublishFailed as error:
                failures.append(str(error))
            else:
                return
        self.problem = "; ".join(failures)
        raise PublishFailed(self.problem)

    async def _connect_to(self, url: URL) -> None:
        where = f"{url.host}:{url.port}" if url.port else str(url.host)
        with broker_call(f"cannot use RabbitMQ at {where}"):
            # Kept at once: should we have been cancelled meanwhile, `close` finds it.
            connection = self._connection = await aio_pika.connect(
                url.update_query(heartbeat=url.query.get("heartbeat", self._heartbeat_s)),
                timeout=CONNECT_S,
                client_properties={"connection_name": f"sora-stitcher {self._purpose}"},
            )
        lost = self._lost = asyncio.Event()

        def on_close(_: AbstractConnection | None, error: BaseException | None) -> None:
            self.problem = f"{where} closed the connection ({error or type(error).__name__})"
            lost.set()

        connection.close_callbacks.add(on_close)
        try:
            await self._declare(connection)
        except BaseException:
            await self._discard()
            raise
        self.problem = ""
        self._up.set()
        logger.info("connected to RabbitMQ at %s (%s)", where, self._purpose)

    async def _declare(self, connection: AbstractConnection) -> None:
        with broker_call("cannot declare the queues"):
            async with asyncio.timeout(DECLARE_S), temporary_channel(connection) as channel:
                await declare(channel, self._topology)

    async def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(PublishFailed), broker_call("closing"):
                async with asyncio.timeout(CLOSE_S):
                    await connection.close()
