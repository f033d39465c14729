"""Everything that can go wrong with Airtable, as typed errors.

AirtableError
├── AirtableAuth          401: the token is missing, mistyped or revoked
├── AirtableForbidden     403: the token may not do this, or the base or table id is wrong
├── TableNotFound         the base has no such table (only where the schema may be read)
├── RecordNotFound        403, 404 or 422: no such record (deleted while its film was made, for instance)
├── AirtableRejected      400 or 422: Airtable understood and refused the values
│   ├── UnknownField         the table lacks a field
│   ├── SelectOptionRefused  a select option does not exist and may not be created
│   └── TooLargeForUpload    413: more bytes than a direct upload may have
├── RateLimited           429: wait (also a `DependencyDown`)
├── QuotaExhausted        429: the month's API calls are used up; waiting for seconds does not help
├── AirtableDown          5xx, no connection, no answer (also a `DependencyDown`)
├── AirtableAmbiguous     an upload that may have happened: look before sending again
├── UploadFailed          the film did not arrive in the record
└── BadRecord             the record's content cannot be used
    ├── NoPrompts            there is no prompt in it
    ├── UnreadableCell       a field holds something that is not text
    └── UnknownAspectRatio   the shape is none we know

Messages are for a person and never hold the token or a signed link.
"""

from collections.abc import Sequence
from typing import ClassVar

from shared.errors import DependencyDown, StitcherError


class AirtableError(StitcherError):
    """Base of every error of the Airtable side.

    Attributes:
        code: stable name for machines.
        message: for a person: what failed and what to do.
        retryable: whether trying again later may help without anybody changing anything.
        ambiguous: whether the call may have taken effect all the same.
        status: Airtable's HTTP status, where there was an answer.
        kind: Airtable's own error type (`INVALID_PERMISSIONS`, ...), where it gave one.
    """

    code: ClassVar[str] = "airtable_error"
    retryable: ClassVar[bool] = False
    ambiguous: ClassVar[bool] = False

    def __init__(self, message: str, *, status: int | None = None, kind: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind


class AirtableAuth(AirtableError):
    """Airtable does not accept the token (401)."""

    code = "airtable_auth"


class AirtableForbidden(AirtableError):
    """The token may not do this, or the base or the table does not exist for it (403).

    Attributes:
        field: the field that may not be written, where Airtable names it.
    """

    code = "airtable_forbidden"

    def __init__(
        self, message: str, *, status: int | None = None, kind: str | None = None, field: str | None = None
    ) -> None:
        super().__init__(message, status=status, kind=kind)
        self.field = field


class TableNotFound(AirtableError):
    """The base has no table of this name or id."""

    code = "airtable_table_not_found"


class RecordNotFound(AirtableError):
    """There is no such record.

    Attributes:
        certain: False where Airtable's answer would be the same for a wrong base, table or token.
    """

    code = "record_not_found"

    def __init__(
        self, message: str, *, status: int | None = None, kind: str | None = None, certain: bool = True
    ) -> None:
        super().__init__(message, status=status, kind=kind)
        self.certain = certain


class AirtableRejected(AirtableError):
    """Airtable understood the request and refused it (400, 422).

    Attributes:
        field: the field to blame, where Airtable names it.
    """

    code = "airtable_rejected"

    def __init__(
        self, message: str, *, status: int | None = None, kind: str | None = None, field: str | None = None
    ) -> None:
        super().__init__(message, status=status, kind=kind)
        self.field = field


class UnknownField(AirtableRejected):
    """The table lacks a field.

    Attributes:
        fields: all names Airtable complained about; empty if its message could not be read. `field` is the first.
    """

    code = "unknown_field"

    def __init__(
        self, message: str, *, status: int | None = None, kind: str | None = None, fields: Sequence[str] = ()
    ) -> None:
        super().__init__(message, status=status, kind=kind, field=fields[0] if fields else None)
        self.fields = tuple(fields)


class SelectOptionRefused(AirtableRejected):
    """A select option does not exist, and the token may not create it.

    Attributes:
        option: its name, where Airtable's message could be read.
    """

    code = "select_option_refused"

    def __init__(
        self, message: str, *, status: int | None = None, kind: str | None = None, option: str | None = None
    ) -> None:
        super().__init__(message, status=status, kind=kind)
        self.option = option


class TooLargeForUpload(AirtableRejected):
    """The body is larger than Airtable takes directly (413)."""

    code = "too_large_for_upload"


class RateLimited(AirtableError, DependencyDown):
    """Too many requests (429). Everybody who uses this base has to be silent for a while.

    Attributes:
        wait_s: seconds to wait before the next request.
    """

    code = "airtable_rate_limited"
    retryable = True
    dependency = "airtable"

    def __init__(self, message: str, *, wait_s: float, status: int | None = None, kind: str | None = None) -> None:
        super().__init__(message, status=status, kind=kind)
        self.wait_s = wait_s


class QuotaExhausted(AirtableError):
    """The plan's API calls of this month are used up (the other meaning of 429)."""

    code = "airtable_quota_exhausted"


class AirtableDown(AirtableError, DependencyDown):
    """Airtable did not answer, or answered with a server error.

    Attributes:
        sent: False if it is certain that the request never left.
        retry_after_s: what the `Retry-After` header asked for, if it was there.
    """

    code = "airtable_down"
    retryable = True
    dependency = "airtable"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str | None = None,
        sent: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, kind=kind)
        self.sent = sent
        self.retry_after_s = retry_after_s


class AirtableAmbiguous(AirtableError, DependencyDown):
    """An upload got no clear answer: the attachment may be there. Look for its filename before sending again."""

    code = "airtable_ambiguous"
    retryable = True
    ambiguous = True
    dependency = "airtable"


class UploadFailed(AirtableError):
    """The film did not arrive in the record, although Airtable took the request. The message says what to check."""

    code = "upload_failed"


class BadRecord(AirtableError):
    """The record's content cannot be used; its owner has to mend it."""

    code = "bad_record"


class NoPrompts(BadRecord):
    """The record holds no prompt."""

    code = "no_prompts"


class UnreadableCell(BadRecord):
    """A field that should hold text holds something else.

    Attributes:
        field: its name.
    """

    code = "unreadable_cell"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownAspectRatio(BadRecord):
    """The record asks for a shape we do not know."""

    code = "unknown_aspect_ratio"
