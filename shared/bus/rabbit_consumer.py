"""Staying attached to one queue of RabbitMQ.

Handlers are to be short. RabbitMQ takes a delivery back after its consumer time-out (30 minutes unless configured)
and closes the channel, or since 4.3 cancels the consumer; both are survived here, but the message may then be
handled by somebody else while our handler still runs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from random import Random

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from shared.bus.delays import backoff_s
from shared.bus.protocol import Subscription
from shared.bus.rabbit_channel import CLOSE_S, close_channel, open_channel
from shared.bus.rabbit_errors import broker_call
from shared.bus.rabbit_inbox import Inbox
from shared.bus.rabbit_link import Link
from shared.bus.rabbit_topology import SUSPECT_SUFFIX, Topology, declare_subscription
from shared.errors import PublishFailed

ATTACH_S = 10.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0

logger = logging.getLogger(__name__)


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
        self._link = link
        self._topology = topology
        self._random = random
        self._inbox = inbox(self._break)
        self._lost = asyncio.Event()
        self._attached = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._source: AbstractQueue | None = None
        self._tag = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Attach; returns without if that takes too long, and then keeps trying in the background."""
        self._task = asyncio.create_task(self._stay_attached(), name=f"bus-consumer-{self.queue}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._attached.wait(), ATTACH_S)

    @property
    def attached(self) -> bool:
        """Whether, as far as we know, the broker hands us messages."""
        return self._attached.is_set() and self._channel is not None and not self._channel.is_closed

    async def stop(self, grace_s: float) -> None:
        """Take no more deliveries, end the handlers, and give back what was not acknowledged."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._attached.clear()
        if self._source is not None:
            with contextlib.suppress(PublishFailed), broker_call("cancelling the consumer"):
                async with asyncio.timeout(CLOSE_S):
                    await self._source.cancel(self._tag)
        await self._inbox.finish(grace_s)
        await self._detach()

    async def _stay_attached(self) -> None:
        failures = 0
        while True:
            try:
                with broker_call(f"cannot consume {self.queue}"):
                    connection = await self._link.wait_up()
                    async with asyncio.timeout(ATTACH_S):
                        await self._attach(connection)
            except PublishFailed as error:
                failures += 1
                logger.warning("%s", error)
            else:
                failures = 0
                await self._lost.wait()
                logger.warning("detached from %s", self.queue)
            self._attached.clear()
            await self._detach()
            await asyncio.sleep(backoff_s(failures + 1, _BACKOFF_FIRST_S, _BACKOFF_MAX_S, self._random))

    async def _attach(self, connection: AbstractConnection) -> None:
        lost = self._lost = asyncio.Event()
        channel = self._channel = await open_channel(connection)
        channel.close_callbacks.add(lambda *_: lost.set())
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())
        await declare_subscription(channel, self._topology, self._subscription)
        await channel.set_qos(prefetch_count=self._prefetch)
        self._source = await channel.get_queue(self.queue, ensure=False)
        self._tag = await self._source.consume(self._receive)
        self._attached.set()

    def _break(self) -> None:
        self._lost.set()

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        # A task of aiormq's, cancelled with the channel: nothing may be awaited here.
        self._inbox.accept(message)

    async def _detach(self) -> None:
        channel, self._channel, self._source = self._channel, None, None
        if channel is not None:
            await close_channel(channel)
