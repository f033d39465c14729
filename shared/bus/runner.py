"""Running one handler and judging its end: what is the same on every bus."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import ParamSpec

from shared.bus.observer import BusObserver, Settlement
from shared.bus.outcomes import Acknowledge, Bury, Outcome, Redeliver, after_error, after_failed_burial
from shared.bus.protocol import Delivery, Handler, OnDead, Subscription
from shared.bus.wire import payload_problem
from shared.cancellation import cancellations

P = ParamSpec("P")

logger = logging.getLogger(__name__)


class Runner:
    """One subscription's handler with its rules."""

    def __init__(
        self,
        subscription: Subscription,
        handler: Handler,
        on_dead: OnDead | None,
        observer: BusObserver,
        random: Random,
    ) -> None:
        self.subscription = subscription
        self._handler = handler
        self._on_dead = on_dead
        self._observer = observer
        self._random = random

    async def run(self, delivery: Delivery) -> Outcome:
        """Run the handler and, if that was the end, `on_dead`; return what becomes of the message.

        Raises:
            asyncio.CancelledError: this task was cancelled; nothing is decided, the message must come again.
        """
        self._observer.delivered(self.subscription, delivery)
        started = time.monotonic()
        try:
            problem = payload_problem(delivery.event)
            outcome = Bury(problem) if problem else await self._handle(delivery)
            if isinstance(outcome, Bury):
                outcome = await self.bury(delivery, outcome.reason)
        except asyncio.CancelledError:
            self._observer.settled(self.subscription, delivery, "abandoned", time.monotonic() - started)
            raise
        self._observer.settled(self.subscription, delivery, _settlement(outcome), time.monotonic() - started)
        return outcome

    async def bury(self, delivery: Delivery, reason: str) -> Bury | Redeliver:
        """Tell `on_dead`; only if it agrees the message may go to the dead letters."""
        if self._on_dead is None:
            return Bury(reason)
        error = await _error_of(self._on_dead, delivery, reason)
        if error is None:
            return Bury(reason)
        logger.error("on_dead of %s failed for %s", self.subscription.queue, delivery.event.id, exc_info=error)
        return after_failed_burial(error, delivery, self.subscription, self._random)

    async def _handle(self, delivery: Delivery) -> Outcome:
        error = await _error_of(self._handler, delivery)
        if error is None:
            return Acknowledge()
        outcome = after_error(error, delivery, self.subscription, self._random)
        where = (self.subscription.queue, delivery.event.id, delivery.attempt)
        if isinstance(outcome, Redeliver):
            logger.info("%s: %s attempt %d again in %.1f s: %s", *where, outcome.delay_s, outcome.reason)
        else:
            logger.error("%s: %s attempt %d given up: %s", *where, outcome.reason, exc_info=error)
        return outcome


async def _error_of(work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> BaseException | None:
    cancelled_before = cancellations()
    try:
        await work(*args, **kwargs)
    except asyncio.CancelledError as error:
        if cancellations() > cancelled_before:
            raise
        return error
    except Exception as error:  # noqa: BLE001 - by contract any exception is an outcome
        return error
    return None


def _settlement(outcome: Outcome) -> Settlement:
    match outcome:
        case Acknowledge():
            return "ack"
        case Redeliver():
            return "retry"
        case Bury():
            return "dead"
