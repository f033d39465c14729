"""What becomes of a message after its handler ended: one pure decision for every bus."""

from dataclasses import dataclass
from random import Random

from shared.bus.delays import backoff_s
from shared.bus.protocol import Delivery, Reject, Retry, Subscription

REASON_MAX_CHARS = 500


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The message is done."""


@dataclass(frozen=True, slots=True)
class Redeliver:
    """The message comes again after `delay_s` seconds as attempt number `attempt`."""

    delay_s: float
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Bury:
    """The message goes to the dead letters."""

    reason: str


Outcome = Acknowledge | Redeliver | Bury


def describe(error: BaseException) -> str:
    """Return `error` as one line for a person, no longer than `REASON_MAX_CHARS`."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return (f"{name}: {text}" if text else name)[:REASON_MAX_CHARS]


def after_error(
    error: BaseException, delivery: Delivery, subscription: Subscription, random: Random
) -> Redeliver | Bury:
    """Decide about a delivery whose handler raised `error`.

    A counted `Retry` is a failed attempt like any other: at `max_attempts` it is the end, too.
    """
    if isinstance(error, Reject):
        return Bury(error.reason[:REASON_MAX_CHARS])
    if isinstance(error, Retry) and not error.counts:
        return Redeliver(max(0.0, error.after_s), delivery.attempt, str(error))
    if delivery.attempt >= subscription.max_attempts:
        reason = str(error) if isinstance(error, Retry) else describe(error)
        return Bury(f"gave up after {delivery.attempt} attempts: {reason}"[:REASON_MAX_CHARS])
    if isinstance(error, Retry):
        return Redeliver(max(0.0, error.after_s), delivery.attempt + 1, str(error))
    delay_s = backoff_s(delivery.attempt, subscription.backoff_s, subscription.backoff_max_s, random)
    return Redeliver(delay_s, delivery.attempt + 1, describe(error))


def after_failed_burial(
    error: BaseException, delivery: Delivery, subscription: Subscription, random: Random
) -> Redeliver:
    """Decide about a message whose `on_dead` raised `error`: it is not lost, but tried again as the same attempt."""
    if isinstance(error, Retry):
        delay_s = max(0.0, error.after_s)
    else:
        delay_s = backoff_s(delivery.attempt, subscription.backoff_s, subscription.backoff_max_s, random)
    return Redeliver(delay_s, delivery.attempt, f"on_dead failed: {describe(error)}"[:REASON_MAX_CHARS])
