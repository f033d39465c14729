"""Keeps promises: publishes again what is outstanding, enforces deadlines, purges what has expired.

Runs in every process of every deployment; a lock in the store lets one work at a time, and two at once would
do no harm. It looks only at jobs that are due, so its cost does not grow with the number of others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from shared import metrics
from shared.airtable.quota import airtable_calls_this_month
from shared.artifacts.protocol import ArtifactStore
from shared.aside import PAUSE_MS, Aside
from shared.clock import Clock, now_ms
from shared.emitter import Emitter
from shared.errors import DependencyDown, JobNotFound, StitcherError
from shared.events import EventName
from shared.job.film import fail
from shared.job.model import Failure, Job, JobStatus
from shared.job.outstanding import Nudge, nudged, outstanding, overdue, postponed
from shared.job.policy import Policy
from shared.store.jobs import JobStore

log = structlog.get_logger(__name__)

LOCK = "reconciler"
BATCH = 200
CONCURRENCY = 8
SURE_EVERY = 4
"""Of so many looks at a job that waits in a long queue, one publishes all the same."""
WATCHED = "reconciler:watched"
"""The mark that says when somebody last reconciled, and from when deadlines count after nobody did; both in ms."""
WATCHED_TTL_MS = 30 * 86_400_000
NOTE_EVERY_MS = 10_000
ABSENT_AFTER_MS = 30_000
"""Nobody has reconciled for so long: the store was away, the machine asleep, or everything stopped."""
SWEEP_EVERY_MS = 600_000
COUNT_EVERY_MS = 15_000
"""As often as Prometheus asks; a hosted store bills every command."""
PURGE_FOR_S = 1.0
"""No purge begins later than this in a round: jobs that wait for their next step come first."""
PURGE_PATIENCE_S = 3.0
"""A purge that takes longer is cut off. What it has deleted is gone, and a later one goes on from there."""
ABANDONED_AFTER_S = 3_600.0
"""No step takes this long to put a file into the artifact store."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What one round did; `unpurged` are the jobs whose files could not be deleted."""

    looked_at: int = 0
    published: int = 0
    failed: int = 0
    purged: int = 0
    unpurged: int = 0


