"""What a form posted: fields that may come several times, in the order of the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request

from services.gateway.errors import ApiError

MAX_FIELDS = 5_000
_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """A posted form."""

    fields: Sequence[tuple[str, str]] = ()

    def get(self, name: str) -> str:
        """Return a field without the blanks around it; empty if it is missing."""
        return next((value for key, value in self.fields if key == name), "").strip()

    def all(self, name: str) -> list[str]:
        """Return every value of a field, line ends as Unix writes them."""
        return [value.replace("\r\n", "\n") for key, value in self.fields if key == name]


async def read_form(request: Request) -> Form:
    """Return the posted form.

    Raises:
        ApiError: it is none.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != _TYPE:
        raise ApiError(415, "unsupported_type", f"a form is sent as {_TYPE}")
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise ApiError(400, "invalid_request", f"the form cannot be read: {error}") from error
    return Form(pairs)
