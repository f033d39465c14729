"""When a request that failed is sent once more. Pure, but for the jitter."""

import random
from dataclasses import dataclass
from typing import TypeVar

from sora_stitcher._calls import Call
from sora_stitcher.errors import ClientError, RateLimited, Unavailable, Unreachable

T = TypeVar("T")

_AWAY = (503, 504)
"""502 is Airtable refusing the gateway's token: asking again cannot help."""


@dataclass(frozen=True, slots=True)
class Repeating:
    """How often, and after which pauses, requests that are safe to repeat are repeated.

    Orders and new takes carry an idempotency key, and what changes a job does nothing twice: so they are repeated
    after a lost answer too. Looks are not repeated here: `watch` and `wait` bear outages, and others want to know.

    Attributes:
        tries: in all; 1 repeats nothing.
        pause_s: before the first repetition; doubled before each further one.
        longest_pause_s: a system that asks to be left alone for longer (`Retry-After`) is not waited for.
    """

    tries: int = 4
    pause_s: float = 0.5
    longest_pause_s: float = 5.0

    def pause_after(self, call: Call[T], tried: int, error: ClientError) -> float:
        """Return how many seconds to wait before trying again.

        Args:
            call: what was asked.
            tried: how often, so far.
            error: what came of it.

        Raises:
            ClientError: the error, if trying again is unsafe, hopeless or would take too long.
        """
        pause_s = self._pause_s(tried, error) if call.is_repeatable and tried < self.tries else None
        if pause_s is None:
            if isinstance(error, Unreachable | Unavailable):
                error.idempotency_key = call.idempotency_key
            raise error
        return pause_s

    def _pause_s(self, tried: int, error: ClientError) -> float | None:
        asked_s: float
        match error:
            case Unreachable(sent=True):
                asked_s = 0.0
            case Unavailable() if error.status in _AWAY:
                asked_s = error.retry_after_s or 0.0
            case RateLimited() if error.retry_after_s is not None:
                asked_s = error.retry_after_s
            case _:
                return None
        if asked_s > self.longest_pause_s:
            return None
        usual_s = min(self.longest_pause_s, self.pause_s * (1 << (tried - 1)))
        jitter: float = random.uniform(0.5, 1.0)  # noqa: S311 - apart, not secret
        return max(asked_s, usual_s * jitter)
