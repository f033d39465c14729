"""The Airtable twin's records: every request is applied whole or not at all, and every change is remembered."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sandbox.airtable import errors
from sandbox.airtable.cells import CLEARED, Cleared, coerce, missing_options
from sandbox.airtable.model import (
    Attachment,
    Base,
    Field,
    Record,
    Table,
    Write,
    cell_view,
    default_table,
    new_id,
    now_ms,
)
from sandbox.config import AirtableConfig


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written to one record.

    Attributes:
        record_id: None creates a record.
        fields: Field name or id to value, as given.
    """

    record_id: str | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class How:
    """How a request wants its changes applied.

    Attributes:
        typecast: Convert values and create select options.
        may_add_options: The token may create select options.
        replace: Clear every field that is not named (PUT).
    """

    typecast: bool = False
    may_add_options: bool = True
    replace: bool = False


class AirtableStore:
    """One base, its history, and the content of its attachments.

    Attributes:
        base: The base.
        on_pending: Called with table, record and attachment whenever one has to be fetched from its URL.
    """

    def __init__(self, config: AirtableConfig, directory: Path, content_origin: str) -> None:
        self.directory = directory
        self._origin = content_origin
        self._link_key = secrets.token_bytes(16)
        self._lifetime_ms = config.attachment_lifetime_ms
        self._id_at_once = config.id_at_once
        self._base_id, self._table_name = config.base_id, config.table
        self.base = self._new_base()
        self.on_pending: Callable[[Table, Record, Attachment], None] = lambda *_: None
        self.contents: dict[str, Attachment] = {}

    def _new_base(self) -> Base:
        return Base(self._base_id, "Video sandbox", [default_table(self._table_name)])

    def configure(self, config: AirtableConfig) -> None:
        """Put the settings that concern attachments into force."""
        self._lifetime_ms = config.attachment_lifetime_ms
        self._id_at_once = config.id_at_once

    def reset(self) -> None:
        """Return to the default table with its example records, without any history."""
        self.base = self._new_base()
        self.contents.clear()

    # --- showing ------------------------------------------------------------------------------------------------

    def show(self, attachment: Attachment) -> dict[str, Any]:
        """Return an attachment as the API shows it now; the URL expires."""
        if attachment.state == "pending":
            pending = {"url": attachment.source_url, "filename": attachment.filename}
            return {"id": attachment.id, **pending} if self._id_at_once else pending
        shown: dict[str, Any] = {
            "id": attachment.id,
            "url": self.link(attachment),
            "filename": attachment.filename,
        }
        if attachment.size is not None:
            shown |= {"size": attachment.size, "type": attachment.type}
        return shown

    def link(self, attachment: Attachment) -> str:
        """Return a fresh, expiring URL of an attachment's content."""
        expires_ms = now_ms() + self._lifetime_ms
        token = f"{attachment.id}.{expires_ms}.{self._sign(attachment.id, expires_ms)}"
        return f"{self._origin}/attachments/{token}/{quote(attachment.filename)}"

    def linked(self, token: str) -> Attachment | None:
        """Return the attachment that a URL's token stands for, or None if it is forged or expired."""
        parts = token.split(".")
        if len(parts) != 3 or not parts[1].isdecimal() or parts[2] != self._sign(parts[0], int(parts[1])):
            return None
        return self.contents.get(parts[0]) if int(parts[1]) > now_ms() else None

    def _sign(self, attachment_id: str, expires_ms: int) -> str:
        return hmac.new(self._link_key, f"{attachment_id}{expires_ms}".encode(), hashlib.sha256).hexdigest()[:24]

    # --- writing ------------------------------------------------------------------------------------------------

    def apply(self, table: Table, changes: list[Change], how: How) -> list[Record]:
        """Apply all changes, or none.

        Raises:
            AirtableError: A field is unknown or refuses its value; nothing was applied.
        """
        prepared = [(change, self._prepare(table, change, how)) for change in changes]
        records = []
        for change, cells in prepared:
            creating = change.record_id is None
            record = self._create(table) if creating else table.records[str(change.record_id)]
            operation = "create" if creating else "replace" if how.replace else "update"
            for column, value in cells:
                for option in missing_options(column, value):
                    column.add_choice(option)
                self._set(table, record, column, value, operation)
            records.append(record)
        return records

    def _prepare(self, table: Table, change: Change, how: How) -> list[tuple[Field, Any]]:
        record = table.records.get(change.record_id) if change.record_id else None
        cells = []
        for name, value in change.fields.items():
            column = table.field_named(name)
            if column is None:
                raise errors.unknown_field(name)
            current = record.cells.get(column.id) if record else None
            stored = coerce(
                column,
                value,
                current,
                typecast=how.typecast,
                may_add_options=how.may_add_options,
                creating=record is None,
            )
            cells.append((column, stored))
        if how.replace and record is not None:
            named = {column.id for column, _ in cells}
            cells += [(c, CLEARED) for c in table.fields if c.id not in named and c.id in record.cells]
        return cells

    def _create(self, table: Table) -> Record:
        record = Record(new_id("rec"), now_ms())
        table.records[record.id] = record
        return record

    def _set(self, table: Table, record: Record, column: Field, value: Any, operation: str) -> None:
        before = record.cells.get(column.id)
        if isinstance(value, Cleared):
            record.cells.pop(column.id, None)
        else:
            record.cells[column.id] = value
        if column.type == "multipleAttachments":
            self._account(table, record, before or [], record.cells.get(column.id) or [])
        self._remember(table, record, column.name, record.cells.get(column.id), operation)

    def _remember(self, table: Table, record: Record, field: str, value: Any, operation: str) -> None:
        write = Write(now_ms(), operation, field, cell_view(value, self.show))
        table.history.setdefault(record.id, []).append(write)

    def _account(self, table: Table, record: Record, before: list[Attachment], after: list[Attachment]) -> None:
        """Keep the list of all attachments ever attached, and set new ones from a URL on their way."""
        kept = {attachment.id for attachment in after}
        for attachment in before:
            if attachment.id not in kept and attachment.removed_ms is None:
                attachment.removed_ms = now_ms()
        known = {attachment.id for attachment in before}
        for attachment in after:
            if attachment.id not in known:
                table.attached.setdefault(record.id, []).append(attachment)
                self.contents[attachment.id] = attachment
                if attachment.state == "pending":
                    self.on_pending(table, record, attachment)

    def delete(self, table: Table, record_id: str) -> None:
        """Delete a record; its history stays."""
        record = table.records.pop(record_id)
        self._remember(table, record, "", None, "delete")

    # --- attachments --------------------------------------------------------------------------------------------

    def upload(
        self, table: Table, record: Record, column: Field, filename: str, content_type: str, content: bytes
    ) -> None:
        """Append a file to an attachment cell, as uploadAttachment does."""
        attachment = Attachment(new_id("att"), filename, source_url="", state="ok", attached_ms=now_ms())
        path = self.directory / attachment.id
        path.write_bytes(content)
        self.fill(attachment, path, content_type, hashlib.sha256(content).hexdigest())
        cell = [*record.cells.get(column.id, []), attachment]
        self._set(table, record, column, cell, "upload")

    @staticmethod
    def fill(attachment: Attachment, path: Path, content_type: str, sha256: str) -> None:
        """Give an attachment its content."""
        attachment.path, attachment.size = path, path.stat().st_size
        attachment.type, attachment.sha256, attachment.state = content_type, sha256, "ok"

    def ingested(self, table: Table, record: Record, attachment: Attachment) -> None:
        """Take note that a fetch has ended: the cell changes unless the attachment has left it meanwhile."""
        for column in table.fields:
            cell = record.cells.get(column.id)
            if column.type != "multipleAttachments" or not cell or attachment not in cell:
                continue
            if attachment.state == "cleared":
                rest = [other for other in cell if other is not attachment]
                self._set(table, record, column, rest or CLEARED, "ingest")
            else:
                self._remember(table, record, column.name, cell, "ingest")
