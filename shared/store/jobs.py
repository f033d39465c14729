"""The job store as services use it: jobs in, jobs out, changes only by pure transitions.

    job = await store.update(job_id, lambda job: take_lease(job, owner, now))

`update` applies the transition to the job, and writes the result if nobody else wrote in between; else it starts over.
A transition is therefore called several times at most, must be pure, and must return the very same object when there
is nothing to change. The first try may be at a document that this process read or wrote a moment ago (`recent`), which
saves a round trip; what such a try refuses, or leaves as it is, is asked of the store itself.
"""

import asyncio
import json
import logging
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from pydantic import ValidationError

from shared.clock import Clock, now_ms
from shared.errors import JobExists, JobNotFound, StitcherError, StoreUnavailable
from shared.job.model import Job, JobStatus
from shared.store.protocol import TOKEN_TTL_MS, Backend, Row, Tally
from shared.store.recent import Known, Recent
from shared.usage import USAGE_TTL_MS, Use, adds_of, book_of, day_of, new_uses, uses

log = logging.getLogger(__name__)

Transition = Callable[[Job], Job]

MAX_TRIES = 50
"""Writes of one job that may come in between before `update` gives up."""
FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.25
PATIENCE_S = 10.0
"""How long an update lets others of the same job and process go first."""


class DocumentUnreadable(StitcherError):
    """A stored job document does not fit this version's model, or is damaged.

    The job is left as it is. Look at it with the store's own tools, or start the version that wrote it.
    """

    def __init__(self, job_id: str, problem: str) -> None:
        super().__init__(f"job {job_id}: its stored document cannot be read: {problem}")
        self.job_id = job_id


