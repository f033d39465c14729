"""What becomes of the messages that RabbitMQ hands to this process.

Handlers run in tasks of ours: aiormq cancels its own when the channel dies, in the middle of whatever they do.
A handler therefore outlives its channel. If its message comes again meanwhile, the new delivery joins the handler
that is still running; if the handler ended and only the acknowledgement was lost, the new delivery is acknowledged.

A message is retried by publishing a copy into a delay queue and then acknowledging it, never by `nack`, which
brings it back at once and is counted differently by every RabbitMQ version.

When a process is killed, the broker counts that against every message it held, though only one of them may be to
blame; a delivery limit would bury them all (measured: nine innocents of ten). So a message whose deliveries were lost
several times is moved to the queue of suspects, where each process takes one at a time: an innocent one passes, and
only the culprit goes on to lose deliveries there, until it is given up.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from random import Random

from aio_pika.abc import AbstractIncomingMessage, HeadersType
from aio_pika.exceptions import ChannelInvalidStateError

from shared.bus.delays import EARLY_MS, backoff_s, next_hop_ms
from shared.bus.letters import DEAD_SUFFIX, letter_headers
from shared.bus.observer import BusObserver
from shared.bus.outcomes import Acknowledge, Bury, Outcome, Redeliver
from shared.bus.protocol import Delivery
from shared.bus.rabbit_errors import broker_call
from shared.bus.rabbit_publisher import Identity, Publisher
from shared.bus.rabbit_topology import SUSPECT_SUFFIX
from shared.bus.runner import Runner
from shared.bus.tasks import finish
from shared.bus.wire import Malformed, Stamp, decode, deliver
from shared.clock import Clock
from shared.errors import PublishFailed

_ACK_S = 5.0
_PUT_S = 5.0
_REMEMBERED = 4096

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CrashLimits:
    """What to do with messages that are handed out again and again and never come to an outcome.

    A delivery is lost by the death of its process, and just so by a lost connection or a broker's restart.

    Attributes:
        suspect_after: after so many lost deliveries a message goes to the suspects.
        give_up_after: after so many more there, it goes to the dead letters without asking its handler.
    """

    suspect_after: int = 3
    give_up_after: int = 5


@dataclass(frozen=True, slots=True)
class _Isolate:
    """The message goes to the suspects."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all inboxes of a bus share."""

    publisher: Publisher
    delays_ms: Sequence[int]
    limits: CrashLimits
    observer: BusObserver
    clock: Clock
    random: Random


@dataclass(slots=True, eq=False)
class _Work:
    """A message in hand; it has several deliveries if its channel died meanwhile."""

    stamp: Stamp
    deliveries: list[AbstractIncomingMessage]

    @property
    def lost(self) -> bool:
        """Whether none of the deliveries can be acknowledged any more: the broker hands the message out again."""
        return all(_is_lost(delivery) for delivery in self.deliveries)


