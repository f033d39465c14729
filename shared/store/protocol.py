"""What a job store's adapter must offer: rows with compare-and-set, and a few shared marks.

`JobStore` (in `shared.store.jobs`) is built on this narrow protocol, so SQLite, Redis, Upstash REST and the
in-memory adapter differ only here, and one conformance suite (`tests/conformance/test_store.py`) runs on all.

Every method raises `StoreUnavailable` when the backend does not answer; no third-party exception escapes.
Clients retry under the hood, so a write whose answer was lost may be executed twice. Each write therefore
carries a `token`, unique per logical write: a repeated write with the same token answers as the first did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

TOKEN_TTL_MS = 45 * 86_400_000
"""How long after its last change a book may forget the tokens it has seen: books can live much longer."""


@dataclass(frozen=True, slots=True)
class Row:
    """A job as the backend sees it: an opaque document and the few values it is indexed by.

    Attributes:
        id: job id.
        version: of the document, from 1.
        status: job status, for listing.
        created_at: ms; listing is newest first by this (then by id).
        due_at: ms; when the reconciler must look at the job; None when nothing is outstanding.
        expires_at: ms; when the finished job may be purged; None while it may not.
        document: JSON text.
    """

    id: str
    version: int
    status: str
    created_at: int
    due_at: int | None
    expires_at: int | None
    document: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first, and the cursor of the next page (None at the end)."""

    documents: tuple[str, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What counting came to.

    Attributes:
        refused: the counter that would have passed its cap, so that nothing was added at all; None if all was.
        amounts: the counters that were named, as they stand now.
    """

    refused: str | None
    amounts: Mapping[str, int]


class Backend(Protocol):
    """A place where jobs are kept. See the module's docstring for errors and retries."""

    async def open(self) -> None:
        """Connect and prepare the schema. Raises `StoreUnavailable` if that cannot be done."""

    async def close(self) -> None:
        """Let go of connections and files."""

    async def ping(self) -> None:
        """Return if the backend answers reads and accepts writes; else raise `StoreUnavailable`."""

    async def insert(self, row: Row, token: str) -> bool:
        """Store a new row. False if the id is taken (unless by this very `token`)."""

    async def load(self, job_id: str) -> tuple[int, str] | None:
        """Return (version, document), or None."""

    async def swap(self, row: Row, expected_version: int, token: str) -> bool:
        """Replace the row if its version is still `expected_version`; its indexes move along atomically.

        False if another write came between or the row is gone; True also when this very `token` did the
        write before (a retried command whose first answer was lost).
        """

    async def due(self, now_ms: int, limit: int) -> list[str]:
        """Ids with `due_at <= now_ms`, most overdue first. Cost must not grow with the number of other jobs."""

    async def expired(self, now_ms: int, limit: int) -> list[str]:
        """Ids with `expires_at <= now_ms`, oldest first."""

    async def delete(self, job_id: str) -> None:
        """Remove a row and its index entries; nothing happens if it is not there."""

    async def page(self, status: str | None, limit: int, cursor: str | None) -> Page:
        """List rows newest first, optionally of one status. Cost depends on `limit` only.

        Raises:
            ValueError: the cursor is not one of ours.
        """

    async def counts(self) -> dict[str, int]:
        """Number of rows by status; statuses without rows may be missing. Constant cost per status."""

    async def oldest_due_created_at(self) -> int | None:
        """`created_at` of the oldest row that still has a `due_at`, or None (for the age metric)."""

    async def claim(self, key: str, value: str, ttl_ms: int) -> str:
        """Set `key` to `value` if it is free or held by the same value (then its time to live is renewed).

        Returns the value that holds the key now: the caller owns the key iff it equals `value`. Used for
        locks and for idempotency.
        """

    async def release(self, key: str, value: str) -> None:
        """Free `key` if it holds `value`."""

    async def put_mark(self, key: str, value: str, ttl_ms: int) -> None:
        """Set a shared mark (a breaker, a pause) that disappears after `ttl_ms`."""

    async def get_mark(self, key: str) -> str | None:
        """Return a mark's value, or None if it is not set or its time has passed."""

    async def marks(self, prefix: str) -> dict[str, str]:
        """All living marks whose key starts with `prefix` (there are few: models, partners)."""

    async def take(self, bucket: str, limit: int, window_ms: int, now_ms: int, pause: str = "") -> int:
        """Take one permit of a sliding window shared by all processes: `limit` permits in any `window_ms`.

        None is granted while the mark `pause` stands, and the time to wait is what is left of it.

        Returns 0 when the permit was granted, else the milliseconds to wait before asking again (nothing
        was taken). Used for kie.ai's 20 orders per 10 s and Airtable's 5 requests per second.
        """

    async def tally(
        self,
        book: str,
        adds: Mapping[str, int],
        caps: Mapping[str, int],
        token: str | None,
        ttl_ms: int,
        token_ttl_ms: int = TOKEN_TTL_MS,
    ) -> Tally:
        """Add to several counters of `book` at once: all of them, or none if one would pass its cap.

        Used for what may be spent and what was used, shared by all processes.

        Args:
            book: counters that live and are read together, such as those of one day.
            adds: what to add, by counter; a counter that was never named is 0.
            caps: most that a counter of `adds` may come to; those not named have no cap. Adding nothing (or less)
                is never refused.
            token: adds once per book, however often it is repeated within `token_ttl_ms`; None adds every time.
            ttl_ms: the book disappears after this time without anything being added.
            token_ttl_ms: how long after its last change the book remembers its tokens, at least; at most as long as
                it lives.
        """

    async def amounts(self, book: str) -> dict[str, int]:
        """Return all counters of a book; empty if there is none."""
