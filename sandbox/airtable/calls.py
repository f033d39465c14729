"""One request to the Airtable twin, taken apart: route, path, body, and what its token may do. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request

from sandbox.airtable import errors


@dataclass(frozen=True, slots=True)
class Access:
    """What a token may do."""

    read: bool = True
    write: bool = True
    options: bool = True
    webhooks: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """One API request, taken apart.

    Attributes:
        method: HTTP method.
        path: Decoded segments after `/v0`.
        request: The request itself, for its query.
        raw: The body.
        access: What its token may do.
    """

    method: str
    path: tuple[str, ...]
    request: Request
    raw: bytes
    access: Access

    def json(self) -> dict[str, Any]:
        """Return the body.

        Raises:
            AirtableError: It is no JSON object.
        """
        try:
            value = json.loads(self.raw, parse_constant=_no_constant)
        except ValueError:
            raise errors.bad_body() from None
        if not isinstance(value, dict):
            raise errors.bad_body()
        return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def segments_of(request: Request) -> list[str]:
    """Return the segments of a request's path, split before they are percent-decoded."""
    raw_path = request.scope.get("raw_path") or request.url.path.encode()
    return [unquote(part) for part in raw_path.decode("ascii", "replace").split("?")[0].split("/") if part]


def route_of(method: str, path: tuple[str, ...], *, content_host: bool) -> str:
    """Return the name of the route that a path (without `v0`) stands for, or "" where there is none."""
    if len(path) == 4 and path[3] == "uploadAttachment" and method == "POST":
        return "upload" if content_host else ""
    if content_host:
        return ""
    if path[:1] == ("meta",):
        named = path[1] if len(path) == 2 and path[1] in {"whoami", "bases"} else ""
        schema = len(path) == 4 and path[1] == "bases" and path[3] == "tables"
        return ("schema" if schema else named) if method == "GET" else ""
    if path[:1] == ("bases",):
        return "webhook" if len(path) >= 3 and path[2] == "webhooks" else ""
    if len(path) == 2:
        return {
            "GET": "list",
            "POST": "create",
            "PATCH": "update",
            "PUT": "update",
            "DELETE": "delete",
        }.get(method, "")
    if len(path) == 3 and path[2] == "listRecords" and method == "POST":
        return "list"
    if len(path) == 3 and path[2].startswith("rec"):
        return {"GET": "get", "PATCH": "update", "PUT": "update", "DELETE": "delete"}.get(method, "")
    return ""
