"""What the gateway asks of Airtable: whether a record exists, and what it wants made."""

import asyncio

import structlog

from services.gateway.errors import ApiError
from services.gateway.fields import usable_prompt, usable_text
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
from shared.job.create import ClipWish, JobWish
from shared.job.model import AspectRatio

log = structlog.get_logger(__name__)

READ_TIMEOUT_S = 8.0
"""An Airtable automation gives up on a request after about 12 s."""
CHECK_TIMEOUT_S = 2.0


class RecordReader:
    """Reads records for new jobs.

    Args:
        records: the table; None if the installation has none.
    """

    def __init__(self, records: Records | None) -> None:
        self._records = records

    async def check(self, record_id: str) -> None:
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

    async def read(self, record_id: str, aspect_ratio: AspectRatio | None, key_name: str | None) -> JobWish:
        """Return what a record asks for.

        Raises:
            ApiError: no such record, no prompts in it or one that cannot be used, or Airtable does not answer.
        """
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                record: Record = await self._configured().get(record_id)
            clips = tuple(_clip(number, prompt) for number, prompt in enumerate(prompts_of(record.fields), start=1))
            shape = aspect_ratio or aspect_ratio_of(record.fields) or AspectRatio.LANDSCAPE
        except TimeoutError:
            raise _unavailable("Airtable did not answer in time") from None
        except AirtableError as error:
            raise _refusal(error) from error
        return JobWish(clips=clips, aspect_ratio=shape, record_id=record_id, key_name=key_name)

    def require_table(self) -> None:
        """Refuse if there is no table.

        Raises:
            ApiError: 400; names the variables to set.
        """
        self._configured()

    def _configured(self) -> Records:
        if self._records is None:
            raise ApiError(
                400,
                "airtable_not_configured",
                "recordId: this installation has no Airtable base (AIRTABLE_API_KEY and AIRTABLE_BASE_ID are not set)",
            )
        return self._records


def _clip(number: int, prompt: str) -> ClipWish:
    """Return the wish for a clip of a record, whose prompts are held to the same rules as those of a request."""
    try:
        return ClipWish(usable_text(usable_prompt(prompt)))
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
