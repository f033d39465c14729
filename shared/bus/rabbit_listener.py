"""Listening on RabbitMQ: a nameless queue of this process alone, which goes with its connection.

The queue is exclusive (and so neither durable nor replicated), bound to the exchange by the events' names and made anew
with every connection. Messages are not acknowledged.
"""

import asyncio
import contextlib
import logging
from random import Random

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from shared.bus.delays import backoff_s
from shared.bus.listening import BACKLOG, Ear
from shared.bus.rabbit_channel import CLOSE_S, close_channel, open_channel
from shared.bus.rabbit_errors import broker_call
from shared.bus.rabbit_link import Link
from shared.bus.rabbit_topology import Topology
from shared.bus.tasks import finish
from shared.errors import PublishFailed

ATTACH_S = 10.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0

logger = logging.getLogger(__name__)


class RabbitListener:
    """Hears events for one `Ear`, for ever: over every loss of channel, connection or broker."""

    def __init__(self, link: Link, topology: Topology, ear: Ear, random: Random) -> None:
        self._link = link
        self._topology = topology
        self._ear = ear
        self._random = random
        self._attached = asyncio.Event()
        self._lost = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Attach; returns without if that takes too long, and then keeps trying in the background."""
        self._ear.start()
        self._task = asyncio.create_task(self._stay_attached(), name="bus-listener")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._attached.wait(), ATTACH_S)

    async def stop(self) -> None:
        """Hear nothing any more."""
        if self._task is not None:
            await finish([self._task], 0)
        await self._detach()
        await self._ear.stop()

    async def _stay_attached(self) -> None:
        failures = 0
        while True:
            try:
                with broker_call("cannot listen"):
                    connection = await self._link.wait_up()
                    async with asyncio.timeout(ATTACH_S):
                        await self._attach(connection)
            except PublishFailed as error:
                failures += 1
                logger.warning("%s", error)
            else:
                failures = 0
                await self._lost.wait()
                logger.warning("not listening any more; trying again")
            await self._detach()
            await asyncio.sleep(backoff_s(failures + 1, _BACKOFF_FIRST_S, _BACKOFF_MAX_S, self._random))

    async def _attach(self, connection: AbstractConnection) -> None:
        lost = self._lost = asyncio.Event()
        channel = self._channel = await open_channel(connection)
        channel.close_callbacks.add(lambda *_: lost.set())
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())
        # A process that cannot keep up must not fill the broker: the oldest events are dropped there, too.
        queue = await channel.declare_queue(exclusive=True, arguments={"x-max-length": BACKLOG})
        for event in sorted(self._ear.events):
            await queue.bind(self._topology.exchange, routing_key=str(event))
        await queue.consume(self._receive, no_ack=True)
        self._attached.set()

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        self._ear.hear(message.body)

    async def _detach(self) -> None:
        self._attached.clear()
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * CLOSE_S):
                    await close_channel(channel)
