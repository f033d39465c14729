"""What a bus must offer: publish with certainty, consume with outcomes.

A handler says how a delivery ended by how it ends itself:

* it returns: the message is acknowledged;
* it raises `Retry(after_s)`: the message comes again after about that long (delay queue), attempt + 1;
  `counts=False` keeps the attempt number (waiting for a rate limit is not a failure);
* it raises `Reject(reason)`: the message goes to the dead letters at once;
* it raises anything else: it comes again with exponential backoff and jitter, and after
  `Subscription.max_attempts` deliveries goes to the dead letters.

Beside these work queues there is listening (`Bus.listen`): every process that listens hears every event, at most
once. It is for live pages and alike, which look at the job store to heal what they missed.

Whenever a message goes to the dead letters, the subscription's `on_dead` is called first, so that the job can
be failed with its reason. Delivery is at least once and unordered; handlers are idempotent.
RabbitMQ and the in-process bus have the same semantics, proven by `tests/conformance/test_bus.py`.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from shared.events import Event, EventName


class Retry(Exception):  # an outcome, not an error
    """Deliver the message again after `after_s` seconds."""

    def __init__(self, after_s: float, reason: str = "", *, counts: bool = True) -> None:
        super().__init__(reason or f"again in {after_s:g} s")
        self.after_s = after_s
        self.reason = reason
        self.counts = counts


class Reject(Exception):  # an outcome, not an error
    """Put the message among the dead letters: trying again cannot help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as it reaches a handler.

    Attributes:
        attempt: 1 for the first delivery, counted by ourselves in a header, not by the broker.
        redelivered: whether this message may have been handled before.
        waited_s: seconds since the event was published (or retried), for the queue-wait metric.
    """

    event: Event
    attempt: int
    redelivered: bool
    waited_s: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, as an operator sees it."""

    id: str
    queue: str
    event: Event
    reason: str
    attempts: int
    died_at: int


Handler = Callable[[Delivery], Awaitable[None]]
OnDead = Callable[[Delivery, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One service's interest in one event: a durable work queue `<service>.<event>`.

    Attributes:
        prefetch: how many deliveries one process handles at the same time.
        max_attempts: deliveries before the message is given up.
        backoff_s: first delay after an unexpected error; doubles each time, with jitter, up to `backoff_max_s`.
    """

    service: str
    event: EventName
    prefetch: int = 16
    max_attempts: int = 8
    backoff_s: float = 0.5
    backoff_max_s: float = 60.0

    @property
    def queue(self) -> str:
        """The work queue's name."""
        return f"{self.service}.{self.event}"


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Depth of a queue: messages ready to be delivered, and how many consumers it has."""

    queue: str
    ready: int
    consumers: int
    dead: int


@dataclass(frozen=True, slots=True)
class BusHealth:
    """Whether the bus works for this process; `problem` says what does not."""

    ok: bool
    problem: str = ""
    queues: tuple[QueueStats, ...] = field(default=())


class Hearing(Protocol):
    """Somebody who listens."""

    async def stop(self) -> None:
        """Hear nothing any more; the bus keeps nothing for them."""


class Bus(Protocol):
    """A message bus with the semantics of the module's docstring."""

    async def start(self) -> None:
        """Connect and declare the whole topology. Raises `PublishFailed` if the broker cannot be reached."""

    async def publish(self, event: Event, *, timeout_s: float = 5.0, transient: bool = False) -> None:
        """Return once the message is stored in every interested queue.

        Args:
            event: the event.
            timeout_s: how long that may take.
            transient: return as soon as it is on its way; it may get lost, and nobody need be interested.

        Raises:
            PublishFailed: not confirmed in time, unroutable, refused or no connection. Ambiguous: the
                message may have been stored.
        """

    async def consume(self, subscription: Subscription, handler: Handler, on_dead: OnDead | None = None) -> None:
        """Start handing deliveries of `subscription.queue` to `handler`, in tasks that this bus owns."""

    async def listen(self, events: Collection[EventName], handler: Callable[[Event], Awaitable[None]]) -> Hearing:
        """Let `handler` hear these events from now on, as every process that listens does, until it is stopped.

        At most once: nothing is acknowledged or repeated, and what happens while the broker is away is not heard.
        Returns when events are heard; if the broker is away, after a while without. `close` stops it, too.
        """

    async def drain(self, grace_s: float) -> None:
        """Stop taking deliveries, wait for running handlers, then cancel those that remain.

        A handler that is cancelled leaves its message to be delivered again. Listeners go on hearing.
        """

    async def close(self) -> None:
        """Close the connection. Messages not yet acknowledged go back to their queues."""

    @property
    def connected(self) -> bool:
        """Whether a publish has a chance now. Costs nothing; for a thorough look see `health`."""

    async def health(self, *, everything: bool = False) -> BusHealth:
        """Whether this process is connected and all its consumers are really attached.

        Args:
            everything: look at the queues of all services, not only at those consumed here; takes longer.
        """

    async def dead_letters(self, queue: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """List dead letters, oldest first, without removing them."""

    async def replay_dead(self, queue: str, letter_id: str | None = None) -> int:
        """Put dead letters (all, or the one) back into their work queue as first attempts; return how many."""

    async def drop_dead(self, queue: str, letter_id: str | None = None) -> int:
        """Delete dead letters (all of the queue, or the one); return how many."""
