"""Pages as HTTP answers: templates that escape everything, and headers that let nothing foreign in."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.gateway.pages import words
from services.gateway.pages.assets import asset_url
from services.gateway.pages.sessions import Session
from services.gateway.state import GatewayState
from shared.clock import iso
from shared.version import VERSION

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would make browsers say `Origin: null` with our own forms, too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
_ANY_KEY = "jobs/any/film.mp4"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": words.duration,
        "moment": words.moment,
        "iso": iso,
        "size": words.size,
        "seconds": words.seconds,
    }
    environment.globals |= {"asset": asset_url, "version": VERSION, "plural": words.plural}
    return environment


_TEMPLATES = _environment()


def policy(media_origin: str = "") -> str:
    """Return the Content-Security-Policy of all pages: our own files only, nothing inline."""
    media = f"'self' {media_origin}".strip()
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {media}; media-src {media}; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


async def media_origin(state: GatewayState) -> str:
    """Return the origin of the artifact store, if media links lead on to it: the policy holds there, too."""
    if not state.redirect_media:
        return ""
    direct = await state.context.artifacts.direct_url(_ANY_KEY, 1)
    if direct is None:
        return ""
    parts = urlsplit(direct)
    return f"{parts.scheme}://{parts.netloc}"


async def page(
    request: Request, state: GatewayState, template: str, session: Session | None, status_code: int = 200, **values: Any
) -> Response:
    """Return a page.

    Args:
        request: what is answered.
        state: of the gateway.
        template: its file.
        session: of the visitor.
        status_code: of the answer.
        **values: what the template shows.
    """
    html = _TEMPLATES.get_template(template).render(
        path=request.url.path,
        csrf=session.csrf if session is not None else "",
        key_name=session.token.key_name if session is not None and session.is_signed_in else "",
        is_open=not state.access.keys,
        now=state.context.clock(),
        **values,
    )
    headers = {**_HEADERS, "Content-Security-Policy": policy(await media_origin(state))}
    return HTMLResponse(html, status_code, headers=headers)
