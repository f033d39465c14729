"""Bases, tables, fields, records and attachments of the Airtable twin."""

from __future__ import annotations

import random
import secrets
import string
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

AttachmentState = Literal["pending", "ok", "cleared", "broken-url"]

_ALPHABET = string.ascii_letters + string.digits
_COLORS = ("blueLight2", "cyanLight2", "tealLight2", "greenLight2", "yellowLight2", "orangeLight2", "grayLight2")


def new_id(prefix: str) -> str:
    """Return a fresh id: three letters and 14 letters or digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(14))


def fixed_id(prefix: str, name: str) -> str:
    """Return an id that only depends on a name, for seeds that people can recognise."""
    letters = "".join(c for c in name if c in _ALPHABET)[:14]
    return prefix + letters.ljust(14, "0")


def now_ms() -> int:
    """Return Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def iso_time(at_ms: int) -> str:
    """Return a time as Airtable writes it: ISO 8601, milliseconds, Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Attachment:
    """One file in an attachment cell, now or once.

    Attributes:
        id: `att…`.
        filename: As shown.
        source_url: Where Airtable fetches it from; "" for a direct upload.
        state: `pending` until fetched.
        attached_ms: When it entered the cell.
        removed_ms: When it left the cell; None while it is there.
        size: Bytes, once known.
        type: Content type, once known.
        sha256: Of the content, hexadecimal, once known.
        path: The content.
        error: Why a fetch failed.
    """

    id: str
    filename: str
    source_url: str
    state: AttachmentState
    attached_ms: int
    removed_ms: int | None = None
    size: int | None = None
    type: str = ""
    sha256: str = ""
    path: Path | None = None
    error: str = ""


@dataclass
class Field:
    """A column.

    Attributes:
        id: `fld…`.
        name: Unique within the table.
        type: Airtable's name of the type.
        options: As the schema shows them; `choices` for selects.
    """

    id: str
    name: str
    type: str
    options: dict[str, Any] | None = None

    @property
    def choices(self) -> list[str]:
        """Names of a select's options."""
        return [choice["name"] for choice in (self.options or {}).get("choices", [])]

    def add_choice(self, name: str) -> None:
        """Add an option, as typecast does."""
        options = self.options = self.options if self.options is not None else {}
        color = random.Random(name).choice(_COLORS)  # noqa: S311 - no secret
        options.setdefault("choices", []).append({"id": new_id("sel"), "name": name, "color": color})

    def schema(self) -> dict[str, Any]:
        """Return the field as the schema route shows it."""
        shown: dict[str, Any] = {"id": self.id, "name": self.name, "type": self.type}
        if self.options is not None:
            shown["options"] = self.options
        return shown


@dataclass(frozen=True, slots=True)
class Write:
    """One change of one cell that was applied.

    Attributes:
        at_ms: When.
        operation: create, update, replace, upload, ingest or delete.
        field: Name of the field; "" for the deletion of the record.
        value: The cell afterwards, as the API shows it.
    """

    at_ms: int
    operation: str
    field: str
    value: Any


@dataclass
class Record:
    """A row. `cells` maps field ids to values; empty cells have no entry."""

    id: str
    created_ms: int
    cells: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return all text in the record, for faults that look for a substring."""
        return " ".join(value for value in self.cells.values() if isinstance(value, str))


@dataclass
class Table:
    """A table.

    Attributes:
        history: By record id, every applied write; kept when the record is deleted.
        attached: By record id, every attachment ever attached.
    """

    id: str
    name: str
    fields: list[Field]
    records: dict[str, Record] = field(default_factory=dict)
    history: dict[str, list[Write]] = field(default_factory=dict)
    attached: dict[str, list[Attachment]] = field(default_factory=dict)

    def field_named(self, name_or_id: str) -> Field | None:
        """Find a field by its name (exactly) or id."""
        return next((f for f in self.fields if name_or_id in {f.id, f.name}), None)

    def schema(self) -> dict[str, Any]:
        """Return the table as the schema route shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "primaryFieldId": self.fields[0].id,
            "fields": [f.schema() for f in self.fields],
            "views": [{"id": fixed_id("viw", self.name), "name": "Grid view", "type": "grid"}],
        }


