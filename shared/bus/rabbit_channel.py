"""Opening and closing channels, whatever state the connection is in."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

from aio_pika.abc import AbstractChannel, AbstractConnection

from shared.bus.rabbit_errors import broker_call
from shared.errors import PublishFailed

CLOSE_S = 3.0
"""How long saying goodbye to the broker may take."""


async def open_channel(connection: AbstractConnection, *, confirms: bool = True) -> AbstractChannel:
    """Open a channel; with publisher confirms, an unroutable message raises on it."""
    channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    await channel.initialize()
    return channel


async def close_channel(channel: AbstractChannel) -> None:
    """Close `channel`; what it had not acknowledged goes back to its queue, also if the broker does not answer."""
    with contextlib.suppress(PublishFailed), broker_call("closing a channel"):
        async with asyncio.timeout(CLOSE_S):
            await channel.close()


@contextlib.asynccontextmanager
async def temporary_channel(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """Open a channel for one rare task.

    Not for anything periodic: aio-pika 10.2 leaves a few callbacks on the connection for each channel it opens.
    """
    channel = await open_channel(connection)
    try:
        yield channel
    finally:
        await close_channel(channel)


class Lane:
    """A channel that is kept, and replaced when it died.

    Args:
        connection: gives the connection that is up now, or raises `PublishFailed`.
        confirms: whether publishing on it waits for the broker.
    """

    def __init__(self, connection: Callable[[], AbstractConnection], *, confirms: bool = True) -> None:
        self._connection = connection
        self._confirms = confirms
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._users: Counter[AbstractChannel] = Counter()
        self._closing: set[asyncio.Task[None]] = set()

    async def channel(self) -> AbstractChannel:
        """Return the open channel, opening one if necessary."""
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = None
                self._channel = await open_channel(self._connection(), confirms=self._confirms)
            return self._channel

    @contextlib.asynccontextmanager
    async def used(self) -> AsyncIterator[AbstractChannel]:
        """Give the open channel; should it be left meanwhile, its last user closes it."""
        channel = await self.channel()
        self._users[channel] += 1
        try:
            yield channel
        finally:
            self._users[channel] -= 1
            if not self._users[channel]:
                del self._users[channel]
                if channel is not self._channel and not channel.is_closed:
                    task = asyncio.create_task(close_channel(channel), name="closing a channel that was left")
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)

    def leave(self, channel: AbstractChannel) -> None:
        """Have another channel opened for what comes next; what is under way on this one goes on."""
        if self._channel is channel:
            self._channel = None

    async def close(self) -> None:
        """Close the channel, and wait for those that were left to be closed."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await close_channel(channel)
        if self._closing:
            await asyncio.wait(self._closing)
