"""A table in memory that behaves as Airtable does: for tests, and to see what a delivery does to a record."""

import random
import string
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.airtable.errors import (
    AirtableError,
    AirtableRejected,
    RecordNotFound,
    SelectOptionRefused,
    TooLargeForUpload,
    UnknownField,
)
from shared.airtable.protocol import (
    Attachment,
    Fields,
    FieldSchema,
    Identity,
    Operation,
    Record,
    TableSchema,
    attachments_of,
)
from shared.job.mirror import NAMES

UPLOAD_LIMIT_BYTES = 5 * 1024 * 1024
ATTACHMENT_ORIGIN = "https://v5.airtableusercontent.com"


def airtable_id(prefix: str) -> str:
    """Return a new id as Airtable makes them: a three-letter prefix and 14 letters or digits."""
    alphabet = string.ascii_letters + string.digits
    return prefix + "".join(random.choices(alphabet, k=14))  # noqa: S311 -- ids here guard nothing


def usual_schema(prompts: int = 2, without: Iterable[str] = ()) -> TableSchema:
    """Return the table people are told to make, with some fields left out."""
    types = {
        **{f"Prompt {number}": "multilineText" for number in range(1, prompts + 1)},
        "Video": "multipleAttachments",
        "Status": "singleSelect",
        "Error": "multilineText",
        "Job ID": "singleLineText",
        "Aspect Ratio": "singleSelect",
    }
    options = {"Status": tuple(dict.fromkeys(NAMES.values())), "Aspect Ratio": ("landscape", "portrait", "square")}
    return TableSchema(
        id=airtable_id("tbl"),
        name="Video Generation",
        fields=tuple(
            FieldSchema(airtable_id("fld"), name, kind, options.get(name, ()))
            for name, kind in types.items()
            if name not in set(without)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Fault:
    error: AirtableError
    applied: bool


class MemoryRecords:
    """`Records` without a network.

    Attributes:
        calls: every call so far: what, and on which record.
    """

    def __init__(
        self,
        schema: TableSchema | None = None,
        *,
        fetch: Callable[[str], bytes | None] = lambda _url: None,
        looks_until_fetched: int = 1,
        may_create_options: bool = True,
        schema_readable: bool = True,
    ) -> None:
        """Make an empty table.

        Args:
            schema: its fields.
            fetch: plays Airtable fetching a link: returns the bytes, or None if it cannot.
            looks_until_fetched: the how manieth read finds a link fetched; 0: none ever does.
            may_create_options: whether a missing select option is created when first written.
            schema_readable: whether `schema()` tells anything.
        """
        self.table = schema or usual_schema()
        self.calls: list[tuple[Operation, str]] = []
        self._fetch = fetch
        self._looks_until_fetched = looks_until_fetched
        self._may_create_options = may_create_options
        self._schema_readable = schema_readable
        self._rows: dict[str, dict[str, Any]] = {}
        self._faults: dict[Operation, deque[_Fault]] = {}
        self._pending: dict[str, int] = {}

    def add(self, fields: Fields, record_id: str | None = None) -> str:
        """Add a record and return its id."""
        identity = record_id or airtable_id("rec")
        self._rows[identity] = dict(fields)
        return identity

    def remove(self, record_id: str) -> None:
        """Delete a record, as its owner may at any time."""
        del self._rows[record_id]

    def cells(self, record_id: str) -> dict[str, Any]:
        """Return a record's cells without counting as a call."""
        return self._rows[record_id]

    def fail_next(self, operation: Operation, error: AirtableError, *, applied: bool = False) -> None:
        """Make the next call of this kind fail, before it takes effect or after (`applied`)."""
        self._faults.setdefault(operation, deque()).append(_Fault(error, applied))

    async def get(self, record_id: str) -> Record:
        """See `Records.get`. Reading is also what makes time pass for files being fetched."""
        fault = self._called(Operation.GET, record_id)
        row = self._row(record_id)
        self._fetch_pending(row)
        self._raise_late(fault)
        return self._record(record_id)

    async def update(self, record_id: str, fields: Fields, *, resend: bool = True) -> Record:
        """See `Records.update`."""
        fault = self._called(Operation.UPDATE, record_id)
        row = self._row(record_id)
        changed = {name: self._checked(name, value, row.get(name)) for name, value in fields.items()}
        row.update(changed)
        self._raise_late(fault)
        return self._record(record_id)

    async def upload(
        self, record_id: str, field: str, filename: str, content: bytes, content_type: str
    ) -> tuple[Attachment, ...]:
        """See `Records.upload`."""
        fault = self._called(Operation.UPLOAD, record_id)
        row = self._row(record_id)
        if self._field(field).type != "multipleAttachments":
            raise AirtableRejected(f"`{field}` takes no attachments", status=422, field=field)
        if len(content) > UPLOAD_LIMIT_BYTES:
            raise TooLargeForUpload("Airtable takes no upload of this size", status=413)
        item = _stored(airtable_id("att"), filename, len(content)) | {"type": content_type}
        row[field] = [*row.get(field, []), item]
        self._raise_late(fault)
        return attachments_of(row[field])

    async def schema(self) -> TableSchema | None:
        """See `Records.schema`."""
        self._raise_late(self._called(Operation.SCHEMA, ""))
        return self.table if self._schema_readable else None

    async def whoami(self) -> Identity:
        """See `Records.whoami`."""
        self._raise_late(self._called(Operation.WHOAMI, ""))
        return Identity("usr00000000000000")

    async def probe(self) -> None:
        """See `Records.probe`."""
        self._raise_late(self._called(Operation.PROBE, ""))

    def _called(self, operation: Operation, record_id: str) -> _Fault | None:
        self.calls.append((operation, record_id))
        faults = self._faults.get(operation)
        fault = faults.popleft() if faults else None
        if fault is not None and not fault.applied:
            raise fault.error
        return fault

    @staticmethod
    def _raise_late(fault: _Fault | None) -> None:
        if fault is not None:
            raise fault.error

    def _row(self, record_id: str) -> dict[str, Any]:
        row = self._rows.get(record_id)
        if row is None:
            raise RecordNotFound("there is no such record in the Airtable table", status=404)
        return row

    def _record(self, record_id: str) -> Record:
        filled = {name: value for name, value in self._rows[record_id].items() if value not in (None, "", [])}
        return Record(record_id, filled, "2026-01-01T00:00:00.000Z")

    def _field(self, name: str) -> FieldSchema:
        field = self.table.field(name)
        if field is None:
            raise UnknownField(f"the Airtable table has no field `{name}`: add it", status=422, fields=(name,))
        return field

    def _checked(self, name: str, value: Any, before: Any) -> Any:
        field = self._field(name)
        if field.type == "multipleAttachments":
            return [self._attachment(name, item, before or []) for item in value or []]
        if field.type == "singleSelect" and value and value not in field.options and not self._may_create_options:
            raise SelectOptionRefused(f"no option {value!r}", status=422, option=value)
        return value

    def _attachment(self, name: str, item: Mapping[str, Any], before: list[dict[str, Any]]) -> dict[str, Any]:
        if "id" in item:
            kept = next((old for old in before if old.get("id") == item["id"]), None)
            if kept is not None:
                return kept
        elif str(item.get("url", "")).startswith(("http://", "https://")):
            identity = airtable_id("att")
            self._pending[identity] = self._looks_until_fetched
            return {"id": identity, "url": item["url"], "filename": item.get("filename", "file")}
        raise AirtableRejected(f"invalid attachment object for field {name}", status=422, field=name)

    def _fetch_pending(self, row: dict[str, Any]) -> None:
        for name, cell in row.items():
            if isinstance(cell, list):
                row[name] = [item for old in cell if (item := self._fetched(old)) is not None]

    def _fetched(self, item: Any) -> Any:
        left = self._pending.get(item["id"], 0) if isinstance(item, dict) and "id" in item else 0
        if left == 0:
            return item
        if left > 1:
            self._pending[item["id"]] = left - 1
            return item
        del self._pending[item["id"]]
        content = self._fetch(item["url"])
        return None if content is None else _stored(item["id"], item["filename"], len(content))


def _stored(identity: str, filename: str, size_bytes: int) -> dict[str, Any]:
    return {"id": identity, "url": f"{ATTACHMENT_ORIGIN}/{identity}", "filename": filename, "size": size_bytes}
