"""Running a service: attaching handlers to the bus, with the log context, metrics and rules they all share."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

from shared import metrics, tracing
from shared.bus.observer import Publication, Settlement
from shared.bus.protocol import Bus, Delivery, Handler, OnDead, Reject, Retry, Subscription
from shared.clock import Clock, now_ms
from shared.errors import DependencyDown, JobNotFound, Refused
from shared.events import EventName
from shared.leases import LeaseLost
from shared.presence import Takes

log = structlog.get_logger(__name__)

DEPENDENCY_PAUSE_S = 2.0
"""How long a message waits when something we depend on does not answer. Such waits are no failed attempts: the
job's own deadline bounds them."""

_SETTLEMENTS = {"ack": "ok", "retry": "retried", "dead": "dead", "abandoned": "abandoned"}


@dataclass(slots=True)
class _Ending:
    """What a handler's end meant, for `BusMetrics`, which hears of it in the same task."""

    is_duplicate: bool = False
    retry: str = "error"
    dead: str = "unreadable"
    trace: dict[str, str] | None = None


_ending: ContextVar[_Ending | None] = ContextVar("ending", default=None)


@dataclass(frozen=True, slots=True)
class Route:
    """The handler of a service's subscription to an event."""

    service: str
    event: EventName
    handler: Handler
    on_dead: OnDead | None = None


async def attach(bus: Bus, subscriptions: Iterable[Subscription], routes: Sequence[Route]) -> None:
    """Start consuming: every subscription gets its handler.

    Raises:
        KeyError: a subscription has no route; table and code disagree.
    """
    by_subscription = {(route.service, route.event): route for route in routes}
    for subscription in subscriptions:
        route = by_subscription[subscription.service, subscription.event]
        metrics.SLOTS.labels(subscription.service, str(subscription.event)).set(subscription.prefetch)
        await bus.consume(subscription, observed(subscription, route.handler), route.on_dead)


def observed(subscription: Subscription, handler: Handler) -> Handler:
    """Wrap a handler with what all share.

    A job that is gone, a step that is refused or was taken over by somebody else is nothing to repeat: the
    message is acknowledged. A dependency that is down is waited for.
    """
    stage, event_name = subscription.service, str(subscription.event)

    async def handle(delivery: Delivery) -> None:
        with (
            _surroundings(subscription, delivery) as ending,
            metrics.IN_FLIGHT.labels(stage, event_name).track_inprogress(),
            _classified(ending),
        ):
            try:
                await handler(delivery)
            except JobNotFound:
                ending.is_duplicate = True
                log.info("job is gone")
            except Refused as refused:
                ending.is_duplicate = True
                log.debug("nothing to do", reason=refused.reason)
            except LeaseLost as lost:
                ending.is_duplicate = True
                log.warning("step was taken over by somebody else", problem=str(lost))

    return handle


@contextmanager
def _surroundings(subscription: Subscription, delivery: Delivery) -> Iterator[_Ending]:
    """Give log lines and spans below a delivery their context."""
    event = delivery.event
    clip = event.data.get("clip")
    known = {"job": event.subject, "clip": clip, "event_id": event.id, "event_name": str(subscription.event)}
    with (
        tracing.span(
            f"{subscription.service} {subscription.event}",
            "consumer",
            event.traceparent,
            (Retry,),
            messaging__destination__name=subscription.queue,
            messaging__operation__type="process",
            messaging__message__id=event.id,
            sora__job=event.subject,
            sora__clip=clip,
            sora__attempt=delivery.attempt,
        ),
        structlog.contextvars.bound_contextvars(**known),
    ):
        ending = _Ending(trace=tracing.exemplar())
        _ending.set(ending)
        yield ending


@contextmanager
def _classified(ending: _Ending) -> Iterator[None]:
    """Note why a delivery comes again or never; what a dependency is waited for becomes a `Retry`."""
    ending.dead = "attempts"
    try:
        yield
    except Retry as retry:
        cause = retry.__cause__
        if isinstance(cause, DependencyDown):
            ending.retry = _named(cause)
        else:
            ending.retry = "asked" if retry.counts else "waiting"
        raise
    except Reject:
        ending.dead = "rejected"
        raise
    except DependencyDown as down:
        ending.retry = _named(down)
        log.warning("waiting for a dependency", dependency=down.dependency, problem=str(down))
        raise Retry(DEPENDENCY_PAUSE_S, str(down), counts=False) from down


def _named(down: DependencyDown) -> str:
    return down.dependency if down.dependency in metrics.RETRY_REASONS else "partner"


class BusMetrics:
    """Counts how deliveries end and what is published; a `shared.bus.observer.BusObserver`.

    Args:
        takes: what remembers the last message of each queue, too.
        clock: the time it is remembered with.
    """

    def __init__(self, takes: Takes | None = None, clock: Clock = now_ms) -> None:
        self._takes = takes or Takes()
        self._clock = clock

    def published(self, event: EventName, outcome: Publication) -> None:
        """A publish ended."""
        metrics.PUBLISHED.labels(str(event), outcome).inc()

    def delivered(self, subscription: Subscription, delivery: Delivery) -> None:
        """A handler is about to run."""
        _ending.set(None)
        wait = metrics.QUEUE_WAIT.labels(subscription.service, str(subscription.event))
        wait.observe(max(0.0, delivery.waited_s), tracing.exemplar(delivery.event.traceparent))
        self._takes.note(subscription.queue, delivery.waited_s, self._clock())

    def settled(self, subscription: Subscription, delivery: Delivery, outcome: Settlement, seconds: float) -> None:
        """A handler ended."""
        stage = (subscription.service, str(subscription.event))
        ending = _ending.get() or _Ending()
        name = "duplicate" if outcome == "ack" and ending.is_duplicate else _SETTLEMENTS[outcome]
        metrics.MESSAGES.labels(*stage, name).inc()
        metrics.DURATION.labels(*stage, name).observe(seconds, ending.trace)
        if outcome == "retry":
            metrics.RETRIES.labels(*stage, ending.retry).inc()

    def dead(self, subscription: Subscription, reason: str) -> None:
        """A message was put among the dead letters."""
        ending = _ending.get() or _Ending()
        metrics.DEAD_LETTERS.labels(subscription.service, str(subscription.event), ending.dead).inc()
