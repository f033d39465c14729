"""Copying a job's statuses into its record, one writer at a time and in order."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from shared.airtable.errors import AirtableError, QuotaExhausted, RateLimited
from shared.airtable.fields import is_ours
from shared.airtable.status import StatusWriter
from shared.context import Context
from shared.errors import Refused
from shared.job.mirror import NAMES, begin_mirror, end_mirror, mirror_failed, mirrored, next_status, renew_mirror
from shared.job.model import Job, JobStatus
from shared.leases import holding
from shared.media_links import MediaLinks

log = structlog.get_logger(__name__)

CLIP_LINKS = "Clip Links"
"""The record's field for links to the clips that wait for approval, if there is one."""
LINK_TTL_MS = 7 * 86_400_000
"""As long as a review may take by default."""
BACKOFF_FIRST_MS = 2_000
BACKOFF_MAX_MS = 300_000


class Mirroring:
    """Handles every event that tells of a new status."""

    def __init__(self, context: Context, status_writer: StatusWriter | None, links: MediaLinks) -> None:
        self._context = context
        self._links = links
        self._status_writer = status_writer

    async def on_status(self, job: Job) -> None:
        """Bring the record up to date with the job, whatever was told of it."""
        context = self._context
        if job.record_id is None or job.mirror.written >= len(job.passages):
            return
        owner = context.new_owner()
        begin = partial(begin_mirror, owner=owner, now=context.clock(), policy=context.policy)
        job = await context.store.update(job.id, begin)

        async def renew() -> None:
            keep = partial(renew_mirror, owner=owner, now=context.clock(), policy=context.policy)
            await context.store.update(job.id, keep)

        try:
            async with holding(renew, lease_ms=context.policy.lease_ms):
                await self._write_all(job, owner)
        except AirtableError as error:
            await self._put_off(job, owner, error)
        except Exception:
            # The next one need not wait for the lease. Who is drained leaves it to lapse: until then, what was sent may
            # still overtake a later status.
            await asyncio.shield(self._release(job, owner))
            raise

    async def _write_all(self, job: Job, owner: str) -> None:
        """Write until nothing is due, and give the lease back in the very moment in which that is true."""
        context = self._context
        while (due := next_status(job, now=context.clock(), policy=context.policy)) is not None:
            job = await self._write_next(job, owner, due, and_end=True)
            if job.mirror.lease is None or job.mirror.lease.owner != owner:
                return
        end = partial(end_mirror, owner=owner, now=context.clock(), policy=context.policy)
        try:
            await context.store.update(job.id, end)
        except Refused:  # a status came just now
            await self._write_all(await context.store.get(job.id), owner)

    async def write_pending(self, job: Job, owner: str) -> Job:
        """Write every status that is due, holding the lease as `owner`. Raises `AirtableError`."""
        context = self._context
        while (due := next_status(job, now=context.clock(), policy=context.policy)) is not None:
            job = await self._write_next(job, owner, due, and_end=False)
        return job

    async def _write_next(self, job: Job, owner: str, due: tuple[JobStatus, int], *, and_end: bool) -> Job:
        """Write one status that is due, and note that; `and_end` gives the lease back if nothing more is due then."""
        context, (status, written) = self._context, due
        moved = await self.write(job, status)
        now = context.clock()

        def noted(current: Job) -> Job:
            current = mirrored(current, owner=owner, written=written, now=now, policy=context.policy, moved=moved)
            if and_end and next_status(current, now=now, policy=context.policy) is None:
                return end_mirror(current, owner=owner, now=now, policy=context.policy)
            return current

        return await context.store.update(job.id, noted)

    async def write(self, job: Job, status: JobStatus) -> bool:
        """Write one status: with the reason of a failure, and with the fields that were asked for at the end.

        Returns whether the record took it; one whose `Status` refuses the word keeps what it says.

        Raises:
            AirtableError: it cannot be written (now).
        """
        if job.record_id is None:
            return False
        if self._status_writer is None:
            raise AirtableNotConfigured(
                "the job names a record, but AIRTABLE_API_KEY and AIRTABLE_BASE_ID are not set for the uploader"
            )
        error = job.failure.message if status is JobStatus.FAILED and job.failure is not None else None
        extra = self._extra(job, status)
        return (await self._status_writer.write(job.record_id, NAMES[status], error=error, extra=extra)).moved

    def _extra(self, job: Job, status: JobStatus) -> Mapping[str, Any] | None:
        """Return what is written beside the status, where the table has a field for it."""
        if status is JobStatus.COMPLETED:
            # Accepted before these were refused: the film that was just attached must not be emptied out again.
            return {name: value for name, value in job.fields.items() if not is_ours(name)}
        if status is JobStatus.REVIEW:
            shots = [(clip.number, clip.artifact.key) for clip in job.shots if clip.artifact is not None]
            return {CLIP_LINKS: "\n".join(f"{number}: {self._links.url(key, LINK_TTL_MS)}" for number, key in shots)}
        return None

    async def _put_off(self, job: Job, owner: str, error: AirtableError) -> None:
        """Try again later, or give the mirror up if that cannot help. Never a reason for the job to fail."""
        context, now = self._context, self._context.clock()
        again_at: int | None = None
        age_ms = now - job.passages[-1].at
        if error.retryable and not isinstance(error, QuotaExhausted) and age_ms < context.policy.mirror_give_up_ms:
            pause_ms = min(BACKOFF_FIRST_MS << min(job.mirror.attempts, 16), BACKOFF_MAX_MS)
            if isinstance(error, RateLimited):
                pause_ms = max(pause_ms, round(error.wait_s * 1000))
            again_at = now + pause_ms
        log.warning("status not written", record=job.record_id, code=error.code, problem=str(error), again_at=again_at)
        put_off = partial(mirror_failed, owner=owner, problem=str(error), again_at=again_at, now=now)
        await context.store.update(job.id, put_off)

    async def _release(self, job: Job, owner: str) -> None:
        now = self._context.clock()
        await self._context.store.update(
            job.id, partial(mirror_failed, owner=owner, problem="interrupted", again_at=now, now=now)
        )


class AirtableNotConfigured(AirtableError):
    """The job names a record, but there is no Airtable to write to."""

    code = "airtable_not_configured"
