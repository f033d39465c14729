"""The list of films, one film, and its picture."""

import asyncio
import json
import secrets
from collections import OrderedDict
from io import BytesIO
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from PIL import Image

from services.gateway.errors import ApiError
from services.gateway.pages.film_view import film_page, links_of
from services.gateway.pages.films_view import Row, filters, find, row_of
from services.gateway.pages.guard import Looking, PageRoute
from services.gateway.pages.rendering import page
from services.gateway.pages.words import STATUS_WORDS, status_tone
from services.gateway.state import GatewayState, State
from services.gateway.views import job_view
from shared.job.model import JobStatus

router = APIRouter(include_in_schema=False, route_class=PageRoute)

WIDTHS = (320, 960)
"""Of small pictures, in pixels: for rows, and for the player before it plays."""
_KEPT = 400
_MAX_POSTER_BYTES = 20_000_000
_WORDS = {
    status: {"word": STATUS_WORDS[status], "tone": status_tone(status), "final": status.is_final}
    for status in JobStatus
}
_BLANK = Row("", "", "", "", "", 0, 0, 0, 0, None, "", "", "", "", False)


@router.get("/", response_model=None)
async def films(
    request: Request,
    state: State,
    who: Looking,
    q: Annotated[str, Query(max_length=200)] = "",
    status: str = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Show the films, newest first."""
    query = q.strip()
    chosen = JobStatus(status) if status in set(JobStatus) else None
    store = state.context.store
    try:
        found = await find(store, query, chosen, cursor)
    except ValueError as error:
        raise ApiError(400, "invalid_cursor", "This page of the list does not exist: begin with the newest") from error
    now = state.context.clock()
    more = {"q": query, "status": chosen or "", "cursor": found.cursor or ""}
    return await page(
        request,
        state,
        "films.html",
        who.session,
        rows=[row_of(job, state.site, now) for job in found.jobs],
        blank=_BLANK,
        filters=filters(await store.counts(), chosen),
        query=query,
        status=chosen or "",
        found=found,
        is_first=cursor is None,
        older=f"/?{urlencode({name: value for name, value in more.items() if value})}" if found.cursor else "",
        words=json.dumps(_WORDS),
        table_url=state.site.table_url or "",
    )


@router.get("/films/{job_id}", response_model=None)
async def film(
    job_id: str, request: Request, state: State, who: Looking, confirm: str = "", done: str = ""
) -> Response:
    """Show one film."""
    job = await state.context.store.get(job_id)
    now = state.context.clock()
    shown = film_page(job, state.site, links_of(state.signer, now), now)
    return await page(
        request,
        state,
        "film.html",
        who.session,
        film=shown,
        request_id=secrets.token_hex(8),  # two people who look at the same film ask for two takes
        confirm=confirm,
        done=done,
        words=json.dumps(_WORDS),
    )


@router.get("/films/{job_id}/raw", response_model=None)
async def raw(job_id: str, request: Request, state: State, who: Looking) -> Response:
    """Show a film as the API does."""
    job = await state.context.store.get(job_id)
    text = json.dumps(job_view(job, state.links), indent=2, ensure_ascii=False)
    return await page(request, state, "raw.html", who.session, job_id=job_id, text=text)


class _Thumbnails:
    """Small pictures that were asked for lately."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()

    async def of(self, state: GatewayState, key: str, width: int) -> bytes | None:
        """Return a picture of this width; None if it is not kept any more."""
        stat = await state.context.artifacts.stat(key)
        if stat is None or stat.size_bytes > _MAX_POSTER_BYTES:
            return None
        name = (key, stat.modified_at, width)
        small = self._kept.pop(name, None)
        if small is None:
            whole = b"".join([chunk async for chunk in state.context.artifacts.read(key)])
            small = await asyncio.to_thread(_shrunk, whole, width)
        self._kept[name] = small
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return small


_thumbnails = _Thumbnails()


def _shrunk(jpeg: bytes, width: int) -> bytes:
    with Image.open(BytesIO(jpeg), formats=("JPEG",)) as picture:
        picture.draft("RGB", (width, width))  # decodes no more of it than is needed
        picture.thumbnail((width, width))
        out = BytesIO()
        picture.convert("RGB").save(out, "JPEG", quality=72, optimize=True, progressive=True)
    return out.getvalue()


@router.get("/films/{job_id}/poster-{width}.jpg", response_model=None)
async def poster(job_id: str, width: int, state: State, _who: Looking) -> Response:
    """Serve a film's poster, small."""
    if width not in WIDTHS:
        raise ApiError(404, "not_found", "There is no such picture")
    job = await state.context.store.get(job_id)
    key = job.film.poster.key if job.film is not None and job.film.poster is not None else None
    small = await _thumbnails.of(state, key, width) if key is not None else None
    if small is None:
        raise ApiError(404, "not_found", "There is no such picture (any more)")
    headers: dict[str, Any] = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(small, media_type="image/jpeg", headers=headers)
