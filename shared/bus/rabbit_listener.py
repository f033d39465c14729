"""Listening on RabbitMQ: a nameless queue of this process alone, which goes with its connection.

The queue is exclusive (and so neither durable nor replicated), bound to the exchange by the events' names, and goes
with its channel. Messages are not acknowledged.
"""

from collections.abc import Callable
from random import Random

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.bus.listening import BACKLOG, Ear
from shared.bus.rabbit_attachment import Attachment
from shared.bus.rabbit_link import Link
from shared.bus.rabbit_topology import Topology


class RabbitListener:
    """Hears events for one `Ear`, until it is stopped: over every loss of channel, connection or broker.

    Args:
        stopped: is told that this one hears nothing any more.
    """

    def __init__(
        self, link: Link, topology: Topology, ear: Ear, random: Random, stopped: "Callable[[RabbitListener], None]"
    ) -> None:
        self._topology = topology
        self._ear = ear
        self._stopped: Callable[[RabbitListener], None] | None = stopped
        self._attachment = Attachment(link, self._furnish, random, doing="listen", name="bus-listener")

    async def start(self) -> None:
        """Attach; returns without if that takes too long, and then keeps trying in the background."""
        self._ear.start()
        await self._attachment.start()

    async def stop(self) -> None:
        """Hear nothing any more."""
        stopped, self._stopped = self._stopped, None
        if stopped is None:
            return
        stopped(self)
        await self._attachment.hold()
        await self._attachment.close()
        await self._ear.stop()

    async def _furnish(self, channel: AbstractChannel) -> None:
        # A process that cannot keep up must not fill the broker: the oldest events are dropped there, too.
        queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments={"x-max-length": BACKLOG})
        for event in sorted(self._ear.events):
            await queue.bind(self._topology.exchange, routing_key=str(event))
        await queue.consume(self._receive, no_ack=True)

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        self._ear.hear(message.body)
