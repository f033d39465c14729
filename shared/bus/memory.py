"""The bus of the embedded mode: everything in this process, with the outcomes of RabbitMQ.

It keeps nothing over a restart and needs not: the job store is the truth, and the reconciler re-publishes what is
outstanding. Events pass through their JSON, so that what works here works on the wire.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from shared.bus.delays import randomness
from shared.bus.letters import Letter, choose
from shared.bus.listening import Ear, Listener
from shared.bus.observer import BusObserver, SilentObserver
from shared.bus.outcomes import Acknowledge, Bury, Outcome, Redeliver
from shared.bus.protocol import BusHealth, DeadLetter, Handler, Hearing, OnDead, QueueStats, Subscription
from shared.bus.runner import Runner
from shared.bus.tasks import finish
from shared.bus.wire import Malformed, Stamp, decode, deliver, encode, new_uid
from shared.clock import Clock, now_ms
from shared.errors import PublishFailed
from shared.events import Event, EventName

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Message:
    body: bytes
    stamp: Stamp


@dataclass(slots=True, eq=False)
class _Consumer:
    runner: Runner
    free: int
    tasks: set[asyncio.Task[Outcome]] = field(default_factory=set)


@dataclass(slots=True)
class _Queue:
    subscription: Subscription
    ready: deque[_Message] = field(default_factory=deque)
    letters: list[Letter] = field(default_factory=list)
    consumers: list[_Consumer] = field(default_factory=list)


class MemoryBus:
    """A `Bus` without a broker.

    Args:
        subscriptions: everything that anybody will listen to; an event without subscription cannot be published.
        observer: hears of every message, for metrics.
        duplicate_every: store every n-th published message twice, as a broker may (0: never).
        shuffle: seed for handing out messages in random order, as a broker may (None: in order).
        clock: the time in ms.
    """

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        *,
        observer: BusObserver | None = None,
        duplicate_every: int = 0,
        shuffle: int | None = None,
        clock: Clock = now_ms,
    ) -> None:
        self._queues = {s.queue: _Queue(s) for s in subscriptions}
        self._subscriptions = tuple(subscriptions)
        self._observer = observer or SilentObserver()
        self._duplicate_every = duplicate_every
        self._shuffle = shuffle is not None
        self._random = randomness(shuffle)
        self._clock = clock
        self._open = False
        self._published = 0
        self._timers: set[asyncio.TimerHandle] = set()
        self._ears: list[Ear] = []

    async def start(self) -> None:
        """Open the bus."""
        self._open = True

    async def publish(self, event: Event, *, timeout_s: float = 5.0, transient: bool = False) -> None:
        """Store the event in every interested queue.

        Raises:
            PublishFailed: nobody is interested, or the bus is not open.
        """
        queues = [q for q in self._queues.values() if q.subscription.event == event.name]
        ears = [ear for ear in self._ears if event.name in ear.events]
        if not self._open or not (queues or ears or transient):
            self._observer.published(event.name, "unroutable" if self._open else "failed")
            why = f"no queue is bound to {event.name}" if self._open else "the bus is not started"
            raise PublishFailed(f"{event.id} was not published: {why}")
        self._published += 1
        twice = self._duplicate_every and self._published % self._duplicate_every == 0
        body = encode(event)
        for queue in queues:
            for _ in range(2 if twice else 1):
                self._enqueue(queue, _Message(body, Stamp.fresh(self._clock())))
        for ear in ears:
            ear.hear(body)
        self._observer.published(event.name, "ok")

    async def consume(self, subscription: Subscription, handler: Handler, on_dead: OnDead | None = None) -> None:
        """Start handing deliveries to `handler`."""
        queue = self._queues[choose(self._subscriptions, subscription.queue)[0].queue]
        runner = Runner(subscription, handler, on_dead, self._observer, self._random)
        queue.consumers.append(_Consumer(runner, free=subscription.prefetch))
        self._dispatch(queue)

    async def listen(self, events: Collection[EventName], handler: Listener) -> Hearing:
        """Let `handler` hear these events from now on."""
        ear = Ear(events, handler, stopped=self._ears.remove)
        ear.start()
        self._ears.append(ear)
        return ear

    async def drain(self, grace_s: float) -> None:
        """Stop taking deliveries, wait for running handlers, then cancel those that remain."""
        consumers = [c for q in self._queues.values() for c in q.consumers]
        for queue in self._queues.values():
            queue.consumers.clear()
        await finish([task for c in consumers for task in c.tasks], grace_s)

    async def close(self) -> None:
        """Forget everything: delayed messages and dead letters too."""
        self._open = False
        await self.drain(0)
        for ear in list(self._ears):
            await ear.stop()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    @property
    def connected(self) -> bool:
        """Whether it was started and not closed."""
        return self._open

    async def health(self, *, everything: bool = False) -> BusHealth:
        """Say how full the queues are; an open bus in memory always works."""
        stats = tuple(
            QueueStats(name, len(q.ready), len(q.consumers), len(q.letters)) for name, q in self._queues.items()
        )
        return BusHealth(self._open, "" if self._open else "the bus is not started", stats)

    async def dead_letters(self, queue: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """List dead letters, oldest first, without removing them."""
        chosen = choose(self._subscriptions, queue)
        letters = [letter.shown(s) for s in chosen for letter in self._queues[s.queue].letters]
        return sorted(letters, key=lambda letter: letter.died_at)[:limit]

    async def replay_dead(self, queue: str, letter_id: str | None = None) -> int:
        """Put dead letters back into their work queue as first attempts; return how many."""
        chosen, letters = self._take_letters(queue, letter_id)
        for letter in letters:
            self._enqueue(chosen, _Message(letter.body, Stamp.fresh(self._clock(), seen=True)))
        return len(letters)

    async def drop_dead(self, queue: str, letter_id: str | None = None) -> int:
        """Delete dead letters; return how many."""
        return len(self._take_letters(queue, letter_id)[1])

    def _take_letters(self, name: str, letter_id: str | None) -> tuple[_Queue, list[Letter]]:
        queue = self._queues[choose(self._subscriptions, name)[0].queue]
        taken = [letter for letter in queue.letters if letter_id in {None, letter.uid}]
        queue.letters = [letter for letter in queue.letters if letter not in taken]
        return queue, taken

    def _enqueue(self, queue: _Queue, message: _Message) -> None:
        queue.ready.append(message)
        self._dispatch(queue)

    def _dispatch(self, queue: _Queue) -> None:
        while queue.ready:
            consumer = next((c for c in queue.consumers if c.free > 0), None)
            if consumer is None:
                return
            if self._shuffle:
                queue.ready.rotate(-self._random.randrange(len(queue.ready)))
            message = queue.ready.popleft()
            consumer.free -= 1
            task = asyncio.create_task(self._outcome(queue.subscription, consumer.runner, message))
            consumer.tasks.add(task)
            # A callback and not the task itself: a task that is cancelled before its first step never runs.
            task.add_done_callback(partial(self._ended, queue, consumer, message))

    def _ended(self, queue: _Queue, consumer: _Consumer, message: _Message, task: asyncio.Task[Outcome]) -> None:
        consumer.tasks.discard(task)
        consumer.free += 1
        if task.cancelled():
            queue.ready.appendleft(replace(message, stamp=replace(message.stamp, seen=True)))
        else:
            self._settle(queue, message, task.result())
        self._dispatch(queue)

    async def _outcome(self, subscription: Subscription, runner: Runner, message: _Message) -> Outcome:
        try:
            event = decode(message.body, subscription)
        except Malformed as error:
            return Bury(str(error))
        return await runner.run(deliver(event, message.stamp, self._clock(), redelivered=False))

    def _settle(self, queue: _Queue, message: _Message, outcome: Outcome) -> None:
        match outcome:
            case Redeliver(delay_s=delay_s, attempt=attempt):
                due_ms = self._clock() + round(delay_s * 1000)
                self._later(queue, delay_s, replace(message, stamp=message.stamp.again(attempt, due_ms)))
            case Bury(reason=reason):
                letter = Letter(new_uid(), message.body, reason, message.stamp.attempt, self._clock())
                queue.letters.append(letter)
                self._observer.dead(queue.subscription, reason)
            case Acknowledge():
                pass

    def _later(self, queue: _Queue, delay_s: float, message: _Message) -> None:
        def arrive() -> None:
            self._timers.discard(timer)
            self._enqueue(queue, message)

        timer = asyncio.get_running_loop().call_later(delay_s, arrive)
        self._timers.add(timer)
