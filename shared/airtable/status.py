"""Mirroring a job's status into its record: one PATCH per change, and never a reason for a job to fail.

Every field written here is optional. One the table lacks (or that may not be written, or takes no such value)
is dropped, the rest is written, and the process remembers it for a while so that it costs one call only once. If
Airtable does not say which one it refuses, those go that were asked for beside the status and the error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from shared.airtable.errors import AirtableError, AirtableForbidden, AirtableRejected, SelectOptionRefused, UnknownField
from shared.airtable.fields import FieldNames
from shared.airtable.protocol import Records
from shared.clock import Clock, now_ms

FORGET_AFTER_MS = 10 * 60 * 1000
"""How long a refused field is left out: somebody may add it any time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What reached the record, the names of the fields that were left out, and whether its Status is another now."""

    fields: Mapping[str, Any]
    dropped: tuple[str, ...] = ()
    moved: bool = False


class StatusWriter:
    """Writes statuses into records of one table."""

    def __init__(
        self,
        records: Records,
        *,
        names: FieldNames | None = None,
        status_map: Mapping[str, str] | None = None,
        forget_after_ms: int = FORGET_AFTER_MS,
        clock: Clock = now_ms,
    ) -> None:
        """Make a writer.

        Args:
            records: the table.
            names: names of its fields.
            status_map: the table's own words for our statuses (`{"Completed": "Done"}`).
            forget_after_ms: how long a refused field or option is left out.
            clock: tells the time.
        """
        self._records = records
        self._names = names or FieldNames()
        self._status_map = status_map or {}
        self._forget_after_ms = forget_after_ms
        self._clock = clock
        self._refused: dict[tuple[str, str | None], int] = {}

    async def write(
        self, record_id: str, status: str | None, *, error: str | None = None, extra: Mapping[str, Any] | None = None
    ) -> Written:
        """Write a status, and the reason of a failure; without a reason the Error field is cleared.

        Args:
            record_id: the record.
            status: one of `shared.job.mirror.NAMES`; None leaves the Status as it is.
            error: why the job failed, for a person.
            extra: more optional fields to write along.

        Returns:
            What was written; with nothing left to write, nothing is sent.

        Raises:
            AirtableError: the record is gone, the quota is used up, Airtable is down, ...; never because a
                field is missing or an option is refused.
        """
        wanted: dict[str, Any] = {**(extra or {}), self._names.error: error}
        if status is not None:
            wanted[self._names.status] = self._status_map.get(status, status)
        fields = {name: value for name, value in wanted.items() if not self._is_refused(name, value)}
        while fields:
            try:
                await self._records.update(record_id, fields)
                break
            except (AirtableRejected, AirtableForbidden) as problem:
                blamed, by_value = self._blamed(problem, fields), isinstance(problem, SelectOptionRefused)
                if not blamed and isinstance(problem, AirtableRejected):
                    # One of them is to blame, or none: what was added is not worth what must be written.
                    blamed, by_value = [name for name in fields if name in (extra or {})], True
                if not blamed:
                    raise
                for name in blamed:
                    value = fields.pop(name)
                    self._remember(name, str(value) if by_value else None, problem)
        left_out = tuple(name for name in wanted if name not in fields)
        return Written(fields, left_out, moved=self._names.status in fields)

    def _blamed(self, problem: AirtableError, fields: Mapping[str, Any]) -> list[str]:
        """The fields to leave out because of a refusal; none if it is about something else."""
        status = self._names.status
        if isinstance(problem, SelectOptionRefused):
            named_by_value = [name for name, value in fields.items() if value == problem.option]
            return named_by_value or [name for name in fields if name == status] or list(fields)
        if isinstance(problem, UnknownField):
            named = {name.casefold() for name in problem.fields}
            found = [name for name in fields if name.casefold() in named]
            return found or [name for name in fields if name != status] or list(fields)
        if isinstance(problem, AirtableRejected | AirtableForbidden) and problem.field is not None:
            return [name for name in fields if name == problem.field]
        return []

    def _remember(self, name: str, option: str | None, problem: AirtableError) -> None:
        now = self._clock()
        self._refused = {known: until for known, until in self._refused.items() if until > now}
        self._refused[(name, option)] = now + self._forget_after_ms
        log.warning("airtable_field_left_out", field=name, option=option, code=problem.code, reason=problem.message)

    def _is_refused(self, name: str, value: Any) -> bool:
        now = self._clock()
        return any(self._refused.get((name, option), 0) > now for option in (None, str(value)))
