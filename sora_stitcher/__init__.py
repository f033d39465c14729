"""Sora Video Stitcher for people: the command line, the embedded system, the Python library, the MCP server."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sora_stitcher.client import AsyncClient, Client, ClientError, ClipWish, FilmWish

__all__ = ["AsyncClient", "Client", "ClientError", "ClipWish", "FilmWish"]


def __getattr__(name: str) -> Any:
    """Import the library when it is asked for: the command line starts without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sora_stitcher import client

    return getattr(client, name)
