"""A job store in this process's memory, for tests and simulations: the contract without a backend.

Written for clarity and as an independent model of what the real backends must do. Every call gives way to
other tasks once, as a real backend would, so that code which forgets compare-and-set fails here too.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from shared.clock import Clock, now_ms
from shared.store.cursors import Position, decode_cursor, encode_cursor
from shared.store.protocol import TOKEN_TTL_MS, Page, Row, Tally
from shared.store.tokens import is_remembered, remember

Entry = tuple[int, str]


class _Index:
    """Ids ordered by (time, id)."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, time: int | None, job_id: str) -> None:
        if time is not None:
            insort(self._entries, (time, job_id))

    def remove(self, time: int | None, job_id: str) -> None:
        if time is not None:
            del self._entries[bisect_left(self._entries, (time, job_id))]

    def until(self, time: int, limit: int) -> list[str]:
        end = bisect_left(self._entries, (time + 1, ""))
        return [job_id for _, job_id in self._entries[: min(end, limit)]]

    def below(self, position: Position | None) -> Iterator[Entry]:
        end = len(self._entries) if position is None else bisect_left(self._entries, tuple(position))
        return (self._entries[i] for i in range(end - 1, -1, -1))

    def first(self) -> Entry | None:
        return self._entries[0] if self._entries else None


