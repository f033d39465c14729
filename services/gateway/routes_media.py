"""Films, clips and posters by signed, expiring link; Airtable fetches from here."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Send

from services.gateway import answers
from services.gateway.errors import ApiError
from services.gateway.state import State
from shared.tokens import BadToken

router = APIRouter(tags=["media"])

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
DIRECT_LINK_S = 3600
"""How long the store's own link works: a player that seeks goes back to it without asking us again."""

_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` up to but not including `end`."""

    start: int
    end: int


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the range a `Range` header asks for, or None for the whole file (RFC 9110 §14).

    Several ranges, or a form we do not know, count as no range.

    Raises:
        ValueError: the range lies outside the file.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise ValueError("the range lies outside the file")
    return ByteRange(start, end)


def has_it(if_none_match: str | None, etag: str) -> bool:
    """Return whether an `If-None-Match` header names `etag`, which caches on the way may have weakened."""
    known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return etag in known or "*" in known


class FileStream(StreamingResponse):
    """Sends the bytes of a file, which is closed as soon as nobody takes more of them: players leave in mid-film.

    Args:
        content: the bytes.
        **options: of every answer.
    """

    def __init__(self, content: AsyncGenerator[bytes], **options: Any) -> None:
        super().__init__(content, **options)
        self._content = content

    async def stream_response(self, send: Send) -> None:
        """Send the file, or what is wanted of it."""
        async with aclosing(self._content):
            await super().stream_response(send)


def _wanted_range(request: Request, etag: str) -> str | None:
    """Return the `Range` header where it counts: for GET, and for the very file that `If-Range` names."""
    if request.method != "GET" or request.headers.get("if-range", etag) != etag:
        return None
    return request.headers.get("range")


@router.head("/media/{token}/{name}", include_in_schema=False, response_model=None)
@router.get("/media/{token}/{name}", operation_id="getMedia", response_model=None, responses=answers.FILE)
async def media(token: str, name: str, request: Request, state: State) -> Response:
    """Serve an artifact, or a part of it; or lead on to the store, which knows ranges itself."""
    try:
        key = state.signer.read_media_token(token, state.context.clock()).key
    except BadToken as error:
        raise ApiError(403, "bad_link", f"This link does not work: {error}") from error
    stat = await state.context.artifacts.stat(key)
    if stat is None:
        raise ApiError(404, "not_found", "This file is not kept any more")
    etag = f'"{stat.modified_at:x}-{stat.size_bytes:x}"'
    filename = key.rpartition("/")[2]
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'inline; filename="{filename}"',
        "X-Content-Type-Options": "nosniff",
    }
    if has_it(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if state.redirect_media and request.method == "GET":
        direct = await state.context.artifacts.direct_url(key, DIRECT_LINK_S)
        if direct is not None:
            return RedirectResponse(direct, 307, headers={"Cache-Control": "no-store"})
    try:
        part = parse_range(_wanted_range(request, etag), stat.size_bytes)
    except ValueError as error:
        beyond = {"Accept-Ranges": "bytes", "Content-Range": f"bytes */{stat.size_bytes}"}
        raise ApiError(416, "range_not_satisfiable", str(error), headers=beyond) from error
    whole = part or ByteRange(0, stat.size_bytes)
    headers["Content-Length"] = str(whole.end - whole.start)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{stat.size_bytes}"
    media_type = _TYPES.get(key[key.rfind(".") :], "application/octet-stream")
    status = 206 if part is not None else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    content = state.context.artifacts.read(key, whole.start, whole.end)
    return FileStream(content, status_code=status, headers=headers, media_type=media_type)
