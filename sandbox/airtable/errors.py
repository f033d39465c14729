"""Airtable's refusals, word for word where the wording is known (official errors page, recorded exchanges)."""

from __future__ import annotations

from typing import Any


class AirtableError(Exception):
    """Raised to refuse a request as Airtable would.

    Attributes:
        status: HTTP status.
        body: JSON body.
        headers: Further response headers.
    """

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def _typed(status: int, kind: str, message: str | None = None, **headers: str) -> AirtableError:
    error = {"type": kind} if message is None else {"type": kind, "message": message}
    return AirtableError(status, {"error": error}, {name.replace("_", "-"): v for name, v in headers.items()})


def not_authenticated() -> AirtableError:
    """No token, or one that Airtable does not know."""
    return _typed(401, "AUTHENTICATION_REQUIRED", "Authentication required")


def no_model() -> AirtableError:
    """Wrong base, wrong table, or a token without access to the base."""
    return _typed(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both your user and your token have "
        "the required permissions, and that the model names and/or ids are correct.",
    )


def not_permitted() -> AirtableError:
    """The token's role does not allow the operation."""
    return _typed(403, "INVALID_PERMISSIONS", "You are not permitted to perform this operation")


def no_path() -> AirtableError:
    """The path is not one of the API's (the untyped envelope)."""
    return AirtableError(404, {"error": "NOT_FOUND"})


def no_record() -> AirtableError:
    """No such record in an existing table."""
    return _typed(404, "MODEL_ID_NOT_FOUND", "Record not found")


def no_row(record_id: str) -> AirtableError:
    """A batch names a record that does not exist."""
    return _typed(422, "ROW_DOES_NOT_EXIST", f"Record ID {record_id} does not exist in this table")


def too_large() -> AirtableError:
    """The file is above the direct upload's limit (status documented; the body is not published)."""
    return _typed(413, "REQUEST_TOO_LARGE", "Request body exceeds the maximum allowed size of 5 MB")


def invalid_request() -> AirtableError:
    """Parameters do not validate."""
    return _typed(
        422,
        "INVALID_REQUEST_UNKNOWN",
        "Invalid request: parameter validation failed. Check your request data.",
    )


def unknown_field(name: str) -> AirtableError:
    """The table has no such field."""
    return _typed(422, "UNKNOWN_FIELD_NAME", f'Unknown field name: "{name}"')


def no_such_option(value: str) -> AirtableError:
    """The select has no such option, and none may be created."""
    return _typed(
        422,
        "INVALID_MULTIPLE_CHOICE_OPTIONS",
        f'Insufficient permissions to create new select option ""{value}""',
    )


def bad_attachment(field: str, value: object) -> AirtableError:
    """A member of an attachment list is not what it must be."""
    return _typed(422, "INVALID_ATTACHMENT_OBJECT", f"Invalid attachment object for field {field}: {value}")


def bad_value(field: str) -> AirtableError:
    """The field's type does not take the value."""
    return _typed(422, "INVALID_VALUE_FOR_COLUMN", f'Field "{field}" cannot accept the provided value')


def missing_fields() -> AirtableError:
    """The body lacks `fields`."""
    return _typed(422, "INVALID_REQUEST_MISSING_FIELDS", 'Could not find field "fields" in the request body')


def bad_body() -> AirtableError:
    """The body is no JSON object."""
    return _typed(422, "INVALID_REQUEST_BODY", "Could not parse request body")


def bad_formula(detail: str) -> AirtableError:
    """`filterByFormula` does not parse."""
    return _typed(422, "INVALID_FILTER_BY_FORMULA", f"The formula for filtering records is invalid: {detail}")


def listing_expired() -> AirtableError:
    """`offset` is too old or unknown."""
    return _typed(422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")


def too_many_records(created: int | None = None) -> AirtableError:
    """More than ten records in a batch (Airtable words it differently for creating)."""
    if created is not None:
        message = f"A maximum of 10 records can be created per request but you have provided {created}."
    else:
        message = (
            'You must provide an array of up to 10 record objects, each with an "id" ID field and a "fields" '
            "object for cell values."
        )
    return _typed(422, "INVALID_RECORDS", message)


def rate_limited() -> AirtableError:
    """More than five requests a second: 30 s of silence are due."""
    return _typed(429, "RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later")


def quota_exceeded() -> AirtableError:
    """The month's calls are used up."""
    return _typed(
        429,
        "PUBLIC_API_BILLING_LIMIT_EXCEEDED",
        "API billing plan limit exceeded. You've reached the maximum number of requests allowed for this month.",
    )


def server_error() -> AirtableError:
    """A 500 with a JSON body (unpublished; this form is an assumption)."""
    return _typed(500, "SERVER_ERROR", "Server error")


def retriable(retry_after_s: str = "") -> AirtableError:
    """A 503 that says the request may be repeated."""
    message = "Server encountered an error while processing your request, and it is safe to retry the request"
    return _typed(503, "RETRIABLE_ERROR", message, **({"Retry_After": retry_after_s} if retry_after_s else {}))
