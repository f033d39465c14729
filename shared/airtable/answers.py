"""From what came back over HTTP to a typed error: pure.

Airtable's error bodies come as `{"error": {"type", "message"}}`, as `{"error": "NOT_FOUND"}`, from proxies as
`{"errors": [{"error", "message"}]}`, and as HTML.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from shared.airtable.errors import (
    AirtableAmbiguous,
    AirtableAuth,
    AirtableDown,
    AirtableError,
    AirtableForbidden,
    AirtableRejected,
    QuotaExhausted,
    RateLimited,
    RecordNotFound,
    SelectOptionRefused,
    TooLargeForUpload,
    UnknownField,
)
from shared.airtable.protocol import Operation

PENALTY_S = 30.0
"""Airtable refuses a base for 30 s after too many requests (its errors page)."""

_MODEL = "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"
_RECORD_OPERATIONS = frozenset({Operation.GET, Operation.UPDATE, Operation.UPLOAD})
_LINK = re.compile(r"https?://[^\s\"'}\],]+")
_UNKNOWN_FIELDS = re.compile(r"Unknown field names?:\s*(.+)", re.IGNORECASE | re.DOTALL)
_OPTION = re.compile(r"select option\s+\"*(.*?)\"*\s*\Z", re.IGNORECASE | re.DOTALL)
_BLAMED = (
    re.compile(r"[Ff]ield \"([^\"]+)\""),
    re.compile(r"in field (.+?) \(fld\w+\)"),
    re.compile(r"for field ([^:{]+?)\s*:"),
)
_TEXT_LIMIT = 300


def parse_error(body: str) -> tuple[str | None, str | None]:
    """Return the error type and the message of an error body, each None if it is not there. Never raises."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(document, dict):
        return None, None
    error: Any = document.get("error")
    errors = document.get("errors")
    if error is None and isinstance(errors, list) and errors:
        error = errors[0]
    if isinstance(error, dict):
        return _text(error.get("type") or error.get("error") or error.get("code")), _text(error.get("message"))
    return _text(error), _text(document.get("message"))


def error_of_answer(operation: Operation, status: int, body: str, headers: Mapping[str, str]) -> AirtableError:
    """Return the error that an unsuccessful HTTP answer stands for."""
    kind, message = parse_error(body)
    said = message or kind or f"HTTP {status}"
    match status:
        case 401:
            return AirtableAuth(
                f"Airtable does not accept the token ({said}): check AIRTABLE_API_KEY", status=status, kind=kind
            )
        case 403 | 404:
            return _denied(operation, status, kind, said)
        case 413:
            return TooLargeForUpload("Airtable takes no upload of this size", status=status, kind=kind)
        case 429:
            return _too_many(status, kind, said, headers)
        case _ if status >= 500 or status == 408:
            return _server_error(operation, status, kind, said, headers)
        case _:
            return _rejected(operation, status, kind, said)


def error_without_answer(operation: Operation, what: str, *, sent: bool) -> AirtableError:
    """Return the error for a call that got no usable answer: `what` happened, and the request left or not."""
    if operation is Operation.UPLOAD and sent:
        return AirtableAmbiguous(f"no clear answer from Airtable to an upload ({what}): it may have arrived")
    return AirtableDown(f"Airtable does not answer ({what})", sent=sent)


def _denied(operation: Operation, status: int, kind: str | None, said: str) -> AirtableError:
    if operation in _RECORD_OPERATIONS and (status == 404 or kind == _MODEL):
        return RecordNotFound(
            "there is no such record in the Airtable table",
            status=status,
            kind=kind,
            certain=kind == "MODEL_ID_NOT_FOUND",
        )
    if status == 404 or kind == _MODEL:
        return AirtableForbidden(
            "Airtable knows no such base or table, or the token does not reach it: check AIRTABLE_BASE_ID and "
            "AIRTABLE_TABLE_NAME, and that the base is in the token's access list",
            status=status,
            kind=kind,
        )
    field = _blamed(said)
    return AirtableForbidden(
        f"the Airtable token may not do this ({said}): it needs the scopes data.records:read and "
        "data.records:write, and its owner the editor role in the base",
        status=status,
        kind=kind,
        field=field,
    )


def _too_many(status: int, kind: str | None, said: str, headers: Mapping[str, str]) -> AirtableError:
    if kind is not None and "BILLING_LIMIT" in kind:
        return QuotaExhausted(
            f"the Airtable plan's API calls of this month are used up ({said}): upgrade the plan or wait for "
            "the next month",
            status=status,
            kind=kind,
        )
    wait_s = _retry_after_s(headers)
    return RateLimited(
        "Airtable asks for fewer requests: the base is paused",
        wait_s=PENALTY_S if wait_s is None else wait_s,
        status=status,
        kind=kind,
    )


def _server_error(
    operation: Operation, status: int, kind: str | None, said: str, headers: Mapping[str, str]
) -> AirtableError:
    if operation is Operation.UPLOAD:
        return AirtableAmbiguous(
            f"no clear answer from Airtable to an upload (HTTP {status}): it may have arrived",
            status=status,
            kind=kind,
        )
    return AirtableDown(
        f"Airtable has trouble (HTTP {status}, {said})",
        status=status,
        kind=kind,
        retry_after_s=_retry_after_s(headers),
    )


def _rejected(operation: Operation, status: int, kind: str | None, said: str) -> AirtableError:
    if kind == "ROW_DOES_NOT_EXIST":
        return RecordNotFound("there is no such record in the Airtable table", status=status, kind=kind)
    if kind == "UNKNOWN_FIELD_NAME":
        names = _unknown_fields(said)
        listed = ", ".join(f"`{name}`" for name in names) or "a field we use"
        return UnknownField(f"the Airtable table has no field {listed}: add it", status=status, kind=kind, fields=names)
    if kind == "INVALID_MULTIPLE_CHOICE_OPTIONS":
        found = _OPTION.search(said)
        option = found.group(1) if found else None
        return SelectOptionRefused(
            f"an Airtable select field has no option {option or 'of this name'!r} and the token may not create it: "
            "add it to the field",
            status=status,
            kind=kind,
            option=option,
        )
    if "rate too high" in said.lower():
        return RateLimited(
            f"Airtable takes no more attachments now ({said})", wait_s=PENALTY_S, status=status, kind=kind
        )
    return AirtableRejected(
        f"Airtable refused the {operation.value} ({said})", status=status, kind=kind, field=_blamed(said)
    )


def _unknown_fields(message: str) -> tuple[str, ...]:
    found = _UNKNOWN_FIELDS.search(message)
    if found is None:
        return ()
    listed = found.group(1).strip()
    quoted = re.findall(r"\"([^\"]+)\"", listed)
    return tuple(quoted) if quoted else (listed,)


def _blamed(message: str) -> str | None:
    for pattern in _BLAMED:
        if found := pattern.search(message):
            return found.group(1).strip()
    return None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After` header; the date form (never seen from Airtable) counts as missing."""
    value = headers.get("Retry-After", "").strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


def _text(value: Any) -> str | None:
    """A text of Airtable's, safe to show: it repeats what was sent, signed links included."""
    if not isinstance(value, str) or not value.strip():
        return None
    return _LINK.sub("<link>", value.strip())[:_TEXT_LIMIT]
