"""How many calls were made this month: Airtable allows so many per workspace and month (free plan 1,000, Team 100,000).

Counted before a call is sent, in the job store, so that all processes count together and a restart forgets nothing.
Only our own calls are known; people's scripts and other programs use up the same allowance. Which day the month
begins on is not documented: ours is the calendar's, in UTC.
"""

from collections.abc import Mapping
from typing import Protocol

from shared.airtable.limiter import Limiter
from shared.clock import Clock, now_ms
from shared.store.protocol import Tally
from shared.usage import day_of

KEPT_MS = 100 * 86_400_000
"""How long a month's count is kept after its last call."""


class Books(Protocol):
    """The part of `shared.store.protocol.Backend` that counts."""

    async def tally(
        self, book: str, adds: Mapping[str, int], caps: Mapping[str, int], token: str | None, ttl_ms: int
    ) -> Tally:
        """Add to counters of a book."""


class Amounts(Protocol):
    """The part of a store that shows counters: `shared.store.jobs.JobStore`, or a backend."""

    async def amounts(self, book: str) -> dict[str, int]:
        """Return all counters of a book."""


class CountedLimiter:
    """A limiter in front of which every call is counted.

    Args:
        limiter: says when a call may be made.
        books: where to count, shared by all processes.
        base_id: whose calls these are.
    """

    def __init__(self, limiter: Limiter, books: Books, base_id: str, *, clock: Clock = now_ms) -> None:
        self._limiter = limiter
        self._books = books
        self._base_id = base_id
        self._clock = clock

    async def acquire(self) -> None:
        """Return when a call may be made, which then counts as made.

        Raises:
            StoreUnavailable: the shared counters cannot be written.
        """
        await self._limiter.acquire()
        await self._books.tally(_book_of(self._clock()), {self._base_id: 1}, {}, None, KEPT_MS)

    async def pause(self, ms: int) -> None:
        """See `Limiter.pause`."""
        await self._limiter.pause(ms)


async def airtable_calls_this_month(store: Amounts, now: int) -> int:
    """Return how many calls all processes have made this month (calendar, UTC), to any base.

    Args:
        store: the job store, or its backend.
        now: Unix ms.

    Raises:
        StoreUnavailable: it does not answer.
    """
    return sum((await store.amounts(_book_of(now))).values())


def _book_of(ms: int) -> str:
    return f"airtable-calls:{day_of(ms)[:7]}"
