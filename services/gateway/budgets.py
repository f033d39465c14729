"""What may be ordered: by job, by day, by key, and how many jobs at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.gateway.caller import Access, Caller
from services.gateway.errors import ApiError
from shared.clock import Clock
from shared.job.model import JobStatus
from shared.limits import KeyLimits
from shared.store.jobs import JobStore
from shared.store.protocol import Tally
from shared.usage import THOUSAND, day_of

DAY_MS = 86_400_000
BOOK_TTL_MS = 2 * DAY_MS
QUEUE_RETRY_AFTER_S = 30


@dataclass(frozen=True, slots=True)
class Cost:
    """What is to be ordered: clips, and their estimated credits."""

    clips: int
    credits: float


@dataclass(frozen=True, slots=True)
class _Cap:
    what: str
    of: str
    limit: float
    wanted: float
    counter: str


class Budgets:
    """Reserves what a job may cost before it is made.

    An estimate is reserved, and stays reserved whatever the job comes to cost: a budget is a promise not to order
    more than this, not an account (that is `shared.usage`). Reservations are counted in the store, atomically, by
    day (UTC), once for every order however often the request is repeated.
    """

    def __init__(self, store: JobStore, access: Access, clock: Clock, *, max_unfinished: int | None) -> None:
        self._store = store
        self._access = access
        self._clock = clock
        self._max_unfinished = max_unfinished
        self._arriving = 0

    def check_job(self, caller: Caller, cost: Cost) -> None:
        """Refuse a job that is too much by itself.

        Raises:
            ApiError: 402.
        """
        for cap in self._job_caps(caller, cost):
            if cap.wanted > cap.limit:
                raise _exceeded(cap, cap.limit)

    async def check_left(self, caller: Caller, cost: Cost) -> None:
        """Refuse what does not fit into what is left of the day, without reserving anything.

        Raises:
            ApiError: 402.
        """
        caps = list(self._day_caps(caller, cost))
        if caps:
            taken = await self._store.amounts(self._book())
            for cap in caps:
                _require_left(cap, taken.get(cap.counter, 0))

    async def reserve(self, token: str, caller: Caller, cost: Cost) -> None:
        """Reserve the cost of an order, once per `token`.

        Raises:
            ApiError: 402; says what is left.
        """
        self.check_job(caller, cost)
        caps = {cap.counter: cap for cap in self._day_caps(caller, cost)}
        if not caps:
            return
        tally: Tally = await self._store.tally(
            self._book(),
            {name: _whole(cap.wanted) for name, cap in caps.items()},
            caps={name: _whole(cap.limit) for name, cap in caps.items()},
            token=token,
            ttl_ms=BOOK_TTL_MS,
        )
        if tally.refused is not None:
            cap = caps[tally.refused]
            raise _exceeded(cap, max(0.0, cap.limit - tally.amounts[tally.refused] / THOUSAND))

    async def enter_queue(self) -> None:
        """Refuse a job while too many are unfinished; call `leave_queue` once it is stored or given up.

        Exact within one replica; several may together exceed the limit by the few that arrive at the same moment.

        Raises:
            ApiError: 429.
        """
        if self._max_unfinished is not None:
            counts = await self._store.counts()
            unfinished = sum(count for status, count in counts.items() if not JobStatus(status).is_final)
            if unfinished + self._arriving >= self._max_unfinished:
                raise ApiError(
                    429,
                    "queue_full",
                    f"{unfinished} jobs are unfinished; at most {self._max_unfinished} are taken: try again later",
                    headers={"Retry-After": str(QUEUE_RETRY_AFTER_S)},
                )
        self._arriving += 1

    def leave_queue(self) -> None:
        """The job is stored, or will not be."""
        self._arriving -= 1

    def _book(self) -> str:
        return f"budget:{day_of(self._clock())}"

    def _job_caps(self, caller: Caller, cost: Cost) -> Iterator[_Cap]:
        for limits, whose, _ in self._limits(caller):
            if limits.max_clips_per_job is not None:
                yield _Cap("clips", f"a job{whose}", limits.max_clips_per_job, cost.clips, "")
            if limits.max_credits_per_job is not None:
                yield _Cap("credits", f"a job{whose}", limits.max_credits_per_job, cost.credits, "")

    def _day_caps(self, caller: Caller, cost: Cost) -> Iterator[_Cap]:
        for limits, whose, suffix in self._limits(caller):
            if limits.max_clips_per_day is not None:
                yield _Cap("clips", f"a day{whose}", limits.max_clips_per_day, cost.clips, f"clips{suffix}")
            if limits.max_credits_per_day is not None:
                yield _Cap("credits", f"a day{whose}", limits.max_credits_per_day, cost.credits, f"credits{suffix}")

    def _limits(self, caller: Caller) -> Iterator[tuple[KeyLimits, str, str]]:
        yield self._access.everybody, "", ""
        if caller.name is not None:
            yield self._access.limits_of(caller), f" of key {caller.name}", f"@{caller.name}"


def _whole(amount: float) -> int:
    return round(amount * THOUSAND)


def _require_left(cap: _Cap, taken: int) -> None:
    if cap.wanted > 0 and taken + _whole(cap.wanted) > _whole(cap.limit):
        raise _exceeded(cap, max(0.0, cap.limit - taken / THOUSAND))


def _exceeded(cap: _Cap, left: float) -> ApiError:
    detail: dict[str, Any] = {
        "field": cap.what,
        "message": f"{cap.wanted:g} wanted, {left:g} left",
        "wanted": cap.wanted,
        "left": left,
        "limit": cap.limit,
    }
    message = f"this takes about {cap.wanted:g} {cap.what}; of the {cap.limit:g} for {cap.of}, {left:g} are left"
    return ApiError(402, "budget_exceeded", message, details=[detail])
