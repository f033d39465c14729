"""A message as it travels: the event's JSON, and a stamp of our own beside it.

The stamp is carried in AMQP headers (by the in-process bus as it is). Attempts are counted here and never taken
from the broker, whose counters mean different things from one RabbitMQ version to the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from uuid import uuid4

from pydantic import ValidationError

from shared.bus.protocol import Delivery, Subscription
from shared.events import Event


class Malformed(ValueError):
    """A body that is not an event of the kind its queue is for. No handler can help."""


def new_uid() -> str:
    """Return a name for one message: unlike the event's id it differs between copies of the same event."""
    return uuid4().hex


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the bus itself knows about one message.

    Attributes:
        uid: this message's own name; empty if it was not published by us.
        attempt: 1 for the first delivery.
        due_ms: when it is to be handled, in ms since the epoch: the time of publishing, or the end of a delay.
        seen: whether a handler may have had it before.
    """

    uid: str
    attempt: int
    due_ms: int
    seen: bool

    @classmethod
    def fresh(cls, now_ms: int, *, seen: bool = False) -> Self:
        """A first attempt, due now."""
        return cls(new_uid(), 1, now_ms, seen)

    @classmethod
    def read(cls, headers: Mapping[str, object], now_ms: int) -> Self:
        """Read a stamp from headers; what is missing or nonsense counts as never set."""
        uid, attempt, due_ms = headers.get("uid"), headers.get("attempt"), headers.get("due_ms")
        return cls(
            uid=uid if isinstance(uid, str) else "",
            attempt=attempt if isinstance(attempt, int) and attempt >= 1 else 1,
            due_ms=due_ms if isinstance(due_ms, int) else now_ms,
            seen=headers.get("seen") is True,
        )

    def headers(self) -> dict[str, str | int | bool]:
        """The stamp as AMQP headers."""
        return {"uid": self.uid, "attempt": self.attempt, "due_ms": self.due_ms, "seen": self.seen}

    def again(self, attempt: int, due_ms: int) -> "Stamp":
        """The stamp of a copy that is to be handled later."""
        return Stamp(new_uid(), attempt, due_ms, seen=True)


def encode(event: Event) -> bytes:
    """Return `event` as CloudEvents structured JSON; absent attributes are left out, as the standard wants."""
    return event.model_dump_json(exclude_none=True).encode()


def decode(body: bytes, subscription: Subscription) -> Event:
    """Read the event that `subscription` is about.

    Raises:
        Malformed: not JSON, not an event, or an event of another name.
    """
    try:
        event = Event.model_validate_json(body)
    except ValidationError as error:
        raise Malformed(f"not an event: {_briefly(error)}") from error
    if event.type != f"{subscription.event}.v1":
        raise Malformed(f"an event of type {event.type!r} does not belong in {subscription.queue}")
    return event


def payload_problem(event: Event) -> str | None:
    """Say what is wrong with the data of an otherwise good event; None if nothing is."""
    try:
        event.payload()
    except ValidationError as error:
        return f"malformed data: {_briefly(error)}"
    return None


def deliver(event: Event, stamp: Stamp, now_ms: int, *, redelivered: bool) -> Delivery:
    """Return what the handler gets to see."""
    waited_s = max(0, now_ms - stamp.due_ms) / 1000
    return Delivery(event, stamp.attempt, redelivered or stamp.seen, waited_s)


def _briefly(error: ValidationError) -> str:
    """Where and what, without the values that came in."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in problems[:3])
