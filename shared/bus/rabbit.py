"""The bus of the distributed mode: RabbitMQ, 3.10 or newer, through aio-pika.

What is declared: `rabbit_topology`. Publishing: `rabbit_publisher`. Handling: `rabbit_inbox`. Two connections, because
RabbitMQ stops reading from one that publishes while it is short of memory or disk, and acknowledgements must still
get through; each is kept up for ever by a `Link`.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

from yarl import URL

from shared.bus.delays import DELAYS_MS, randomness
from shared.bus.letters import DEAD_SUFFIX, choose
from shared.bus.listening import Ear, Listener
from shared.bus.observer import BusObserver, SilentObserver
from shared.bus.protocol import BusHealth, DeadLetter, Handler, Hearing, OnDead, QueueStats, Subscription
from shared.bus.rabbit_channel import Lane
from shared.bus.rabbit_consumer import Consumer
from shared.bus.rabbit_errors import broker_call
from shared.bus.rabbit_inbox import CrashLimits, Inbox, Surroundings
from shared.bus.rabbit_letters import DeadLetters
from shared.bus.rabbit_link import Link
from shared.bus.rabbit_listener import RabbitListener
from shared.bus.rabbit_publisher import Publisher
from shared.bus.rabbit_topology import SUSPECT_SUFFIX, Topology, depth
from shared.bus.runner import Runner
from shared.bus.topology import EXCHANGE
from shared.clock import Clock, now_ms
from shared.errors import ConfigurationError, PublishFailed
from shared.events import Event, EventName

_HEALTH_S = 3.0


def parse_urls(urls: Sequence[str] | str) -> list[URL]:
    """Read the nodes of a cluster, given as a list or comma-separated.

    Raises:
        ConfigurationError: not `amqp://` or `amqps://`; the message does not repeat the value, it holds a password.
    """
    parts = urls.split(",") if isinstance(urls, str) else urls
    parsed = []
    for part in filter(None, (p.strip() for p in parts)):
        try:
            url = URL(part)
        except ValueError:
            url = URL()
        if url.scheme not in {"amqp", "amqps"} or not url.host:
            raise ConfigurationError("RABBITMQ_URL accepts amqp://user:password@host:port/vhost or amqps://…")
        parsed.append(url)
    if not parsed:
        raise ConfigurationError("RABBITMQ_URL is empty")
    return parsed


class RabbitBus:
    """A `Bus` on RabbitMQ.

    Args:
        urls: one URL, several separated by commas, or a list: the nodes of a cluster, tried in turn.
        subscriptions: those of all services, not only of this one: each process declares everything.
        exchange: name of the topic exchange.
        heartbeat_s: a connection whose peer is frozen is given up after about three times this.
        wait_s: how long `start` keeps trying to reach the broker; 0 tries each URL once.
        delays_ms: the delay queues there are, ascending; the same for everybody on a virtual host.
        limits: what to do with messages that seem to kill their process.
        observer: hears of every message, for metrics.
        clock: the time in ms.
    """

    def __init__(
        self,
        urls: Sequence[str] | str,
        subscriptions: Sequence[Subscription],
        *,
        exchange: str = EXCHANGE,
        heartbeat_s: int = 10,
        wait_s: float = 0.0,
        delays_ms: Sequence[int] = DELAYS_MS,
        limits: CrashLimits | None = None,
        observer: BusObserver | None = None,
        clock: Clock = now_ms,
    ) -> None:
        self._topology = Topology(exchange, tuple(subscriptions), tuple(delays_ms))
        self._wait_s = wait_s
        nodes, random, hearing = parse_urls(urls), randomness(), observer or SilentObserver()
        self._out = Link(nodes, self._topology, "publish", heartbeat_s, random)
        self._in = Link(nodes, self._topology, "consume", heartbeat_s, random)
        self._publisher = Publisher(self._out, self._topology, hearing, clock)
        self._around = Surroundings(
            self._publisher, self._topology.delays_ms, limits or CrashLimits(), hearing, clock, random
        )
        self._letters = DeadLetters(self._out, self._publisher, self._topology, clock)
        self._looks = Lane(self._out.connection)
        self._consumers: list[Consumer] = []
        self._listeners: list[RabbitListener] = []

    async def start(self) -> None:
        """Connect and declare the whole topology; from then on reconnect for ever.

        Raises:
            PublishFailed: no node can be reached (see `wait_s`).
        """
        await self._out.start(self._wait_s)

    async def publish(self, event: Event, *, timeout_s: float = 5.0, transient: bool = False) -> None:
        """Return once the message is stored in every interested queue, or, if `transient`, once it is sent.

        While there is no connection this fails at once: nothing is buffered.

        Raises:
            PublishFailed: not confirmed in time, unroutable, refused or no connection. Ambiguous.
        """
        await self._publisher.publish(event, timeout_s, transient=transient)

    async def consume(self, subscription: Subscription, handler: Handler, on_dead: OnDead | None = None) -> None:
        """Start handing deliveries to `handler`. If the broker is away, this begins when it is back."""
        choose(self._topology.subscriptions, subscription.queue)
        runner = Runner(subscription, handler, on_dead, self._around.observer, self._around.random)
        slots = asyncio.Semaphore(subscription.prefetch)
        self._in.supervise()
        async with asyncio.TaskGroup() as starting:
            for suspects in (False, True):
                consumer = Consumer(
                    self._in,
                    self._topology,
                    subscription,
                    partial(Inbox, runner, slots, self._around, suspects=suspects),
                    self._around.random,
                    suspects=suspects,
                )
                self._consumers.append(consumer)
                starting.create_task(consumer.start())

    async def listen(self, events: Collection[EventName], handler: Listener) -> Hearing:
        """Let `handler` hear these events from now on. If the broker is away, this begins when it is back."""
        self._in.supervise()
        listener = RabbitListener(
            self._in, self._topology, Ear(events, handler), self._around.random, stopped=self._listeners.remove
        )
        self._listeners.append(listener)
        try:
            await listener.start()
        except BaseException:
            await listener.stop()
            raise
        return listener

    async def drain(self, grace_s: float) -> None:
        """Stop taking deliveries, wait for running handlers, then cancel those that remain.

        What was not acknowledged goes back to its queue before this returns. Publishing stays possible.
        """
        consumers, self._consumers = self._consumers, []
        async with asyncio.TaskGroup() as stopping:
            for consumer in consumers:
                stopping.create_task(consumer.stop(grace_s))

    async def close(self) -> None:
        """Close the connections. Messages not yet acknowledged go back to their queues."""
        await self.drain(0)
        for listener in list(self._listeners):
            await listener.stop()
        await self._looks.close()
        await self._letters.close()
        await self._publisher.close()
        await self._in.close()
        await self._out.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to publish on."""
        return self._out.is_up

    async def health(self, *, everything: bool = False) -> BusHealth:
        """Whether both connections work and the broker confirms that our consumers are attached."""
        ours = {consumer.queue for consumer in self._consumers}
        looked_at = [s for s in self._topology.subscriptions if everything or s.queue in ours]
        try:
            self._out.connection()
            stats = tuple([await self._stats(s) for s in looked_at])
        except PublishFailed as error:
            return BusHealth(ok=False, problem=str(error))
        there = {s.queue: s.consumers for s in stats}
        wanted = Counter(c.queue for c in self._consumers)
        missing = {c.queue for c in self._consumers if not c.attached}
        missing |= {queue for queue, consumers in there.items() if consumers < wanted[queue]}
        problem = f"not consuming {', '.join(sorted(missing))}" if missing else ""
        return BusHealth(not missing, problem, stats)

    async def dead_letters(self, queue: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """List dead letters, oldest first, without removing them."""
        return await self._letters.show(queue, limit)

    async def replay_dead(self, queue: str, letter_id: str | None = None) -> int:
        """Put dead letters (all, or the one) back into their work queue as first attempts; return how many."""
        return await self._letters.replay(queue, letter_id)

    async def drop_dead(self, queue: str, letter_id: str | None = None) -> int:
        """Delete dead letters (all of the queue, or the one); return how many."""
        return await self._letters.drop(queue, letter_id)

    async def _stats(self, subscription: Subscription) -> QueueStats:
        name = subscription.queue
        with broker_call(f"cannot look at {name}"):
            async with asyncio.timeout(_HEALTH_S):
                channel = await self._looks.channel()
                ready, consumers = await depth(channel, name)
                suspects, _ = await depth(channel, name + SUSPECT_SUFFIX)
                dead, _ = await depth(channel, name + DEAD_SUFFIX)
        return QueueStats(name, ready + suspects, consumers, dead)
