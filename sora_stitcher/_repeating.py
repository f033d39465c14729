"""When a request that failed is sent once more. Pure, but for the jitter."""

import random
from dataclasses import dataclass
from http import HTTPStatus

from sora_stitcher._calls import Call, T
from sora_stitcher.errors import (
    ApiError,
    BudgetExceeded,
    ClientError,
    Conflict,
    InvalidRequest,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
    Unreachable,
)

_AWAY = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""502 in the API's own words is Airtable refusing the gateway's token: asking again cannot help."""


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


class Tries:
    """The tries of one request: what came of the earlier ones decides what the newest means."""

    def __init__(self, call: Call[T], repeating: Repeating) -> None:
        self._call = call
        self._repeating = repeating
        self._tried = 0
        self._may_be_taken = False

    def pause_after(self, error: ClientError) -> float:
        """Take note of how the newest try failed; return how many seconds to wait before the next one.

        Raises:
            ClientError: the error, if trying again is unsafe, hopeless or would take too long. It carries the
                idempotency key if any of the tries may have been taken.
        """
        self._tried += 1
        self._may_be_taken = not _is_verdict(error) and (self._may_be_taken or _may_be_taken(error))
        may_repeat = self._call.is_repeatable and self._tried < self._repeating.tries
        pause_s = self._pause_s(error) if may_repeat else None
        if pause_s is None:
            if self._may_be_taken:
                error.idempotency_key = self._call.idempotency_key
            raise error
        return pause_s

    def _pause_s(self, error: ClientError) -> float | None:
        asked_s: float
        match error:
            case Unreachable() if self._may_be_taken:  # a gateway that dies answering is away for some moments
                asked_s = 0.0
            case Unavailable() if error.status in _AWAY or error.is_of_a_proxy:
                asked_s = error.retry_after_s or 0.0
            case RateLimited() if error.retry_after_s is not None:
                asked_s = error.retry_after_s
            case _:
                return None
        longest_s = self._repeating.longest_pause_s
        if asked_s > longest_s:
            return None
        usual_s = min(longest_s, self._repeating.pause_s * (1 << (self._tried - 1)))
        jitter: float = random.uniform(0.5, 1.0)  # noqa: S311 - apart, not secret
        return max(asked_s, usual_s * jitter)


def _may_be_taken(error: ClientError) -> bool:
    """Whether a request that failed so may have been taken all the same: its answer was lost, or what wrote it down."""
    match error:
        case Unreachable():
            return error.sent
        case Unavailable(status=HTTPStatus.BAD_GATEWAY):
            return error.is_of_a_proxy
        case ApiError():
            return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        case _:
            return False


def _is_verdict(error: ClientError) -> bool:
    """Whether the API refused the request for what it is: then it would have refused, or found, an earlier try too."""
    return isinstance(error, InvalidRequest | Unauthorized | BudgetExceeded | NotFound | Conflict)
