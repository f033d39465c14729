"""The dead letters of RabbitMQ: looking, replaying, dropping.

Letters are looked at by fetching them without acknowledging and then giving them back. Two processes that look at the
same time may therefore each see only a part. Within one process all goes through one channel, on which a quorum queue
keeps the order of commands: what was given back is there for the next look. (On a new channel it may not be, yet.)
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractIncomingMessage

from shared.bus.letters import DEAD_SUFFIX, Letter, choose, read_letter
from shared.bus.protocol import DeadLetter, Subscription
from shared.bus.rabbit_channel import Lane
from shared.bus.rabbit_errors import broker_call
from shared.bus.rabbit_link import Link
from shared.bus.rabbit_publisher import Identity, Publisher
from shared.bus.rabbit_topology import Topology
from shared.bus.wire import Stamp
from shared.clock import Clock

_ANSWER_S = 10.0

_Fetched = tuple[Letter, AbstractIncomingMessage]


class DeadLetters:
    """All queues of dead letters of one topology."""

    def __init__(self, link: Link, publisher: Publisher, topology: Topology, clock: Clock) -> None:
        self._lane = Lane(link.connection)
        self._one_at_a_time = asyncio.Lock()
        self._publisher = publisher
        self._topology = topology
        self._clock = clock

    async def show(self, queue: str | None, limit: int) -> list[DeadLetter]:
        """List letters, oldest first.

        Raises:
            UnknownQueue: no such queue.
            PublishFailed: the broker does not answer.
        """
        letters: list[DeadLetter] = []
        for subscription in choose(self._topology.subscriptions, queue):
            async with self._fetched(subscription, limit) as found:
                letters += [letter.shown(subscription) for letter, _ in found]
        return sorted(letters, key=lambda letter: letter.died_at)[:limit]

    async def replay(self, queue: str, letter_id: str | None) -> int:
        """Put letters back into their work queue, and only there, as first attempts; return how many."""

        async def put_back(letter: Letter, subscription: Subscription) -> None:
            identity = Identity.of(letter.shown(subscription).event)
            stamp = Stamp.fresh(self._clock(), seen=True)
            await self._publisher.put(subscription.queue, letter.body, identity, {**stamp.headers()}, _ANSWER_S)

        return await self._take(queue, letter_id, put_back)

    async def drop(self, queue: str, letter_id: str | None) -> int:
        """Delete letters; return how many."""

        async def forget(_letter: Letter, _subscription: Subscription) -> None:
            """Acknowledging the letter is all it takes."""

        return await self._take(queue, letter_id, forget)

    async def _take(
        self, queue: str, letter_id: str | None, first: Callable[[Letter, Subscription], Awaitable[None]]
    ) -> int:
        """Do `first` with each letter meant and then remove it."""
        (subscription,) = choose(self._topology.subscriptions, queue)
        taken = 0
        async with self._fetched(subscription) as found:
            for letter, message in list(found):
                if letter_id in {None, letter.uid}:
                    await first(letter, subscription)
                    await message.ack()
                    found.remove((letter, message))
                    taken += 1
        return taken

    async def close(self) -> None:
        """Close the channel."""
        await self._lane.close()

    @asynccontextmanager
    async def _fetched(self, subscription: Subscription, limit: int | None = None) -> AsyncIterator[list[_Fetched]]:
        """Fetch the letters there are now, oldest first; those left in the list are given back."""
        found: list[_Fetched] = []
        async with self._one_at_a_time:
            try:
                with broker_call(f"cannot work on the dead letters of {subscription.queue}"):
                    channel = await self._lane.channel()
                    queue = await channel.get_queue(subscription.queue + DEAD_SUFFIX, ensure=False)
                    while limit is None or len(found) < limit:
                        message = await queue.get(fail=False, timeout=_ANSWER_S)
                        if message is None:
                            break
                        found.append((read_letter(message.body, message.headers), message))
                    yield found
                    if found:
                        await found[-1][1].nack(multiple=True, requeue=True)
            except BaseException:
                # Closing the channel gives back what we still hold.
                await self._lane.close()
                raise