class JobStore:
    """Jobs on a backend.

    All methods raise `StoreUnavailable` when the backend does not answer.

    Args:
        backend: where the jobs are kept.
        due_at: when the reconciler must look at a job (ms), or None; computed with every write.
        expires_at: when a job may be purged (ms), or None; computed with every write.
        clock: what `updated_at`, `due`, `expired` and `take` go by.
        job_ttl_ms: how long finished jobs are kept, so that what they used is remembered as counted until then.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        due_at: Callable[[Job], int | None],
        expires_at: Callable[[Job], int | None],
        clock: Clock = now_ms,
        job_ttl_ms: int = 0,
    ) -> None:
        self._backend = backend
        self._counted_for_ms = min(USAGE_TTL_MS, job_ttl_ms + TOKEN_TTL_MS)
        self._due_at = due_at
        self._expires_at = expires_at
        self._clock = clock
        self._turns = _Turns()
        self._recent = Recent()

    async def open(self) -> None:
        """Connect and prepare the schema."""
        await self._backend.open()

    async def close(self) -> None:
        """Let go of connections and files."""
        await self._backend.close()

    async def ping(self) -> None:
        """Return if the backend answers reads and accepts writes."""
        await self._backend.ping()

    async def create(self, job: Job) -> Job:
        """Store a new job as version 1 and return it.

        Raises:
            JobExists: the id is taken.
        """
        created = job.but(version=1)
        if not await self._backend.insert(self._row(created), uuid.uuid4().hex):
            raise JobExists(job.id)
        return created

    async def get(self, job_id: str) -> Job:
        """Return the job.

        Raises:
            JobNotFound: there is none.
            DocumentUnreadable: it cannot be parsed.
        """
        return _job(await self._load(job_id), job_id)

    async def update(self, job_id: str, transition: Transition) -> Job:
        """Apply `transition` to the job and store the result; return the job as it stands then.

        When the transition returns its argument itself, nothing is written. `version` and `updated_at` are
        set here. What the transition raises passes through, and nothing is written.

        Raises:
            JobNotFound: there is no such job (any more).
            DocumentUnreadable: it cannot be parsed.
            StoreUnavailable: no answer (the write may have happened), or too many writes came in between.
        """
        async with self._turns.of(job_id):
            return await self._compare_and_set(job_id, transition)

    async def due(self, limit: int) -> list[str]:
        """Ids of jobs the reconciler must look at now, most overdue first."""
        return await self._backend.due(self._clock(), limit)

    async def expired(self, limit: int) -> list[str]:
        """Ids of finished jobs whose time is over, oldest first."""
        return await self._backend.expired(self._clock(), limit)

    async def begin_purge(self, job_id: str) -> bool:
        """Write down that the job is to be deleted, so that nobody revives it meanwhile, and return True.

        False if its time is not over (any more), or it is gone; its index is made right. A document that cannot be
        read is nothing that could be revived.
        """

        def doomed(job: Job) -> Job:
            if job.purging:
                return job
            expires_at = self._expires_at(job)
            return job.but(purging=expires_at is not None and expires_at <= self._clock())

        try:
            return (await self.update(job_id, doomed)).purging
        except JobNotFound:
            return False
        except DocumentUnreadable:
            return True

    async def delete(self, job_id: str) -> None:
        """Forget a job, once all it has used is counted; nothing happens if there is none.

        What is so old that nobody remembers any more whether it was counted is taken to be.
        """
        stored = await self._backend.load(job_id)
        if stored is None:
            return
        oldest = day_of(self._clock() - self._counted_for_ms)
        try:
            await self._count(use for use in uses(_parse(stored[1], job_id)) if use.day > oldest)
        except DocumentUnreadable as error:
            log.error("what it used cannot be counted: %s", error)  # noqa: TRY400  (the message says it all)
        await self._backend.delete(job_id)

    async def page(
        self, status: JobStatus | None = None, limit: int = 20, cursor: str | None = None
    ) -> tuple[list[Job], str | None]:
        """List jobs newest first; return them and the cursor of the next page (None at the end).

        A job whose document cannot be read is left out and logged, so that it does not hide the others.

        Raises:
            ValueError: the cursor is not one of ours.
        """
        page = await self._backend.page(status, limit, cursor)
        jobs = []
        for document in page.documents:
            try:
                jobs.append(_parse(document, _id_in(document)))
            except DocumentUnreadable as error:
                log.error("left out of a listing: %s", error)  # noqa: TRY400  (the message says it all)
        return jobs, page.cursor

    async def counts(self) -> dict[JobStatus, int]:
        """Number of jobs in every status."""
        counts = await self._backend.counts()
        return {status: counts.get(status, 0) for status in JobStatus}

    async def oldest_due_created_at(self) -> int | None:
        """`created_at` of the oldest job with something outstanding, or None."""
        return await self._backend.oldest_due_created_at()

    async def claim(self, key: str, value: str, ttl_ms: int) -> str:
        """Set `key` to `value` if it is free or already that; return what it is now. See `Backend.claim`."""
        return await self._backend.claim(key, value, ttl_ms)

    async def release(self, key: str, value: str) -> None:
        """Free `key` if it holds `value`."""
        await self._backend.release(key, value)

    async def put_mark(self, key: str, value: str, ttl_ms: int) -> None:
        """Set a mark that all processes see and that disappears after `ttl_ms`."""
        await self._backend.put_mark(key, value, ttl_ms)

    async def get_mark(self, key: str) -> str | None:
        """Return a mark's value, or None."""
        return await self._backend.get_mark(key)

    async def marks(self, prefix: str) -> dict[str, str]:
        """All living marks whose key starts with `prefix`."""
        return await self._backend.marks(prefix)

    async def take(self, bucket: str, limit: int, window_ms: int) -> int:
        """Take a permit of a window shared by all processes; 0, or how many ms to wait. See `Backend.take`."""
        return await self._backend.take(bucket, limit, window_ms, self._clock())

    async def tally(
        self, book: str, adds: Mapping[str, int], *, caps: Mapping[str, int], token: str | None, ttl_ms: int
    ) -> Tally:
        """Add to counters that all processes share: to all, or to none if one would pass its cap."""
        return await self._backend.tally(book, adds, caps, token, ttl_ms)

    async def amounts(self, book: str) -> dict[str, int]:
        """All counters of a book."""
        return await self._backend.amounts(book)

    async def _compare_and_set(self, job_id: str, transition: Transition) -> Job:
        known = self._recent.take(job_id)
        if known is not None and (changed := await self._guessed(job_id, known, transition)) is not None:
            return changed
        for attempt in range(MAX_TRIES):
            stored = await self._load(job_id)
            job = _job(stored, job_id)
            changed = transition(job)
            if changed is job:
                return job
            if (written := await self._write(job, changed, stored.version)) is not None:
                return written
            await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)))  # noqa: S311
        raise StoreUnavailable(f"job {job_id}: {MAX_TRIES} other writes came in between; try again")

    async def _guessed(self, job_id: str, known: Known, transition: Transition) -> Job | None:
        """Apply the transition to what the store is likely to hold; None if only the store itself can tell."""
        try:
            job = _job(known, job_id)
            changed = transition(job)
        except Exception:  # noqa: BLE001 - raised again, if it is true of what the store really holds
            return None
        return None if changed is job else await self._write(job, changed, known.version)

    async def _load(self, job_id: str) -> Known:
        stored = await self._backend.load(job_id)
        if stored is None:
            raise JobNotFound(job_id)
        known = Known(*stored)
        self._recent.note(job_id, known)
        return known

    async def _write(self, job: Job, changed: Job, version: int) -> Job | None:
        """Replace this version; None if another write came in between."""
        changed = changed.but(version=version + 1, updated_at=self._clock())
        row = self._row(changed)
        if not await self._backend.swap(row, version, uuid.uuid4().hex):
            return None
        self._recent.note(changed.id, Known(changed.version, row.document))
        await self._count_now(new_uses(job, changed))
        return changed

    async def _count_now(self, found: Iterable[Use]) -> None:
        """Count, but never fail a write that was done: `delete` makes up for what is not counted now."""
        try:
            await self._count(found)
        except StoreUnavailable as down:
            log.warning("usage is counted later: %s", down)

    async def _count(self, found: Iterable[Use]) -> None:
        for use in found:
            book = book_of(use.day)
            await self._backend.tally(book, adds_of(use), {}, use.token, USAGE_TTL_MS, self._counted_for_ms)

    def _row(self, job: Job) -> Row:
        return Row(
            id=job.id,
            version=job.version,
            status=job.status,
            created_at=job.created_at,
            due_at=self._due_at(job),
            expires_at=self._expires_at(job),
            document=written(job),
        )


def written(job: Job) -> str:
    """Return the job as its document in the store.

    What has its default is left out: half of a job in flight. So defaults must not change any more, which
    `tests/golden/defaults.json` holds them to.
    """
    return job.model_dump_json(exclude_defaults=True)


class _Turns:
    """Lets a process's updates of one job go one after the other.

    Only a courtesy that saves repeated work (a film's clips become ready together; over REST, a hundred
    updates at once took 30 s by conflicts alone, and 2 s in turn). What protects the job is compare-and-set,
    so whoever has waited long enough goes ahead.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, job_id: str) -> AsyncIterator[None]:
        lock = self._locks.get(job_id)
        if lock is None:
            lock = self._locks[job_id] = asyncio.Lock()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await lock.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            lock.release()


def _job(known: Known, job_id: str) -> Job:
    if known.job is None:
        known.job = _parse(known.document, job_id)
    return known.job


def _parse(document: str, job_id: str) -> Job:
    try:
        return Job.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise DocumentUnreadable(job_id, f"{where}: {first['msg']}") from error


def _id_in(document: str) -> str:
    try:
        return str(json.loads(document)["id"])
    except (ValueError, KeyError, TypeError):
        return "(its id cannot be read either)"