def select_options(names: Iterable[str]) -> dict[str, Any]:
    """Return a select's options with these names."""
    return {
        "choices": [
            {"id": fixed_id("sel", name), "name": name, "color": _COLORS[i % len(_COLORS)]}
            for i, name in enumerate(names)
        ]
    }


STATUSES = (
    "Queued",
    "Generating",
    "Review",
    "Approved",
    "Processing",
    "Stitching",
    "Uploading",
    "Completed",
    "Failed",
    "Cancelled",
)

_EXAMPLES: tuple[dict[str, Any], ...] = (
    {
        "Name": "Dawn at sea",
        "Prompt 1": "Dawn over a calm sea, a red fishing boat leaves the harbour, gulls, slow aerial shot, 35 mm",
        "Prompt 2": "The same boat from close by, an old fisherman in a yellow coat pulls in a net, golden light",
    },
    {
        "Name": "Paper city",
        "Prompt 1": "A city folded from white paper unfolds itself in the morning sun, macro lens, stop motion",
        "Prompt 2": "Paper people cross a paper bridge, tiny shadows, soft focus",
        "Prompt 3": "The city folds itself up again at night, one lit window stays until the end",
        "Aspect Ratio": "landscape",
    },
    {
        "Name": "Street coffee",
        "Prompt 1": "Hands pour espresso into a small glass at a street stall in the rain, neon reflections",
        "Prompt 2": "The cup is handed to a laughing girl under an umbrella, rain in slow motion",
        "Aspect Ratio": "portrait",
        "Status": "Queued",
    },
)


def default_table(name: str) -> Table:
    """Return the table of the original, with example records whose ids are `recSANDBOX0000001` and following."""
    table = Table(
        id=fixed_id("tbl", name),
        name=name,
        fields=[
            Field(fixed_id("fld", "Name"), "Name", "singleLineText"),
            *(Field(fixed_id("fld", f"Prompt{n}"), f"Prompt {n}", "multilineText") for n in (1, 2, 3)),
            Field(
                fixed_id("fld", "AspectRatio"),
                "Aspect Ratio",
                "singleSelect",
                select_options(["landscape", "portrait", "square"]),
            ),
            Field(fixed_id("fld", "Video"), "Video", "multipleAttachments", {"isReversed": False}),
            Field(fixed_id("fld", "Status"), "Status", "singleSelect", select_options(STATUSES)),
            Field(fixed_id("fld", "Error"), "Error", "multilineText"),
        ],
    )
    for number, values in enumerate(_EXAMPLES, start=1):
        record = Record(f"recSANDBOX{number:07d}", now_ms())
        for field_name, value in values.items():
            column = table.field_named(field_name)
            assert column is not None
            record.cells[column.id] = value
        table.records[record.id] = record
    return table


@dataclass
class Base:
    """A base: its tables and nothing else."""

    id: str
    name: str
    tables: list[Table]

    def table_named(self, name_or_id: str) -> Table | None:
        """Find a table by its name (exactly) or id."""
        return next((t for t in self.tables if name_or_id in {t.id, t.name}), None)

    def record(self, record_id: str) -> tuple[Table, Record] | None:
        """Find a record in any table (uploads name no table)."""
        for table in self.tables:
            if record_id in table.records:
                return table, table.records[record_id]
        return None


AttachmentView = Callable[[Attachment], dict[str, Any]]


def cell_view(value: Any, show: AttachmentView) -> Any:
    """Return a cell as the API shows it."""
    if isinstance(value, list) and value and isinstance(value[0], Attachment):
        return [show(attachment) for attachment in value]
    return value


def record_view(
    table: Table,
    record: Record,
    show: AttachmentView,
    *,
    by_id: bool = False,
    only: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Return a record as the API shows it: empty cells are left out.

    Args:
        table: Its table.
        record: The record.
        show: How an attachment is shown.
        by_id: Key the cells by field id.
        only: Names or ids of the fields wanted; None = all.
    """
    wanted = None if only is None else set(only)
    fields = {
        (column.id if by_id else column.name): cell_view(record.cells[column.id], show)
        for column in table.fields
        if column.id in record.cells and (wanted is None or wanted & {column.id, column.name})
    }
    return {"id": record.id, "createdTime": iso_time(record.created_ms), "fields": fields}
