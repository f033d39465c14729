"""Accepting a job: claimed, stored, answered, in this order; announced meanwhile. The provider is never waited for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from services.gateway.addresses import Addresses
from services.gateway.announcing import Announcer
from services.gateway.bodies import CreateJob
from services.gateway.budgets import Budgets
from services.gateway.caller import Caller
from services.gateway.claims import Claims, Idempotency
from services.gateway.errors import ApiError
from services.gateway.estimating import Estimate, Market, estimate
from services.gateway.records import RecordReader
from services.gateway.wishes import artifacts_of, job_wish, refuse, urls_of
from shared import metrics, tracing
from shared.bus.protocol import Bus
from shared.context import Context
from shared.errors import JobExists, PublishFailed
from shared.job.create import JobWish, new_job, new_task_id
from shared.job.model import ClipRole, Job
from shared.models.marks import DOWN

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Order:
    """A request for a job.

    Attributes:
        wish: finds out what is asked for; called only if a job has to be made. Raises `ApiError`.
        endpoint: for metrics.
        idempotency: makes a repetition of the request find the same job.
        record_id: makes every request find the job that is being made for this record.
        force: makes another one for the record all the same.
    """

    wish: Callable[[], Awaitable[JobWish]]
    endpoint: str
    caller: Caller
    idempotency: Idempotency | None = None
    record_id: str | None = None
    force: bool = False


class Accepting:
    """Makes jobs out of requests."""

    def __init__(
        self,
        context: Context,
        bus: Bus,
        *,
        records: RecordReader,
        addresses: Addresses,
        budgets: Budgets,
        market: Market,
        announcer: Announcer,
        max_clips: int,
    ) -> None:
        self._context = context
        self._announcer = announcer
        self._bus = bus
        self._claims = Claims(context.store, context.clock)
        self._market = market
        self._max_clips = max_clips
        self.records = records
        self.addresses = addresses
        self.budgets = budgets

    async def accept(self, order: Order) -> Job:
        """Store a job and have it announced, or return the one that is made already for the same request or record.

        Raises:
            ApiError: it cannot be done, or may not be; nothing was stored.
            DependencyDown: store or broker do not answer; with an idempotency key, repeating is safe.
        """
        if not self._bus.connected:
            raise PublishFailed("there is no connection to the broker")
        job_id = self._claims.new_id()
        for_key = for_record = None
        if order.idempotency is not None:
            for_key = await self._claims.for_key(order.idempotency, job_id)
            job_id = for_key.job_id
            if for_key.job is not None:
                return for_key.job
        try:
            if order.record_id is not None:
                for_record = await self._claims.for_record(order.record_id, job_id, force=order.force)
                job_id = for_record.job_id
            job = for_record.job if for_record is not None else None
            if job is None:
                job = await self._make(job_id, order)
                if for_key is not None:
                    await self._claims.keep_key(for_key)
        except ApiError:
            if for_record is not None:
                await self._claims.return_record(for_record)
            if for_key is not None:
                await self._claims.drop_key(for_key)
            raise
        if for_key is not None and order.idempotency is not None:
            await self._claims.move(for_key, order.idempotency, job.id)
        return job

    async def wish_of(self, body: CreateJob, caller: Caller) -> JobWish:
        """Return what the full form asks for, once everything in it that can be checked is.

        Raises:
            ApiError: something in it cannot be done.
        """
        wish = job_wish(body, caller.name)
        self.check_clips(wish)
        refuse(await self.addresses.problems(urls_of(body)))
        for field, key in artifacts_of(body):
            if await self._context.artifacts.stat(key) is None:
                refuse([(field, f"there is no {key} (any more)")])
        if body.record_id is not None:
            await self.records.check(body.record_id)
        return wish

    def check_clips(self, wish: JobWish) -> None:
        """Refuse a film of too many clips.

        Raises:
            ApiError: 400.
        """
        count = sum(clip.role is ClipRole.CLIP for clip in wish.clips)
        if count > self._max_clips:
            raise ApiError(400, "too_many_clips", f"clips: {count} were given; at most {self._max_clips} are allowed")

    async def estimate(self, wish: JobWish) -> Estimate:
        """Return what a job would come to, as the models stand at this moment."""
        marks = await self._context.store.marks(DOWN)
        down = frozenset(key.removeprefix(DOWN) for key in marks)
        return estimate(wish, replace(self._market, down=down))

    async def _make(self, job_id: str, order: Order) -> Job:
        wish = await order.wish()
        self.check_clips(wish)
        found = estimate(wish, self._market)
        refuse(found.problems)
        await self.budgets.enter_queue()
        try:
            await self.budgets.reserve(job_id, order.caller, found.cost)
            now = self._context.clock()
            task_ids = [new_task_id() for _ in wish.clips]
            job = new_job(job_id, task_ids, wish, now, traceparent=tracing.current())
            job = await self._context.store.create(job)
        except JobExists:  # somebody with the same claim was quicker
            return await self._context.store.get(job_id)
        finally:
            self.budgets.leave_queue()
        metrics.JOBS_ACCEPTED.labels(order.endpoint).inc()
        log.info("job accepted", job=job.id, clips=len(job.shots), record=job.record_id, key=job.key_name)
        await self._announcer.announce(job)
        return job
