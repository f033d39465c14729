"""The blocking calls themselves, in our types. They run in a worker thread and are made by `Transport`."""

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import pydantic
from pyairtable import Table

from shared.airtable.protocol import (
    Attachment,
    Fields,
    FieldSchema,
    Identity,
    Record,
    TableSchema,
    attachments_of,
)


class OddAnswer(Exception):
    """A successful answer that lacks what the API promises."""


def get_record(table: Table, record_id: str) -> Record:
    """Read a record."""
    return _record(lambda: table.get(record_id))


def list_records(table: Table, formula: str | None, view: str | None, limit: int) -> list[Record]:
    """Read the first records of a view, or those for which a formula is true; one page, so one call."""
    options: dict[str, Any] = {"page_size": limit, "max_records": limit}
    options |= {name: value for name, value in (("formula", formula), ("view", view)) if value is not None}
    found = _mapping(table.api.get(table.urls.records, options=options)).get("records")
    if not isinstance(found, list):
        raise OddAnswer
    return [Record(item["id"], item["fields"], item["createdTime"]) for item in found]


def patch_record(table: Table, record_id: str, fields: Fields) -> Record:
    """Change some cells; missing select options are created where the token may."""
    return _record(lambda: table.update(record_id, dict(fields), typecast=True))


def post_attachment(
    table: Table, content_url: str, record_id: str, field: str, filename: str, content: bytes, content_type: str
) -> tuple[Attachment, ...]:
    """Upload a file directly and return the whole cell.

    Not by pyairtable's own method: that one ignores `endpoint_url`, sends the token over the wrong scheme, and
    breaks on field names with `/`, `?`, `#` or braces. The answer is keyed by field id even where the field's
    name was asked for, so its only list is taken.
    """
    path = "/".join(quote(part, safe="") for part in (table.base.id, record_id, field))
    payload = {
        "contentType": content_type,
        "file": base64.b64encode(content).decode("ascii"),
        "filename": filename,
    }
    answer = _mapping(table.api.post(f"{content_url}/v0/{path}/uploadAttachment", json=payload))
    cells = [cell for cell in _mapping(answer.get("fields")).values() if isinstance(cell, list)]
    if len(cells) != 1:
        raise OddAnswer
    return attachments_of(cells[0])


def get_any(table: Table) -> None:
    """Read the table, whatever is in it."""
    _mapping(table.api.get(table.urls.records, options={"max_records": 1, "page_size": 1}))


def get_schemas(table: Table) -> tuple[TableSchema, ...]:
    """Return the schemas of all tables of the base.

    Not through pyairtable's models: they refuse field types that are newer than the library.
    """
    tables = _mapping(table.api.get(table.base.urls.tables)).get("tables")
    if not isinstance(tables, list):
        raise OddAnswer
    return tuple(_schema(_mapping(item)) for item in tables)


def get_identity(table: Table) -> Identity:
    """Return whose token it is."""
    answer = _mapping(table.api.get(table.api.urls.whoami))
    scopes = answer.get("scopes")
    return Identity(
        str(answer.get("id")), answer.get("email"), tuple(map(str, scopes)) if isinstance(scopes, list) else None
    )


def _record(call: Callable[[], Mapping[str, Any]]) -> Record:
    try:
        answer = call()
    except (TypeError, pydantic.ValidationError):  # pyairtable's check of the answer's form
        raise OddAnswer from None
    return Record(answer["id"], answer["fields"], answer["createdTime"])


def _schema(table: Mapping[str, Any]) -> TableSchema:
    fields = table.get("fields")
    return TableSchema(
        id=str(table.get("id")),
        name=str(table.get("name")),
        fields=tuple(_field(_mapping(field)) for field in (fields if isinstance(fields, list) else ())),
    )


def _field(field: Mapping[str, Any]) -> FieldSchema:
    choices = _mapping(field.get("options") or {}).get("choices") or ()
    return FieldSchema(
        id=str(field.get("id")),
        name=str(field.get("name")),
        type=str(field.get("type")),
        options=tuple(str(_mapping(choice).get("name")) for choice in choices),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise OddAnswer
    return value
