"""What this project needs of a table: records, their attachments, and the table's schema.

Two adapters: `shared.airtable.client.AirtableRecords` (pyairtable) and `shared.airtable.memory.MemoryRecords`.
One conformance suite (`tests/conformance/test_airtable.py`) runs on both. Everything that can go wrong is
raised as `shared.airtable.errors.AirtableError` (or `StoreUnavailable`, where the limit is shared through a store
that is down); no third-party exception escapes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

RECORD_ID = re.compile(r"rec[A-Za-z0-9]{14}\Z")
"""A record id. Airtable publishes no alphabet; this matches all that were seen."""

Fields = Mapping[str, Any]
"""Cell values by field name. Airtable omits empty cells; None (or "" or []) clears one when written."""


class Operation(StrEnum):
    """A kind of call, as metrics name it."""

    GET = "get"
    UPDATE = "update"
    UPLOAD = "upload"
    SCHEMA = "schema"
    WHOAMI = "whoami"
    PROBE = "probe"
    LIST = "list"
    WEBHOOKS = "webhooks"


OnCall = Callable[[Operation, str, float], None]
"""Told of every HTTP call: what, how it ended (`ok` or an error's code), seconds it took."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read.

    Attributes:
        id: `rec…`.
        fields: cell values by field name; empty cells are missing.
        created: ISO 8601 UTC time with milliseconds.
    """

    id: str
    fields: Fields
    created: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file in an attachment cell.

    Attributes:
        id: `att…`; Airtable does not promise one right after a link was given.
        filename: the name given with it.
        size_bytes: known once Airtable has the bytes.
        url: where to get it; expires about 2 hours after reading.
    """

    id: str | None
    filename: str | None
    size_bytes: int | None
    url: str | None


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """A field of the table: its type as Airtable names it, and the option names of a select."""

    id: str
    name: str
    type: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The table's name and fields."""

    id: str
    name: str
    fields: tuple[FieldSchema, ...]

    def field(self, name: str) -> FieldSchema | None:
        """Return the field of exactly this name (or id), or None."""
        return next((field for field in self.fields if name in (field.name, field.id)), None)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose token it is. Airtable tells the scopes of OAuth tokens only."""

    id: str
    email: str | None = None
    scopes: tuple[str, ...] | None = None


class Records(Protocol):
    """One Airtable table."""

    async def get(self, record_id: str) -> Record:
        """Read a record.

        Raises:
            RecordNotFound: there is no such record.
            AirtableError: see its tree.
        """

    async def update(self, record_id: str, fields: Fields, *, resend: bool = True) -> Record:
        """Change some cells of a record (PATCH, with typecast: a missing select option is created if allowed).

        An attachment cell takes a list that replaces the old one: `{"id": …}` keeps a file, `{"url": …,
        "filename": …}` makes Airtable fetch one, which takes its time and fails silently.

        Args:
            record_id: the record.
            fields: new values by field name.
            resend: whether the call may be sent again by itself when its answer is lost or it has to wait.
                False where the new values depend on what was read just before.

        Raises:
            UnknownField: the table lacks a field; nothing was written.
            SelectOptionRefused: an option is missing and may not be created; nothing was written.
            RecordNotFound: there is no such record.
            AirtableError: see its tree.
        """

    async def upload(
        self, record_id: str, field: str, filename: str, content: bytes, content_type: str
    ) -> tuple[Attachment, ...]:
        """Append a file to an attachment cell; 5 MB at most. Return the whole cell, the new file last.

        Never sent twice by itself once it may have arrived.

        Raises:
            AirtableAmbiguous: there was no clear answer; the file may be there.
            TooLargeForUpload: Airtable takes no body of this size.
            RecordNotFound: there is no such record.
            AirtableError: see its tree.
        """

    async def schema(self) -> TableSchema | None:
        """Return the table's fields, or None if the token may not read schemas (scope `schema.bases:read`).

        Raises:
            TableNotFound: the base has no such table.
            AirtableError: see its tree.
        """

    async def whoami(self) -> Identity:
        """Return whose token it is; the cheapest check of a token.

        Raises:
            AirtableAuth: Airtable does not accept it.
            AirtableError: see its tree.
        """

    async def probe(self) -> None:
        """Return if the token may read the table.

        Raises:
            AirtableForbidden: base or table do not exist, or the token does not reach them.
            AirtableError: see its tree.
        """


def attachments_of(cell: Any) -> tuple[Attachment, ...]:
    """Return the files of an attachment cell as read; an empty or missing cell has none."""
    if not isinstance(cell, list):
        return ()
    return tuple(_attachment(item) for item in cell if isinstance(item, dict))


def _attachment(item: Mapping[str, Any]) -> Attachment:
    identity, filename, size, url = (item.get(key) for key in ("id", "filename", "size", "url"))
    return Attachment(
        id=identity if isinstance(identity, str) else None,
        filename=filename if isinstance(filename, str) else None,
        size_bytes=size if isinstance(size, int) else None,
        url=url if isinstance(url, str) else None,
    )
