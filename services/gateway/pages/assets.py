"""Style, scripts and icon: served under a name that changes with their content, so that they may be kept for ever."""

import hashlib
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from services.gateway.errors import ApiError

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"


def _read() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}


_ASSETS = _read()
VERSION = hashlib.sha256(b"\n".join(name.encode() + content for name, content in _ASSETS.items())).hexdigest()[:12]
"""Of all of them together: modules import one another by relative names."""


def asset_url(name: str) -> str:
    """Return the address of an asset.

    Raises:
        KeyError: there is no such asset.
    """
    if name not in _ASSETS:
        raise KeyError(name)
    return f"/assets/{VERSION}/{name}"


@router.get("/assets/{version}/{name}", response_model=None)
async def asset(version: str, name: str) -> Response:
    """Serve an asset; of another version too (a page of the old one may still be open), but not to be kept."""
    content = _ASSETS.get(name)
    if content is None:
        raise ApiError(404, "not_found", "There is no such file")
    caching = _FOREVER if version == VERSION else "no-cache"
    headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=_TYPES[name[name.rindex(".") :]], headers=headers)
