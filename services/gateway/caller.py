"""Who asks, and how often they may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from services.gateway.errors import ApiError
from shared.clock import Clock
from shared.limits import ApiKey, KeyLimits
from shared.store.jobs import JobStore

WINDOW_MS = 60_000
BOOK_TTL_MS = 3 * WINDOW_MS
REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: of the API key; None while the API is open.
        address: where the request comes from, as far as we see.
    """

    name: str | None = None
    address: str = ""

    @property
    def identity(self) -> str:
        """What limits count by."""
        return f"key:{self.name}" if self.name is not None else f"address:{self.address}"


@dataclass(frozen=True)
class Access:
    """Who may ask, and the limits of each.

    Attributes:
        keys: any of these opens the API; empty means it is open.
        everybody: limits of the whole installation; its requests per minute are those of any one caller.
        by_key: limits of single keys, by name.
    """

    keys: Sequence[ApiKey] = ()
    everybody: KeyLimits = field(default_factory=KeyLimits)
    by_key: Mapping[str, KeyLimits] = field(default_factory=dict)

    def limits_of(self, caller: Caller) -> KeyLimits:
        """Return the limits of this caller alone."""
        return self.by_key.get(caller.name, KeyLimits()) if caller.name is not None else KeyLimits()

    def requests_per_minute(self, caller: Caller) -> int | None:
        """Return how many requests a minute the caller may make; None means any number."""
        return self.limits_of(caller).requests_per_minute or self.everybody.requests_per_minute


class RateLimit:
    """Counts requests by the minute, all replicas together, in the job store.

    A fixed window: its end is what the standard headers tell (`t`), and one round trip to the store counts and
    judges. Every backend has it, Upstash and SQLite too, which no rate-limiting library offers.
    """

    def __init__(self, store: JobStore, access: Access, clock: Clock) -> None:
        self._store = store
        self._access = access
        self._clock = clock

    async def count(self, caller: Caller) -> dict[str, str]:
        """Count a request; return the headers that say how many are left.

        Raises:
            ApiError: 429; too many in this minute.
            StoreUnavailable: nobody knows.
        """
        quota = self._access.requests_per_minute(caller)
        if quota is None:
            return {}
        window, into_ms = divmod(self._clock(), WINDOW_MS)
        wait_s = ceil((WINDOW_MS - into_ms) / 1000)
        tally = await self._store.tally(
            f"rate:{caller.identity}:{window}", {REQUESTS: 1}, caps={REQUESTS: quota}, token=None, ttl_ms=BOOK_TTL_MS
        )
        headers = {
            "RateLimit-Policy": f'"requests";q={quota};w={WINDOW_MS // 1000}',
            "RateLimit": f'"requests";r={quota - tally.amounts[REQUESTS]};t={wait_s}',
        }
        if tally.refused is not None:
            raise ApiError(
                429,
                "rate_limited",
                f"more than {quota} requests in a minute; try again in {wait_s} s",
                headers={**headers, "Retry-After": str(wait_s)},
            )
        return headers