class Inbox:
    """The deliveries of one queue, from their arrival to their acknowledgement.

    Args:
        runner: handles them.
        slots: bounds how many handlers run at once. The broker's prefetch bounds a channel only, and handlers of a
            channel that died may still run.
        around: what all inboxes share.
        suspects: whether this is the queue of suspects.
        on_broken: called when a message could not be brought to an end because of an error of ours; it must be made
            to come again.
    """

    def __init__(
        self,
        runner: Runner,
        slots: asyncio.Semaphore,
        around: Surroundings,
        on_broken: Callable[[], None],
        *,
        suspects: bool,
    ) -> None:
        self._runner = runner
        self._subscription = runner.subscription
        self._slots = slots
        self._around = around
        self._on_broken = on_broken
        self._suspects = suspects
        self._in_hand: dict[str, _Work] = {}
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def accept(self, message: AbstractIncomingMessage) -> None:
        """Take a delivery; everything else happens in a task of ours."""
        if self._closed:
            return
        stamp = Stamp.read(message.headers, self._around.clock())
        if stamp.uid in self._settled:
            self._spawn(self._acknowledge(message))
        elif stamp.uid in self._in_hand:
            self._in_hand[stamp.uid].deliveries.append(message)
        else:
            work = _Work(stamp, [message])
            if stamp.uid:
                self._in_hand[stamp.uid] = work
            self._spawn(self._work(work))

    async def finish(self, grace_s: float) -> None:
        """Take nothing more; wait for running handlers, then cancel those that remain."""
        self._closed = True
        await finish(self._tasks, grace_s)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a message of %s could not be settled", self._subscription.queue, exc_info=error)
            self._on_broken()

    async def _work(self, work: _Work) -> None:
        try:
            outcome = await self._judge(work)
            if await self._carry_out(work, outcome):
                self._remember(work.stamp.uid)
                # A delivery that joins while we wait here is reached, too.
                for delivery in work.deliveries:
                    await self._acknowledge(delivery)
        finally:
            self._in_hand.pop(work.stamp.uid, None)

    def _remember(self, uid: str) -> None:
        if uid:
            self._settled[uid] = None
        if len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)

    async def _judge(self, work: _Work) -> Outcome | _Isolate:
        stamp, message = work.stamp, work.deliveries[0]
        wait_ms = stamp.due_ms - self._around.clock()
        if wait_ms > EARLY_MS:
            return Redeliver(wait_ms / 1000, stamp.attempt, "one more hop")
        try:
            event = decode(message.body, self._subscription)
        except Malformed as error:
            logger.warning("%s: %s", self._subscription.queue, error)
            return Bury(str(error))
        count = message.headers.get("x-delivery-count")
        lost = count if isinstance(count, int) else 0
        limits = self._around.limits
        if not self._suspects and lost >= limits.suspect_after:
            logger.warning("%s: %s was lost %d times and is isolated", self._subscription.queue, event.id, lost)
            return _Isolate()
        if self._suspects and lost >= limits.give_up_after:
            delivery = deliver(event, stamp, self._around.clock(), redelivered=True)
            return await self._give_up(delivery, limits.suspect_after + lost)
        async with self._slots:
            delivery = deliver(event, stamp, self._around.clock(), redelivered=bool(message.redelivered))
            return await self._runner.run(delivery)

    async def _give_up(self, delivery: Delivery, lost: int) -> Bury:
        """Bury a message that nobody survives. It stays in hand until `on_dead` agrees: its handler must not run."""
        reason = f"handed out {lost} times without an outcome: it may kill the process that handles it"
        logger.error("%s: %s %s", self._subscription.queue, delivery.event.id, reason)
        while True:
            outcome = await self._runner.bury(delivery, reason)
            if isinstance(outcome, Bury):
                return outcome
            await asyncio.sleep(outcome.delay_s)

    async def _carry_out(self, work: _Work, outcome: Outcome | _Isolate) -> bool:
        """Do what the outcome asks for; False if the message will come again by itself."""
        publisher, now_ms = self._around.publisher, self._around.clock()
        queue, stamp = self._subscription.queue, work.stamp
        body, identity = work.deliveries[0].body, _identity(work)
        match outcome:
            case Acknowledge():
                return True
            case Redeliver(delay_s=delay_s, attempt=attempt):
                later = stamp.again(attempt, now_ms + round(delay_s * 1000))
                hop_ms = next_hop_ms(delay_s * 1000, self._around.delays_ms)
                return await self._surely(work, lambda: publisher.delay(queue, body, identity, later, hop_ms, _PUT_S))
            case Bury(reason=reason):
                headers: HeadersType = {**letter_headers(reason, stamp.attempt, now_ms)}
                buried = await self._surely(
                    work, lambda: publisher.put(queue + DEAD_SUFFIX, body, identity, headers, _PUT_S)
                )
                if buried:
                    self._around.observer.dead(self._subscription, reason)
                return buried
            case _Isolate():
                moved: HeadersType = {**stamp.again(stamp.attempt, stamp.due_ms).headers()}
                return await self._surely(
                    work, lambda: publisher.put(queue + SUSPECT_SUFFIX, body, identity, moved, _PUT_S)
                )

    async def _surely(self, work: _Work, put: Callable[[], Awaitable[None]]) -> bool:
        failures = 0
        while not work.lost:
            try:
                await put()
            except PublishFailed as error:
                failures += 1
                logger.warning("%s: %s", self._subscription.queue, error)
                await asyncio.sleep(backoff_s(failures, 0.2, 5.0, self._around.random))
            else:
                return True
        return False

    async def _acknowledge(self, delivery: AbstractIncomingMessage) -> None:
        try:
            with broker_call("acknowledging"):
                async with asyncio.timeout(_ACK_S):
                    await delivery.ack()
        except PublishFailed as error:
            # The channel is gone: the message comes again and is known by then.
            logger.info("%s: %s", self._subscription.queue, error)


def _is_lost(delivery: AbstractIncomingMessage) -> bool:
    try:
        return delivery.channel.is_closed
    except ChannelInvalidStateError:  # aio-pika does not name a closed channel
        return True


def _identity(work: _Work) -> Identity:
    message = work.deliveries[0]
    event_id = (message.message_id or "").partition("#")[0]
    return Identity(event_id or work.stamp.uid or "unnamed", message.type or "", message.correlation_id or "")
