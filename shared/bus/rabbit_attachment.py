"""A channel that is opened and furnished again, for ever, whenever it, its connection or its broker is lost."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from random import Random

from aio_pika.abc import AbstractChannel, AbstractConnection

from shared.bus.delays import backoff_s
from shared.bus.rabbit_channel import close_channel, open_channel
from shared.bus.rabbit_errors import broker_call
from shared.bus.rabbit_link import Link
from shared.bus.tasks import finish
from shared.errors import PublishFailed

ATTACH_S = 10.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0

logger = logging.getLogger(__name__)


class Attachment:
    """Keeps one channel of its own.

    Args:
        link: the connection.
        furnish: makes of a new channel what is wanted, and starts consuming on it.
        doing: what it is for, to complete "cannot …" and "no longer …".
        name: of the task.
    """

    def __init__(
        self,
        link: Link,
        furnish: Callable[[AbstractChannel], Awaitable[None]],
        random: Random,
        *,
        doing: str,
        name: str,
    ) -> None:
        self._link = link
        self._furnish = furnish
        self._random = random
        self._doing = doing
        self._name = name
        self._attached = asyncio.Event()
        self._lost = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Attach; returns without if that takes too long, and then keeps trying in the background."""
        self._task = asyncio.create_task(self._stay(), name=self._name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ATTACH_S):
                await self._attached.wait()

    @property
    def is_up(self) -> bool:
        """Whether, as far as we know, the broker hands us messages."""
        return self._attached.is_set() and self._channel is not None and not self._channel.is_closed

    def renew(self) -> None:
        """Have a new channel: what is unacknowledged on this one comes again."""
        self._lost.set()

    async def hold(self) -> None:
        """Attach no more; the channel stays until `close`."""
        if self._task is not None:
            await finish([self._task], 0)
        self._attached.clear()

    async def close(self) -> None:
        """Let go of the channel."""
        self._attached.clear()
        channel, self._channel = self._channel, None
        if channel is not None:
            await close_channel(channel)

    async def _stay(self) -> None:
        failures = 0
        while True:
            try:
                with broker_call(f"cannot {self._doing}"):
                    connection = await self._link.wait_up()
                    async with asyncio.timeout(ATTACH_S):
                        await self._attach(connection)
            except PublishFailed as error:
                failures += 1
                logger.warning("%s", error)
            else:
                failures = 0
                await self._lost.wait()
                logger.warning("no longer able to %s; trying again", self._doing)
            await self.close()
            await asyncio.sleep(backoff_s(failures + 1, _BACKOFF_FIRST_S, _BACKOFF_MAX_S, self._random))

    async def _attach(self, connection: AbstractConnection) -> None:
        lost = self._lost = asyncio.Event()
        channel = self._channel = await open_channel(connection)
        channel.close_callbacks.add(lambda *_: lost.set())
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())
        await self._furnish(channel)
        self._attached.set()
