"""Keeps promises: publishes again what is outstanding, enforces deadlines, purges what has expired.

Runs in every process of every deployment; a lock in the store lets one work at a time, and two at once would
do no harm. It looks only at jobs that are due, so its cost does not grow with the number of others.
"""

import asyncio
from dataclasses import dataclass

import structlog

from shared import metrics
from shared.artifacts.protocol import ArtifactStore
from shared.clock import Clock, now_ms
from shared.emitter import Emitter
from shared.errors import DependencyDown, JobNotFound
from shared.job.film import fail
from shared.job.model import Job
from shared.job.outstanding import Nudge, nudged, outstanding, overdue
from shared.job.policy import Policy
from shared.store.jobs import JobStore

log = structlog.get_logger(__name__)

LOCK = "reconciler"
BATCH = 200
CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """What one round did."""

    looked_at: int = 0
    published: int = 0
    failed: int = 0
    purged: int = 0


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
    ) -> None:
        self._store = store
        self._emitter = emitter
        self._artifacts = artifacts
        self._policy = policy
        self._owner = owner
        self._every_ms = every_ms
        self._clock = clock
        self._slots = asyncio.Semaphore(CONCURRENCY)

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
            return Tick()
        due = await self._store.due(BATCH)
        async with asyncio.TaskGroup() as group:
            rounds = [group.create_task(self._reconcile(job_id)) for job_id in due]
        purged = await self._purge()
        oldest = await self._store.oldest_due_created_at()
        metrics.OLDEST_UNFINISHED.set((self._clock() - oldest) / 1000 if oldest is not None else 0)
        return Tick(
            looked_at=len(due),
            published=sum(done.result()[0] for done in rounds),
            failed=sum(done.result()[1] for done in rounds),
            purged=purged,
        )

    async def _reconcile(self, job_id: str) -> tuple[int, int]:
        """Return how many events were published and whether the job was failed (0 or 1)."""
        wanted: tuple[Nudge, ...] = ()

        def decide(job: Job) -> Job:
            nonlocal wanted
            now = self._clock()
            failure = overdue(job, now, self._policy)
            if failure is not None:
                wanted = ()
                return fail(job, failure=failure, now=now)
            wanted = outstanding(job, now, self._policy)
            # Without anything outstanding the index was stale (other settings, say): writing refreshes it.
            return nudged(job, now) if wanted else job.but()

        async with self._slots:
            try:
                before = await self._store.get(job_id)
                job = await self._store.update(job_id, decide)
            except JobNotFound:
                return 0, 0
            if job.status.is_final and not before.status.is_final:
                log.warning("job failed for want of progress", job=job_id, code=job.failure and job.failure.code)
                await self._emitter.ended(job)
                return 1, 1
            published = 0
            for nudge in wanted:
                published += await self._emitter.nudge(job, nudge)
                metrics.NUDGES.labels(nudge.payload.name).inc()
            return published, 0

    async def _purge(self) -> int:
        expired = await self._store.expired(BATCH)
        for job_id in expired:
            await self._artifacts.delete_prefix(f"jobs/{job_id}/")
            await self._store.delete(job_id)
            log.info("finished job purged", job=job_id)
        return len(expired)