class Reconciler:
    """One reconciler; see the module's docstring."""

    def __init__(
        self,
        store: JobStore,
        emitter: Emitter,
        artifacts: ArtifactStore,
        policy: Policy,
        *,
        owner: str,
        every_ms: int,
        clock: Clock = now_ms,
        crowds: Callable[[], Awaitable[Collection[EventName]]] | None = None,
    ) -> None:
        self._store = store
        self._emitter = emitter
        self._artifacts = artifacts
        self._policy = policy
        self._owner = owner
        self._every_ms = every_ms
        self._clock = clock
        self._crowds = crowds
        self._crowded: Collection[EventName] = ()
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._aside = Aside(clock)
        self._noted_at = 0
        self._deadlines_from = 0
        self._undeletable = Aside(clock)
        self._sweep_at = 0
        self._count_at = 0
        self._counts: Mapping[JobStatus, int] = {}
        self._airtable_calls = 0

    async def run(self) -> None:
        """Work until cancelled. An unreachable dependency is waited out."""
        while True:
            try:
                await self.tick()
            except DependencyDown as down:
                log.warning("reconciler waits", dependency=down.dependency, problem=str(down))
            await asyncio.sleep(self._every_ms / 1000)

    async def tick(self) -> Tick:
        """Do one round if the lock is ours."""
        ttl_ms = max(5_000, 5 * self._every_ms)
        if await self._store.claim(LOCK, self._owner, ttl_ms) != self._owner:
            self._show({}, 0, None)
            return Tick()
        await self._notice_absence()
        due = self._aside.chosen(await self._store.due(BATCH + len(self._aside)), BATCH)
        self._crowded = await self._crowds() if due and self._crowds is not None else ()
        rounds = await asyncio.gather(*(self._reconcile_safely(job_id) for job_id in due))
        await self._measure()
        purged, unpurged = await self._purge()
        await self._sweep()
        return Tick(
            looked_at=len(due),
            published=sum(published for published, _ in rounds),
            failed=sum(failed for _, failed in rounds),
            purged=purged,
            unpurged=unpurged,
        )

    async def _notice_absence(self) -> None:
        """Now and then, note that somebody reconciles, and find out whether nobody did: see `_is_excused`."""
        now = self._clock()
        if 0 <= now - self._noted_at < NOTE_EVERY_MS:
            return
        known = await self._store.get_mark(WATCHED)
        seen_at, self._deadlines_from = map(int, known.split()) if known is not None else (now, 0)
        if now - seen_at > ABSENT_AFTER_MS:
            self._deadlines_from = now + PAUSE_MS
            log.warning(
                "nobody reconciled: jobs that are overdue get one more chance", absent_s=(now - seen_at) // 1000
            )
        await self._store.put_mark(WATCHED, f"{now} {self._deadlines_from}", WATCHED_TTL_MS)
        self._noted_at = now

    def _is_excused(self, job: Job, now: int) -> bool:
        """Whether a job that is overdue gets one more chance: nobody looked after it while its time ran out.

        Its clips may have been made meanwhile, and are paid for. It is asked for what is outstanding, put aside, and
        fails as any other if it has come no closer to its end when it is met again.
        """
        return now < self._deadlines_from and job.status is not JobStatus.REVIEW

    async def _measure(self) -> None:
        """Now and then, count the jobs and this month's calls to Airtable; how old the oldest is, every time."""
        now = self._clock()
        if now >= self._count_at:
            self._count_at = now + COUNT_EVERY_MS
            self._counts = await self._store.counts()
            self._airtable_calls = await airtable_calls_this_month(self._store, now)
        self._show(self._counts, self._airtable_calls, await self._store.oldest_due_created_at())

    def _show(self, counts: Mapping[JobStatus, int], airtable_calls: int, oldest: int | None) -> None:
        """Show what we know; nothing where another process keeps watch, so that the maximum of all is right."""
        metrics.AIRTABLE_MONTH.set(airtable_calls)
        metrics.OLDEST_UNFINISHED.set((self._clock() - oldest) / 1000 if oldest is not None else 0)
        for status in JobStatus:
            metrics.JOBS.labels(status).set(counts.get(status, 0))

    async def _reconcile_safely(self, job_id: str) -> tuple[int, int]:
        """Do `_reconcile`; a job that it fails for (an unreadable document, say) is put aside, and the others go on."""
        self._aside.take_back(job_id)
        try:
            async with self._slots:
                return await self._reconcile(job_id)
        except DependencyDown as down:
            log.warning("job not reconciled now", job=job_id, dependency=down.dependency, problem=str(down))
        except StitcherError as error:
            log.error("job cannot be reconciled", job=job_id, problem=str(error))  # noqa: TRY400 - it says it all
            self._aside.put(job_id)
        return 0, 0

    async def _reconcile(self, job_id: str) -> tuple[int, int]:
        """Return how many events were published and whether the job was failed (0 or 1)."""
        wanted: tuple[Nudge, ...] = ()
        failure: Failure | None = None

        def decide(job: Job) -> Job:
            nonlocal wanted, failure
            now = self._clock()
            failure = overdue(job, now, self._policy)
            is_sure = failure is not None and self._is_excused(job, now)
            if is_sure:
                failure, job = None, job.but(nudges=0)
                self._aside.put(job_id)
            if failure is not None:
                return fail(job, failure=failure, now=now)
            found = outstanding(job, now, self._policy)
            # Now and then it is asked for all the same: a message may be lost although its queue is long.
            is_sure = is_sure or (job.nudges + 1) % SURE_EVERY == 0
            wanted = tuple(nudge for nudge in found if is_sure or nudge.payload.name not in self._crowded)
            if found and not wanted:
                return postponed(job, now)
            # Without anything outstanding the index was stale (other settings, say): writing refreshes it.
            return nudged(job, now) if wanted else job.but()

        try:
            job = await self._store.update(job_id, decide)
        except JobNotFound:
            return 0, 0
        if failure is not None:
            log.warning("job failed for want of progress", job=job_id, code=failure.code)
            await self._emitter.ended(job)
            return 1, 1
        published = 0
        for nudge in wanted:
            published += await self._emitter.nudge(job, nudge)
            metrics.NUDGES.labels(nudge.payload.name).inc()
        return published, 0

    async def _purge(self) -> tuple[int, int]:
        """Purge what has expired, oldest first; return how many jobs are gone, and how many could not be purged."""
        expired = await self._store.expired(BATCH + len(self._undeletable))
        loop = asyncio.get_running_loop()
        until = loop.time() + PURGE_FOR_S
        purged = unpurged = 0
        for job_id in self._undeletable.chosen(expired, BATCH):
            counted = await self._purge_safely(job_id)
            purged, unpurged = purged + counted[0], unpurged + counted[1]
            if loop.time() >= until:
                break  # the next round goes on
        return purged, unpurged

    async def _purge_safely(self, job_id: str) -> tuple[int, int]:
        """Do `_purge_job`; a job that it fails for (a locked file, say) is put aside, and the others go on."""
        try:
            async with asyncio.timeout(PURGE_PATIENCE_S):
                purged = await self._purge_job(job_id)
        except TimeoutError:
            log.warning("finished job not purged yet", job=job_id, problem=f"not done within {PURGE_PATIENCE_S:g} s")
        except DependencyDown as down:
            log.warning("finished job not purged yet", job=job_id, dependency=down.dependency, problem=str(down))
        except StitcherError as error:
            log.error("finished job cannot be purged", job=job_id, problem=str(error))  # noqa: TRY400 - it says it all
        else:
            self._undeletable.take_back(job_id)
            return purged, 0
        self._undeletable.put(job_id)
        return 0, 1

    async def _purge_job(self, job_id: str) -> int:
        """Delete the job and its files; return how many jobs that were: none if its time is not over any more."""
        if not await self._store.begin_purge(job_id):
            return 0  # somebody has asked for a retry since the list was made
        # The document goes last: should this process die, whoever comes next finds by it what is to be deleted.
        await self._artifacts.delete_prefix(f"jobs/{job_id}/")
        await self._store.delete(job_id)
        log.info("finished job purged", job=job_id)
        return 1

    async def _sweep(self) -> None:
        """Now and then, remove what killed processes left half-written in the artifact store."""
        now = self._clock()
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_EVERY_MS
        removed = await self._artifacts.sweep_temporary(ABANDONED_AFTER_S)
        if removed:
            log.info("half-written files removed", files=removed)