class _Expiring:
    """Values that disappear after their time to live."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[str, tuple[str, int]] = {}

    def put(self, key: str, value: str, ttl_ms: int) -> None:
        self._values[key] = (value, self._clock() + ttl_ms)

    def get(self, key: str) -> str | None:
        return self.living().get(key)

    def expires_at(self, key: str) -> int:
        return self._values[key][1] if key in self._values else 0

    def drop(self, key: str) -> None:
        self._values.pop(key, None)

    def living(self) -> dict[str, str]:
        now = self._clock()
        self._values = {key: entry for key, entry in self._values.items() if entry[1] > now}
        return {key: value for key, (value, _) in self._values.items()}


@dataclass
class _Book:
    """Counters and the tokens they have seen."""

    expires_at: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)


class MemoryBackend:
    """`shared.store.protocol.Backend` on dictionaries; gone with the process.

    Args:
        clock: what claims and marks expire by; hand in the simulation's clock.
    """

    def __init__(self, clock: Clock = now_ms) -> None:
        self._rows: dict[str, tuple[Row, str]] = {}
        self._due = _Index()
        self._expiry = _Index()
        self._outstanding = _Index()
        self._listing: dict[str | None, _Index] = {None: _Index()}
        self._counts: Counter[str] = Counter()
        self._claims = _Expiring(clock)
        self._marks = _Expiring(clock)
        self._permits: dict[str, list[int]] = {}
        self._books: dict[str, _Book] = {}
        self._clock = clock

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Keep everything: a simulation may open the store again after a restart."""

    async def ping(self) -> None:
        """Memory always answers."""

    async def insert(self, row: Row, token: str) -> bool:
        """See `Backend.insert`."""
        await asyncio.sleep(0)
        stored = self._rows.get(row.id)
        if stored is not None:
            return is_remembered(token, stored[1])
        self._put(row, remember(token, ""))
        return True

    async def load(self, job_id: str) -> tuple[int, str] | None:
        """See `Backend.load`."""
        await asyncio.sleep(0)
        stored = self._rows.get(job_id)
        return None if stored is None else (stored[0].version, stored[0].document)

    async def swap(self, row: Row, expected_version: int, token: str) -> bool:
        """See `Backend.swap`."""
        await asyncio.sleep(0)
        stored = self._rows.get(row.id)
        if stored is None:
            return False
        before, tokens = stored
        if is_remembered(token, tokens):
            return True
        if before.version != expected_version:
            return False
        self._remove(before)
        self._put(row, remember(token, tokens))
        return True

    async def due(self, now_ms: int, limit: int) -> list[str]:
        """See `Backend.due`."""
        await asyncio.sleep(0)
        return self._due.until(now_ms, limit)

    async def expired(self, now_ms: int, limit: int) -> list[str]:
        """See `Backend.expired`."""
        await asyncio.sleep(0)
        return self._expiry.until(now_ms, limit)

    async def delete(self, job_id: str) -> None:
        """See `Backend.delete`."""
        await asyncio.sleep(0)
        stored = self._rows.get(job_id)
        if stored is not None:
            self._remove(stored[0])

    async def page(self, status: str | None, limit: int, cursor: str | None) -> Page:
        """See `Backend.page`."""
        position = None if cursor is None else decode_cursor(cursor)
        await asyncio.sleep(0)
        index = self._listing.get(status)
        entries = [] if index is None else list(islice(index.below(position), limit + 1))
        shown = entries[:limit]
        documents = tuple(self._rows[job_id][0].document for _, job_id in shown)
        return Page(documents, encode_cursor(Position(*shown[-1])) if len(entries) > limit else None)

    async def counts(self) -> dict[str, int]:
        """See `Backend.counts`."""
        await asyncio.sleep(0)
        return {status: count for status, count in self._counts.items() if count}

    async def oldest_due_created_at(self) -> int | None:
        """See `Backend.oldest_due_created_at`."""
        await asyncio.sleep(0)
        first = self._outstanding.first()
        return None if first is None else first[0]

    async def claim(self, key: str, value: str, ttl_ms: int) -> str:
        """See `Backend.claim`."""
        await asyncio.sleep(0)
        holder = self._claims.get(key)
        if holder is not None and holder != value:
            return holder
        self._claims.put(key, value, ttl_ms)
        return value

    async def release(self, key: str, value: str) -> None:
        """See `Backend.release`."""
        await asyncio.sleep(0)
        if self._claims.get(key) == value:
            self._claims.drop(key)

    async def put_mark(self, key: str, value: str, ttl_ms: int) -> None:
        """See `Backend.put_mark`."""
        await asyncio.sleep(0)
        self._marks.put(key, value, ttl_ms)

    async def get_mark(self, key: str) -> str | None:
        """See `Backend.get_mark`."""
        await asyncio.sleep(0)
        return self._marks.get(key)

    async def marks(self, prefix: str) -> dict[str, str]:
        """See `Backend.marks`."""
        await asyncio.sleep(0)
        return {key: value for key, value in self._marks.living().items() if key.startswith(prefix)}

    async def take(self, bucket: str, limit: int, window_ms: int, now_ms: int, pause: str = "") -> int:
        """See `Backend.take`."""
        await asyncio.sleep(0)
        if (paused_ms := self._marks.expires_at(pause) - now_ms) > 0:
            return paused_ms
        # A permit from further ahead than a window was given out by a clock that has been set back since.
        taken = [at for at in self._permits.get(bucket, []) if now_ms - window_ms < at <= now_ms + window_ms]
        self._permits[bucket] = taken
        if len(taken) >= limit:
            return taken[len(taken) - limit] + window_ms - now_ms
        taken.insert(bisect_right(taken, now_ms), now_ms)
        return 0

    async def tally(
        self,
        book: str,
        adds: Mapping[str, int],
        caps: Mapping[str, int],
        token: str | None,
        ttl_ms: int,
        token_ttl_ms: int = TOKEN_TTL_MS,
    ) -> Tally:
        """See `Backend.tally`."""
        await asyncio.sleep(0)
        kept = self._living_book(book) or _Book()
        sums = {name: kept.counters.get(name, 0) + amount for name, amount in adds.items()}
        now = {name: kept.counters.get(name, 0) for name in adds}
        if token is not None and token in kept.tokens:
            return Tally(None, now)
        for name in adds:
            if name in caps and adds[name] > 0 and sums[name] > caps[name]:
                return Tally(name, now)
        kept.counters |= sums
        kept.tokens |= {token} if token is not None else set()
        kept.expires_at = self._clock() + ttl_ms
        self._books[book] = kept
        return Tally(None, sums)

    async def amounts(self, book: str) -> dict[str, int]:
        """See `Backend.amounts`."""
        await asyncio.sleep(0)
        kept = self._living_book(book)
        return {} if kept is None else dict(kept.counters)

    def _living_book(self, book: str) -> _Book | None:
        kept = self._books.get(book)
        return kept if kept is not None and kept.expires_at > self._clock() else None

    def _put(self, row: Row, tokens: str) -> None:
        self._rows[row.id] = (row, tokens)
        self._due.add(row.due_at, row.id)
        self._expiry.add(row.expires_at, row.id)
        self._outstanding.add(row.created_at if row.due_at is not None else None, row.id)
        for key in (None, row.status):
            self._listing.setdefault(key, _Index()).add(row.created_at, row.id)
        self._counts[row.status] += 1

    def _remove(self, row: Row) -> None:
        del self._rows[row.id]
        self._due.remove(row.due_at, row.id)
        self._expiry.remove(row.expires_at, row.id)
        self._outstanding.remove(row.created_at if row.due_at is not None else None, row.id)
        for key in (None, row.status):
            self._listing[key].remove(row.created_at, row.id)
        self._counts[row.status] -= 1
