"""What Airtable makes of a value written to a cell: types, select options, attachment lists. Pure but for new ids."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from sandbox.airtable import errors
from sandbox.airtable.model import Attachment, Field, new_id, now_ms

_TEXT = {"singleLineText", "multilineText", "richText", "url", "email", "phoneNumber", "date", "dateTime"}
_COMPUTED = {"formula", "rollup", "count", "createdTime", "lastModifiedTime", "autoNumber", "multipleLookupValues"}
#: What an attachment may say besides `id` when a list is written back as it was read.
_NEW_MEMBERS = {"url", "filename"}


class Cleared:
    """The value of a cell that becomes empty."""


CLEARED = Cleared()


def coerce(field: Field, value: Any, current: Any, *, typecast: bool, may_add_options: bool, creating: bool) -> Any:
    """Return what is stored when a value is written to a field.

    Args:
        field: Where it is written. Nothing is changed in it; see `missing_options`.
        value: As given in the request.
        current: What the cell holds now, or None.
        typecast: The request asked for conversion.
        may_add_options: The token may create select options.
        creating: The record is being created.

    Returns:
        The cell's value, or `CLEARED`.

    Raises:
        AirtableError: Airtable refuses the value (422).
    """
    if field.type in _COMPUTED:
        raise errors.bad_value(field.name)
    if value is None or value == [] or (value == "" and (field.type in _TEXT or typecast)):
        return CLEARED
    if field.type == "multipleAttachments":
        return _attachments(field, value, current or [], creating=creating)
    if field.type == "singleSelect":
        return _option(field, value, typecast=typecast, may_add=may_add_options)
    if field.type == "multipleSelects":
        if not isinstance(value, list):
            raise errors.bad_value(field.name)
        return [_option(field, item, typecast=typecast, may_add=may_add_options) for item in value]
    return _scalar(field, value, typecast=typecast)


def _scalar(field: Field, value: Any, *, typecast: bool) -> Any:
    if field.type == "checkbox":
        if not isinstance(value, bool):
            raise errors.bad_value(field.name)
        return value or CLEARED
    if field.type in _TEXT:
        if isinstance(value, str):
            return value
        if typecast and isinstance(value, int | float):
            return str(value)
        raise errors.bad_value(field.name)
    # number, currency, percent, duration, rating
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if typecast and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise errors.bad_value(field.name) from None
    raise errors.bad_value(field.name)


def _option(field: Field, value: Any, *, typecast: bool, may_add: bool) -> str:
    if not isinstance(value, str):
        raise errors.bad_value(field.name)
    if value in field.choices or (typecast and may_add):
        return value
    raise errors.no_such_option(value)


def missing_options(field: Field, value: Any) -> list[str]:
    """Return the select options that a coerced value needs and the field lacks."""
    if field.type not in {"singleSelect", "multipleSelects"} or isinstance(value, Cleared):
        return []
    names = value if isinstance(value, list) else [value]
    return [name for name in dict.fromkeys(names) if name not in field.choices]


def _attachments(field: Field, value: Any, current: list[Attachment], *, creating: bool) -> list[Attachment]:
    """A written list replaces the cell: what is not named by its id is removed."""
    if not isinstance(value, list):
        raise errors.bad_attachment(field.name, value)
    by_id = {attachment.id: attachment for attachment in current}
    return [_attachment(field, item, by_id, creating=creating) for item in value]


def _attachment(field: Field, item: Any, by_id: dict[str, Attachment], *, creating: bool) -> Attachment:
    if not isinstance(item, dict):
        raise errors.bad_attachment(field.name, item)
    if "id" in item:
        kept = by_id.get(item["id"])
        if creating or kept is None:
            raise errors.bad_attachment(field.name, item)
        return kept
    url = item.get("url")
    if not isinstance(url, str) or set(item) - _NEW_MEMBERS or urlsplit(url).scheme not in {"http", "https"}:
        raise errors.bad_attachment(field.name, item)
    name = item.get("filename") or unquote(urlsplit(url).path.rpartition("/")[2]) or "attachment"
    if not isinstance(name, str):
        raise errors.bad_attachment(field.name, item)
    return Attachment(new_id("att"), name, source_url=url, state="pending", attached_ms=now_ms())
