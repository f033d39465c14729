"""Accepting a job: stored first, announced second, answered third. The provider is never waited for."""

import asyncio
from collections.abc import Sequence

import structlog

from services.gateway.bodies import usable_prompt
from services.gateway.errors import ApiError
from shared import metrics
from shared.airtable.errors import (
    AirtableAuth,
    AirtableError,
    AirtableForbidden,
    BadRecord,
    QuotaExhausted,
    RecordNotFound,
    TableNotFound,
)
from shared.airtable.fields import aspect_ratio_of, prompts_of
from shared.airtable.protocol import Record, Records
from shared.bus.protocol import Bus
from shared.context import Context
from shared.errors import PublishFailed
from shared.job.create import ClipWish, new_job, new_job_id, new_task_id
from shared.job.model import AspectRatio, Job

log = structlog.get_logger(__name__)

READ_TIMEOUT_S = 8.0
"""An Airtable automation gives up on a request after about 12 s."""
CHECK_TIMEOUT_S = 2.0


class Accepting:
    """Makes jobs out of requests."""

    def __init__(self, context: Context, bus: Bus, records: Records | None, *, max_clips: int) -> None:
        self._context = context
        self._bus = bus
        self._records = records
        self._max_clips = max_clips

    async def accept(
        self,
        wishes: Sequence[ClipWish],
        *,
        endpoint: str,
        aspect_ratio: AspectRatio,
        record_id: str | None,
        traceparent: str | None,
    ) -> Job:
        """Store a job and announce it.

        Raises:
            ApiError: too many clips, no such record.
            DependencyDown: store or broker do not answer; nothing was stored that will not be done.
        """
        if len(wishes) > self._max_clips:
            raise ApiError(
                400, "too_many_clips", f"clips: {len(wishes)} were given; at most {self._max_clips} are allowed"
            )
        if not self._bus.connected:
            raise PublishFailed("there is no connection to the broker")
        now = self._context.clock()
        job = new_job(
            new_job_id(now),
            [new_task_id() for _ in wishes],
            wishes,
            now,
            aspect_ratio=aspect_ratio,
            record_id=record_id,
            traceparent=traceparent,
        )
        job = await self._context.store.create(job)
        metrics.JOBS_ACCEPTED.labels(endpoint).inc()
        log.info("job accepted", job=job.id, clips=len(job.clips), record=record_id)
        await self._context.emitter.announce(job)
        return job

    async def check_record(self, record_id: str) -> None:
        """Refuse a record that does not exist before money is spent on its film.

        Airtable being slow or down is no reason to refuse: the film can be delivered later.

        Raises:
            ApiError: there is no such record, or no way to write to it.
        """
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self._configured().get(record_id)
        except TimeoutError:
            log.info("record not checked in time", record=record_id)
        except AirtableError as error:
            refusal = _refusal(error)
            if refusal.status == 503:
                log.info("record not checked", record=record_id, problem=str(error))
                return
            raise refusal from error

    async def read_record(self, record_id: str, aspect_ratio: AspectRatio | None) -> tuple[list[ClipWish], AspectRatio]:
        """Return what a record asks for.

        Raises:
            ApiError: no such record, no prompts in it or one that cannot be used, or Airtable does not answer.
        """
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                record: Record = await self._configured().get(record_id)
            wishes = [_wish(number, prompt) for number, prompt in enumerate(prompts_of(record.fields), start=1)]
            return wishes, aspect_ratio or aspect_ratio_of(record.fields) or AspectRatio.LANDSCAPE
        except TimeoutError:
            raise _unavailable("Airtable did not answer in time") from None
        except AirtableError as error:
            raise _refusal(error) from error

    def _configured(self) -> Records:
        if self._records is None:
            raise ApiError(
                400,
                "airtable_not_configured",
                "recordId: this installation has no Airtable base (AIRTABLE_API_KEY and AIRTABLE_BASE_ID are not set)",
            )
        return self._records


def _wish(number: int, prompt: str) -> ClipWish:
    """Return the wish for a clip of a record, whose prompts are held to the same rules as those of a request."""
    try:
        return ClipWish(usable_prompt(prompt))
    except ValueError as error:
        raise ApiError(400, "invalid_prompt", f"the record's prompt for clip {number} {error}") from error


def _unavailable(message: str) -> ApiError:
    return ApiError(503, "airtable_unavailable", message, headers={"Retry-After": "30"})


def _refusal(error: AirtableError) -> ApiError:
    """Return the answer to a request that Airtable makes impossible."""
    if isinstance(error, RecordNotFound):
        return ApiError(404, "record_not_found", str(error))
    if isinstance(error, BadRecord):
        return ApiError(400, error.code, str(error))
    if isinstance(error, AirtableAuth | AirtableForbidden | TableNotFound | QuotaExhausted):
        return ApiError(502, error.code, str(error))
    return _unavailable(str(error))
