import json
from typing import Any

import pytest

from shared.airtable.answers import error_of_answer, error_without_answer, parse_error
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
from shared.errors import DependencyDown

MODEL = "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"


def answer(
    status: int, body: Any, operation: Operation = Operation.UPDATE, headers: dict[str, str] | None = None
) -> AirtableError:
    text = body if isinstance(body, str) else json.dumps(body)
    return error_of_answer(operation, status, text, headers or {})


def envelope(kind: str, message: str | None = None) -> dict[str, Any]:
    return {"error": {"type": kind} if message is None else {"type": kind, "message": message}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"error":{"type":"A","message":"b"}}', ("A", "b")),
        ('{"error":{"type":"A"}}', ("A", None)),
        ('{"error":"NOT_FOUND"}', ("NOT_FOUND", None)),
        ('{"errors":[{"error":"RATE_LIMIT_REACHED","message":"slow"}]}', ("RATE_LIMIT_REACHED", "slow")),
        ("<html>bad gateway</html>", (None, None)),
        ("", (None, None)),
        ("[1]", (None, None)),
        ("5", (None, None)),
        ('{"error":null}', (None, None)),
        ('{"error":{"type":7}}', (None, None)),
        ("[" * 100_000, (None, None)),
    ],
)
def test_every_envelope_of_an_error_is_read_and_nothing_else_breaks_it(
    body: str, expected: tuple[str | None, str | None]
) -> None:
    assert parse_error(body) == expected


def test_a_refused_token_says_which_variable_to_check() -> None:
    error = answer(401, envelope("AUTHENTICATION_REQUIRED", "Authentication required"))
    assert isinstance(error, AirtableAuth)
    assert "AIRTABLE_API_KEY" in error.message
    assert not error.retryable


@pytest.mark.parametrize(
    ("status", "body", "certain"),
    [
        (403, envelope(MODEL, "Invalid permissions, or the requested model was not found."), False),
        (404, {"error": "NOT_FOUND"}, False),
        (404, envelope("NOT_FOUND"), False),
        (404, envelope("MODEL_ID_NOT_FOUND", "Record not found"), True),
        (404, "<html>", False),
        (422, envelope("ROW_DOES_NOT_EXIST", "Record ID rec1 does not exist in this table"), True),
    ],
)
def test_all_forms_of_a_missing_record_are_one_error(status: int, body: Any, certain: bool) -> None:
    error = answer(status, body)
    assert isinstance(error, RecordNotFound)
    assert error.certain is certain


@pytest.mark.parametrize("status", [403, 404])
def test_without_a_record_in_question_the_address_is_to_blame(status: int) -> None:
    error = answer(status, envelope(MODEL), Operation.PROBE)
    assert isinstance(error, AirtableForbidden)
    assert "AIRTABLE_BASE_ID" in error.message


def test_a_field_that_may_not_be_written_is_named() -> None:
    error = answer(
        403,
        envelope(
            "INVALID_PERMISSIONS", "You are not permitted to write cell values in field Status (fldA1b2C3d4E5f6G7)"
        ),
    )
    assert isinstance(error, AirtableForbidden)
    assert error.field == "Status"


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ('Unknown field name: "Job ID"', ("Job ID",)),
        ('Unknown field names: "Job ID", "Error"', ("Job ID", "Error")),
        ("Unknown field name: error", ("error",)),
        ("something else", ()),
    ],
)
def test_unknown_fields_are_named(message: str, fields: tuple[str, ...]) -> None:
    error = answer(422, envelope("UNKNOWN_FIELD_NAME", message))
    assert isinstance(error, UnknownField)
    assert error.fields == fields
    assert error.field == (fields[0] if fields else None)


def test_a_refused_select_option_is_named_without_its_doubled_quotes() -> None:
    error = answer(
        422,
        envelope("INVALID_MULTIPLE_CHOICE_OPTIONS", 'Insufficient permissions to create new select option ""Queued""'),
    )
    assert isinstance(error, SelectOptionRefused)
    assert error.option == "Queued"


@pytest.mark.parametrize(
    ("kind", "message", "field"),
    [
        ("INVALID_VALUE_FOR_COLUMN", 'Field "Status" cannot accept the provided value', "Status"),
        ("INVALID_ATTACHMENT_OBJECT", 'Invalid attachment object for field Video: {"a":1}', "Video"),
        ("INVALID_REQUEST_UNKNOWN", "Invalid request: parameter validation failed.", None),
    ],
)
def test_other_refusals_name_the_field_where_airtable_does(kind: str, message: str, field: str | None) -> None:
    error = answer(422, envelope(kind, message))
    assert type(error) is AirtableRejected
    assert error.field == field


def test_a_signed_link_repeated_by_airtable_does_not_reach_the_message() -> None:
    error = answer(
        422,
        envelope(
            "INVALID_ATTACHMENT_OBJECT",
            'Invalid attachment object for field Video: {"url":"https://me.example/media/SIGNED/film.mp4"}',
        ),
    )
    assert "SIGNED" not in error.message


def test_a_too_large_body_is_its_own_error_even_without_json() -> None:
    assert isinstance(answer(413, "<html>", Operation.UPLOAD), TooLargeForUpload)


@pytest.mark.parametrize(
    ("body", "headers", "wait_s"),
    [
        (envelope("RATE_LIMIT_REACHED", "Rate limit exceeded."), {}, 30.0),
        ("", {}, 30.0),
        (envelope("RATE_LIMIT_REACHED"), {"Retry-After": "7"}, 7.0),
        (envelope("RATE_LIMIT_REACHED"), {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
    ],
)
def test_too_many_requests_say_how_long_to_wait(body: Any, headers: dict[str, str], wait_s: float) -> None:
    error = answer(429, body, headers=headers)
    assert isinstance(error, RateLimited)
    assert isinstance(error, DependencyDown)
    assert error.wait_s == wait_s
    assert error.retryable


def test_a_used_up_month_is_not_a_rate_limit() -> None:
    error = answer(429, envelope("PUBLIC_API_BILLING_LIMIT_EXCEEDED", "API billing plan limit exceeded."))
    assert isinstance(error, QuotaExhausted)
    assert not error.retryable


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_server_error_is_a_partner_that_is_down(status: int) -> None:
    error = answer(status, "<html>oops</html>", headers={"Retry-After": "3"})
    assert isinstance(error, AirtableDown)
    assert error.dependency == "airtable"
    assert error.retry_after_s == 3.0


@pytest.mark.parametrize("status", [408, 500, 502, 503])
def test_a_server_error_to_an_upload_leaves_open_whether_it_happened(status: int) -> None:
    error = answer(status, "", Operation.UPLOAD)
    assert isinstance(error, AirtableAmbiguous)
    assert error.ambiguous


def test_no_answer_to_an_upload_is_ambiguous_only_if_it_left() -> None:
    assert isinstance(error_without_answer(Operation.UPLOAD, "ReadTimeout", sent=True), AirtableAmbiguous)
    unsent = error_without_answer(Operation.UPLOAD, "ConnectTimeout", sent=False)
    assert isinstance(unsent, AirtableDown)
    assert not unsent.sent
    assert isinstance(error_without_answer(Operation.UPDATE, "ReadTimeout", sent=True), AirtableDown)
