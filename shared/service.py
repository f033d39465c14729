"""Running a service: attaching handlers to the bus, with the log context, metrics and rules they all share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from shared import metrics
from shared.bus.observer import Publication, Settlement
from shared.bus.protocol import Bus, Delivery, Handler, OnDead, Retry, Subscription
from shared.errors import DependencyDown, JobNotFound, Refused
from shared.events import EventName
from shared.leases import LeaseLost

log = structlog.get_logger(__name__)

DEPENDENCY_PAUSE_S = 2.0
"""How long a message waits when something we depend on does not answer. Such waits are no failed attempts: the
job's own deadline bounds them."""


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
        await bus.consume(subscription, observed(subscription, route.handler), route.on_dead)


def observed(subscription: Subscription, handler: Handler) -> Handler:
    """Wrap a handler with what all share.

    A job that is gone, a step that is refused or was taken over by somebody else is nothing to repeat: the
    message is acknowledged. A dependency that is down is waited for.
    """
    stage, event_name = subscription.service, str(subscription.event)

    async def handle(delivery: Delivery) -> None:
        event = delivery.event
        with (
            structlog.contextvars.bound_contextvars(job=event.subject, event_id=event.id, clip=event.data.get("clip")),
            metrics.IN_FLIGHT.labels(stage, event_name).track_inprogress(),
        ):
            try:
                await handler(delivery)
            except JobNotFound:
                log.info("job is gone", event_name=event_name)
            except Refused as refused:
                log.debug("nothing to do", event_name=event_name, reason=refused.reason)
            except LeaseLost as lost:
                log.warning("step was taken over by somebody else", event_name=event_name, problem=str(lost))
            except DependencyDown as down:
                log.warning("waiting for a dependency", dependency=down.dependency, problem=str(down))
                raise Retry(DEPENDENCY_PAUSE_S, str(down), counts=False) from down

    return handle


class BusMetrics:
    """Counts how deliveries end and what is published; a `shared.bus.observer.BusObserver`."""

    def published(self, event: EventName, outcome: Publication) -> None:
        """A publish ended."""
        metrics.PUBLISHED.labels(str(event), outcome).inc()

    def delivered(self, subscription: Subscription, delivery: Delivery) -> None:
        """A handler is about to run."""
        metrics.QUEUE_WAIT.labels(subscription.service, str(subscription.event)).observe(max(0.0, delivery.waited_s))

    def settled(self, subscription: Subscription, delivery: Delivery, outcome: Settlement, seconds: float) -> None:
        """A handler ended."""
        metrics.MESSAGES.labels(subscription.service, str(subscription.event), outcome).inc()
        metrics.DURATION.labels(subscription.service, str(subscription.event)).observe(seconds)

    def dead(self, subscription: Subscription, reason: str) -> None:
        """A message was put among the dead letters."""
        metrics.DEAD_LETTERS.labels(subscription.service, str(subscription.event)).inc()
