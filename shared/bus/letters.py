"""Dead letters: messages that were given up, kept for an operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from shared.bus.protocol import DeadLetter, Subscription
from shared.bus.wire import Malformed, decode, new_uid
from shared.clock import iso
from shared.errors import StitcherError
from shared.events import Event

DEAD_SUFFIX = ".dead"
_RAW_MAX_CHARS = 2000


class UnknownQueue(StitcherError):
    """No work queue of this name exists; the message lists those that do."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter with its body as it came, which need not be an event at all."""

    uid: str
    body: bytes
    reason: str
    attempts: int
    died_at: int

    def shown(self, subscription: Subscription) -> DeadLetter:
        """The letter as an operator sees it; a body that is no event is wrapped into one of type `malformed`."""
        try:
            event = decode(self.body, subscription)
        except Malformed:
            raw = self.body.decode(errors="replace")[:_RAW_MAX_CHARS]
            event = Event(
                id=self.uid,
                source=f"/services/{subscription.service}",
                type="malformed",
                subject="",
                time=iso(self.died_at),
                data={"raw": raw},
            )
        return DeadLetter(self.uid, subscription.queue, event, self.reason, self.attempts, self.died_at)


def letter_headers(reason: str, attempts: int, died_at: int) -> dict[str, str | int]:
    """What a dead letter carries beside its body."""
    return {"uid": new_uid(), "reason": reason, "attempts": attempts, "died_at": died_at}


def read_letter(body: bytes, headers: Mapping[str, object]) -> Letter:
    """Read a dead letter, ours or one that the broker itself dead-lettered (then the reason is the broker's)."""
    uid, reason, attempts, died_at = (headers.get(name) for name in ("uid", "reason", "attempts", "died_at"))
    if not isinstance(attempts, int):
        attempts = headers.get("attempt")
    return Letter(
        uid=uid if isinstance(uid, str) and uid else sha256(body).hexdigest()[:32],
        body=body,
        reason=reason if isinstance(reason, str) else f"broker: {headers.get('x-first-death-reason', 'unknown')}",
        attempts=attempts if isinstance(attempts, int) else 1,
        died_at=died_at if isinstance(died_at, int) else _broker_death_ms(headers),
    )


def _broker_death_ms(headers: Mapping[str, object]) -> int:
    deaths = headers.get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    time = latest.get("time") if isinstance(latest, dict) else None
    return int(time.timestamp() * 1000) if isinstance(time, datetime) else 0


def choose(subscriptions: Sequence[Subscription], queue: str | None) -> list[Subscription]:
    """Return the subscriptions meant by `queue`: all for None; a work queue goes with or without `.dead`.

    Raises:
        UnknownQueue: there is no such queue.
    """
    if queue is None:
        return list(subscriptions)
    chosen = [s for s in subscriptions if s.queue == queue.removesuffix(DEAD_SUFFIX)]
    if not chosen:
        raise UnknownQueue(f"no queue {queue!r}; there are: {', '.join(s.queue for s in subscriptions)}")
    return chosen
