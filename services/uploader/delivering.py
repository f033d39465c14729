"""Delivering the finished film: into the record, if there is one, and the job to its end."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from services.uploader.mirroring import AirtableNotConfigured, Mirroring
from shared import metrics
from shared.airtable.delivery import Deliverer, Order
from shared.airtable.delivery_plan import FilmFile
from shared.airtable.errors import AirtableError, RateLimited, UploadFailed
from shared.bus.protocol import Delivery as BusDelivery
from shared.bus.protocol import Retry
from shared.context import Context
from shared.errors import DependencyDown
from shared.events import JobUploading
from shared.job.film import begin_delivery, delivered, fail, release_step, renew_step
from shared.job.model import Delivery, Failure, Job, JobStatus, Stage
from shared.leases import holding
from shared.media_links import MediaLinks

log = structlog.get_logger(__name__)

LINK_TTL_MS = 7 * 86_400_000
"""A link given to Airtable outlives any ingestion we would wait for."""
AIRTABLE_PAUSE_S = 5.0
"""How long a delivery waits when Airtable does not answer and does not say how long to wait."""


class Delivering:
    """Handles `job.stitched`."""

    def __init__(self, context: Context, deliverer: Deliverer | None, mirroring: Mirroring, links: MediaLinks) -> None:
        self._context = context
        self._deliverer = deliverer
        self._mirroring = mirroring
        self._links = links

    async def on_job_stitched(self, delivery: BusDelivery) -> None:
        """Deliver the film if nobody else does."""
        context, owner = self._context, self._context.new_owner()
        begin = partial(begin_delivery, owner=owner, now=context.clock(), policy=context.policy)
        job = await context.store.get(delivery.event.subject)
        if job.film is None or job.status.is_final:
            return
        if job.mirror.lease is not None and job.mirror.lease.is_live(context.clock()) and job.lease is None:
            raise Retry(0.3, "somebody writes to the record", counts=False)
        job = await context.store.update(job.id, begin)
        await context.emitter.emit(job, JobUploading(), str(len(job.passages)))
        try:
            job = await self._deliver(job, owner)
        except AirtableError as error:
            await self._not_delivered(job, owner, error)
        except DeliveryAbandoned:
            raise  # the lease is left to lapse: until then, what was sent may still get through
        except BaseException:
            # Drained, or a dependency is down: whoever gets the message again need not wait for the lease.
            await asyncio.shield(context.store.update(job.id, partial(release_step, owner=owner)))
            raise
        else:
            await context.emitter.ended(job)

    async def _deliver(self, job: Job, owner: str) -> Job:
        """Attach the film and write the last status, all under the lease; then complete the job."""
        context = self._context

        async def renew() -> None:
            keep = partial(renew_step, owner=owner, now=context.clock(), policy=context.policy)
            await context.store.update(job.id, keep)

        proof, moved = None, False
        try:
            async with holding(renew, lease_ms=context.policy.lease_ms):
                if job.record_id is not None:
                    await self._mirroring.write_pending(job, owner)
                    proof = await self._attach(job, job.record_id, renew)
                    moved = await self._mirroring.write(job, JobStatus.COMPLETED)
        except asyncio.CancelledError as drained:
            if job.record_id is None:
                raise
            raise DeliveryAbandoned(*drained.args) from drained
        # Not under `holding`: completing gives the lease back, which a renewal would take for losing it.
        done = partial(delivered, owner=owner, delivery=proof, now=context.clock(), moved=moved)
        return await context.store.update(job.id, done)

    async def _attach(self, job: Job, record_id: str, heartbeat: Callable[[], Awaitable[None]]) -> Delivery:
        if self._deliverer is None:
            raise AirtableNotConfigured("AIRTABLE_API_KEY and AIRTABLE_BASE_ID are not set for the uploader")
        assert job.film is not None
        key = job.film.video.key
        stored = await self._context.artifacts.stat(key)
        if stored is None:
            raise FilmGone(f"the film {key} is not in the artifact store any more; retry the job")

        async def read_bytes() -> bytes:
            parts = [part async for part in self._context.artifacts.read(key, 0, stored.size_bytes)]
            return b"".join(parts)

        order = Order(
            record_id=record_id,
            film=FilmFile(filename=f"{job.id}.mp4", size_bytes=stored.size_bytes),
            media_url=lambda number: self._links.url(key, LINK_TTL_MS + number),
            read_bytes=read_bytes,
            heartbeat=heartbeat,
        )
        done = await self._deliverer.deliver(order)
        metrics.DELIVERIES.labels("airtable").inc()
        return Delivery(
            record_id=record_id,
            attachment_id=done.attachment_id,
            filename=done.filename,
            delivered_at=self._context.clock(),
        )

    async def _not_delivered(self, job: Job, owner: str, error: AirtableError) -> None:
        """Fail the job if trying again cannot help; else give the lease back and come again.

        After an upload of unknown fate the lease is left to lapse: until then, it may still arrive.
        """
        context = self._context
        if error.ambiguous:
            raise Retry(context.policy.lease_ms / 1000, str(error), counts=False)
        if error.retryable:
            await context.store.update(job.id, partial(release_step, owner=owner))
            wait_s = error.wait_s if isinstance(error, RateLimited) else AIRTABLE_PAUSE_S
            raise Retry(wait_s, str(error), counts=not isinstance(error, DependencyDown))
        failure = Failure(
            stage=Stage.UPLOADING,
            code=error.code,
            message=f"Upload to Airtable failed: {error}",
            retryable=True,
        )
        ended = partial(fail, failure=failure, now=context.clock(), owner=owner)
        await context.emitter.ended(await context.store.update(job.id, ended))


class DeliveryAbandoned(asyncio.CancelledError):
    """This process is drained in the middle of a delivery: what was sent to Airtable cannot be called back."""


class FilmGone(UploadFailed):
    """The film was deleted from the artifact store before it was delivered; waiting does not bring it back."""

    code = "film_gone"
