"""The few moments of a message's life that metrics want to hear about."""

from typing import Literal, Protocol

from shared.bus.protocol import Delivery, Subscription
from shared.events import EventName

Settlement = Literal["ack", "retry", "dead", "abandoned"]
"""How a delivery ended; `abandoned` is a handler that was cancelled while draining: its message comes again."""

Publication = Literal["ok", "unroutable", "failed"]
"""How a publish ended; `failed` is ambiguous, the message may have been stored."""


class BusObserver(Protocol):
    """Hears what a bus does. Methods are called from the event loop: they must return at once and not raise."""

    def published(self, event: EventName, outcome: Publication) -> None:
        """A publish ended."""

    def delivered(self, subscription: Subscription, delivery: Delivery) -> None:
        """A handler is about to run."""

    def settled(self, subscription: Subscription, delivery: Delivery, outcome: Settlement, seconds: float) -> None:
        """A handler ended after `seconds`."""

    def dead(self, subscription: Subscription, reason: str) -> None:
        """A message was put among the dead letters; `reason` is free text for people."""


class SilentObserver:
    """Hears and says nothing."""

    def published(self, event: EventName, outcome: Publication) -> None:
        """Ignore."""

    def delivered(self, subscription: Subscription, delivery: Delivery) -> None:
        """Ignore."""

    def settled(self, subscription: Subscription, delivery: Delivery, outcome: Settlement, seconds: float) -> None:
        """Ignore."""

    def dead(self, subscription: Subscription, reason: str) -> None:
        """Ignore."""
