"""Files that twins serve: `Range`, `HEAD`, and everything that can go wrong with a download."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sandbox.faults import Fault
from sandbox.serving import DroppedConnection, NoAnswer, cut_connection, html_error, pause

_CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
_LOGIN_PAGE = "<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return first and last byte that a `Range` header asks for, or None for the whole file.

    Raises:
        ValueError: The range lies outside the file (416).
    """
    match = _RANGE.match(header or "")
    if match is None or (not match[1] and not match[2]):
        return None
    if not match[1]:
        first, last = max(0, size - int(match[2])), size - 1
    else:
        first, last = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    if first > last:
        raise ValueError(f"range {header} outside {size} bytes")
    return first, last


async def _chunks(path: Path, first: int, count: int, bytes_per_s: float = 0) -> AsyncIterator[bytes]:
    """Yield a part of a file; the reads are short enough not to need a thread."""
    chunk_bytes = max(1, int(bytes_per_s / 20)) if bytes_per_s else _CHUNK_BYTES
    with path.open("rb") as file:
        file.seek(first)
        while count > 0 and (chunk := file.read(min(chunk_bytes, count))):
            yield chunk
            count -= len(chunk)
            if bytes_per_s:
                await pause(1000 * len(chunk) / bytes_per_s)


class _BrokenStream(StreamingResponse):
    """Sends less than `Content-Length` promised, then the connection breaks."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self.body_iterator:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await cut_connection(scope, receive, reset=False)


async def _endless(head: Path, size: int) -> AsyncIterator[bytes]:
    async for chunk in _chunks(head, 0, size):
        yield chunk
    while True:
        yield bytes(_CHUNK_BYTES)
        await asyncio.sleep(0)


FILE_FAULTS = {
    "truncated": "the file really ends after <percent> (50)",
    "broken": "the connection breaks after <percent> (50) of what was asked for; resumable by Range",
    "slow": "<bytes> a second (50000)",
    "endless": "never stops sending",
    "empty": "200 with nothing",
    "html": "a sign-in page with 200",
    "not_video": "random bytes called video/mp4",
    "no_length": "chunked, without Content-Length",
    "no_range": "ignores Range, answers 200 with everything",
    "link_only": "403 except through a link of download-url",
    "private_redirect": "302 to a private address",
    "redirects": "<n> redirects (5) before the file",
    "redirect_loop": "redirects to itself",
    "hang": "never answers",
    "drop": "resets the connection",
    "<code>": "this HTTP status",
}
"""Words of the channel `file`."""


def _replacement(word: str, fault: Fault, request: Request, hop: int, *, linked: bool) -> Response | None:
    """Return what is sent instead of the file, if the fault is of that kind."""
    path = request.url.path
    if word.isdecimal():
        return html_error(502) if word == "502" else Response("<Error>AccessDenied</Error>", int(word))
    if word == "redirects":
        return RedirectResponse(f"{path}?hop={hop + 1}", 302) if hop < fault.number(5) else None
    if word == "link_only":
        return None if linked else Response("<Error>AccessDenied</Error>", 403)
    simple: Mapping[str, Response] = {
        "html": Response(_LOGIN_PAGE, media_type="text/html"),
        "empty": Response(b"", media_type="video/mp4"),
        "not_video": Response(b"\x00\x01\x02\x03 this is no video " * 4096, media_type="video/mp4"),
        "private_redirect": RedirectResponse("http://169.254.169.254/latest/meta-data/", 302),
        "redirect_loop": RedirectResponse(path, 302),
        "hang": NoAnswer(),
        "drop": DroppedConnection(),
    }
    return simple.get(word)


def file_response(
    request: Request,
    path: Path,
    faults: list[Fault],
    *,
    etag: str,
    linked: bool = False,
    media_type: str = "video/mp4",
) -> Response:
    """Return a clip, or what the faults make of it.

    Args:
        request: `GET` or `HEAD`.
        path: The clip on disk.
        faults: Faults of channel `file`.
        etag: Changes with the content.
        media_type: Content type of the file.
        linked: The request came through a valid link of download-url.
    """
    words = {fault.how: fault for fault in faults}
    hop = int(request.query_params.get("hop", "0"))
    for word, fault in words.items():
        replacement = _replacement(word, fault, request, hop, linked=linked)
        if replacement is not None:
            return replacement
    size = path.stat().st_size
    if "truncated" in words:
        size = int(size * words["truncated"].number(50) / 100)
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{etag}"', "Cache-Control": "public, max-age=86400"}
    if "no_range" in words:
        del headers["Accept-Ranges"]
        span = None
    else:
        try:
            span = parse_range(request.headers.get("range"), size)
        except ValueError:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    first, last = span or (0, size - 1)
    count = last - first + 1
    if span is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    if "no_length" not in words and "endless" not in words:
        headers["Content-Length"] = str(count)
    status = 206 if span is not None else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    if "endless" in words:
        return StreamingResponse(_endless(path, size), status, headers, media_type=media_type)
    if "broken" in words and count > 4096:
        part = _chunks(path, first, int(count * words["broken"].number(50) / 100))
        return _BrokenStream(part, status, headers, media_type=media_type)
    pace = words["slow"].number(50_000) if "slow" in words else 0
    return StreamingResponse(_chunks(path, first, count, pace), status, headers, media_type=media_type)
