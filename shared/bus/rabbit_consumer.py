"""Staying attached to one queue of RabbitMQ.

Handlers are to be short. RabbitMQ takes a delivery back after its consumer time-out (30 minutes unless configured)
and closes the channel, or since 4.3 cancels the consumer; both are survived here, but the message may then be
handled by somebody else while our handler still runs.
"""

import asyncio
import contextlib
from collections.abc import Callable
from random import Random

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from shared.bus.protocol import Subscription
from shared.bus.rabbit_attachment import Attachment
from shared.bus.rabbit_channel import CLOSE_S
from shared.bus.rabbit_errors import broker_call
from shared.bus.rabbit_inbox import Inbox
from shared.bus.rabbit_link import Link
from shared.bus.rabbit_topology import SUSPECT_SUFFIX, Topology, declare_subscription
from shared.errors import PublishFailed


class Consumer:
    """A consumer with a channel of its own (so that its prefetch is its own) that re-attaches for ever.

    Args:
        subscription: what to consume: its work queue, or that of its suspects.
        inbox: makes the inbox; gets a function that forces a new channel, so that what is unacknowledged comes again.
        suspects: whether to consume the suspects, one at a time.
    """

    def __init__(
        self,
        link: Link,
        topology: Topology,
        subscription: Subscription,
        inbox: Callable[[Callable[[], None]], Inbox],
        random: Random,
        *,
        suspects: bool,
    ) -> None:
        self.queue = subscription.queue + (SUSPECT_SUFFIX if suspects else "")
        self._subscription = subscription
        self._prefetch = 1 if suspects else subscription.prefetch
        self._topology = topology
        self._attachment = Attachment(
            link, self._furnish, random, doing=f"consume {self.queue}", name=f"bus-consumer-{self.queue}"
        )
        self._inbox = inbox(self._attachment.renew)
        self._source: AbstractQueue | None = None
        self._tag = ""

    async def start(self) -> None:
        """Attach; returns without if that takes too long, and then keeps trying in the background."""
        await self._attachment.start()

    @property
    def attached(self) -> bool:
        """Whether, as far as we know, the broker hands us messages."""
        return self._attachment.is_up

    async def stop(self, grace_s: float) -> None:
        """Take no more deliveries, end the handlers, and give back what was not acknowledged."""
        was_attached = self.attached
        await self._attachment.hold()
        if was_attached and self._source is not None:
            with contextlib.suppress(PublishFailed), broker_call("cancelling the consumer"):
                async with asyncio.timeout(CLOSE_S):
                    await self._source.cancel(self._tag)
        await self._inbox.finish(grace_s)
        await self._attachment.close()

    async def _furnish(self, channel: AbstractChannel) -> None:
        await declare_subscription(channel, self._topology, self._subscription)
        await channel.set_qos(prefetch_count=self._prefetch)
        self._source = await channel.get_queue(self.queue, ensure=False)
        self._tag = await self._source.consume(self._receive)

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        # A task of aiormq's, cancelled with the channel: nothing may be awaited here.
        self._inbox.accept(message)
