"""What is declared on RabbitMQ, as data, and declaring it.

* topic exchange `pipeline`; quorum queue `<service>.<event>` bound by the event's name
* for each work queue a quorum queue `<service>.<event>.dead`, and one `<service>.<event>.suspect` for messages whose
  deliveries were lost several times: it is consumed one message at a time, see `rabbit_inbox`
* headers exchange `pipeline.delay`; quorum queue `delay.<ms>` bound by the header `delay`, with that time to live.
  A message keeps its routing key, the work queue's name, while it waits; when its time is up it is dead-lettered
  to the default exchange, which knows each queue by its name. So a handful of delay queues serve all work queues.

Everything is durable and has the fewest arguments that are the same on RabbitMQ 3.10 and 4.x, because an argument
can never be changed on a queue that exists; limits on length and age belong in policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from shared.bus.letters import DEAD_SUFFIX
from shared.bus.protocol import Subscription
from shared.events import EventName

DELAY_HEADER = "delay"
SUSPECT_SUFFIX = ".suspect"

DELIVERY_LIMIT = 1000
"""Set because 4.x has 20 by default; high because it is not our counter (`rabbit_inbox` gives up long before)."""

Arguments = dict[str, str | int]

DEAD_ARGUMENTS: Arguments = {
    "x-queue-type": "quorum",
    # Looking at a letter without taking it counts as a delivery. Not -1, which is "none" on 4.x only: 3.10 takes it
    # at its word and drops a message the first time it is given back (measured).
    "x-delivery-limit": 1_000_000,
}


def work_arguments(queue: str) -> Arguments:
    """Arguments of the work queue `queue`, and of the queue of its suspects."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue + DEAD_SUFFIX,
    }


def delay_arguments(delay_ms: int) -> Arguments:
    """Arguments of the queue where messages wait for `delay_ms`; the last two make its forwarding at-least-once."""
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": delay_ms,
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def delay_queue(delay_ms: int) -> str:
    """Name of the queue where messages wait for `delay_ms`."""
    return f"delay.{delay_ms}"


@dataclass(frozen=True, slots=True)
class Topology:
    """All that the services share on one virtual host."""

    exchange: str
    subscriptions: Sequence[Subscription]
    delays_ms: Sequence[int]

    @property
    def delay_exchange(self) -> str:
        """Where copies go that are to be handled later."""
        return f"{self.exchange}.delay"

    def routes(self, event: EventName) -> bool:
        """Whether any queue is interested in `event`."""
        return any(s.event == event for s in self.subscriptions)


async def declare(channel: AbstractChannel, topology: Topology) -> None:
    """Declare everything; what exists already stays as it is.

    Every process declares for all services, so that a gateway alone can publish to queues that nobody reads yet.
    """
    await channel.declare_exchange(topology.exchange, ExchangeType.TOPIC, durable=True)
    delays = await channel.declare_exchange(topology.delay_exchange, ExchangeType.HEADERS, durable=True)
    for delay_ms in topology.delays_ms:
        queue = await channel.declare_queue(
            delay_queue(delay_ms), durable=True, arguments={**delay_arguments(delay_ms)}
        )
        await queue.bind(delays, arguments={"x-match": "all", DELAY_HEADER: str(delay_ms)})
    for subscription in topology.subscriptions:
        await declare_subscription(channel, topology, subscription)


async def declare_subscription(channel: AbstractChannel, topology: Topology, subscription: Subscription) -> None:
    """Declare one work queue with those of its dead letters and suspects."""
    name = subscription.queue
    await channel.declare_queue(name + DEAD_SUFFIX, durable=True, arguments={**DEAD_ARGUMENTS})
    await channel.declare_queue(name + SUSPECT_SUFFIX, durable=True, arguments={**work_arguments(name)})
    queue = await channel.declare_queue(name, durable=True, arguments={**work_arguments(name)})
    await queue.bind(topology.exchange, routing_key=str(subscription.event))


async def depth(channel: AbstractChannel, queue: str) -> tuple[int, int]:
    """Count the messages of `queue` that are ready, and its consumers; `channel` breaks if there is no such queue."""
    found = await channel.declare_queue(queue, passive=True)
    return found.declaration_result.message_count or 0, found.declaration_result.consumer_count or 0
