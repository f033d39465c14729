"""Requests that a twin makes by itself: callbacks, webhook pings, fetching attachments."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import h11
import httpx


class DeliveryError(Exception):
    """Raised when a request was not answered: no connection, no answer in time, or no HTTP."""


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Load the certificate store once: it takes longer than everything else that a twin does at its start."""
    return httpx.create_ssl_context(trust_env=False)


def outgoing_client(**options: Any) -> httpx.AsyncClient:
    """Return a client for the calls that a twin makes by itself: no proxies, as many connections as are needed."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    return httpx.AsyncClient(verify=_certificates(), trust_env=False, limits=limits, **options)


async def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> int:
    """Post a body on a connection of its own and return the answer's status; redirects are not followed.

    A pool would spread over many milliseconds what is to arrive at once, and hundreds of callbacks may be due at once.

    Raises:
        DeliveryError: There was no answer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _post(url, body, headers)
    except TimeoutError:
        raise DeliveryError(f"no answer within {timeout_s:g} s") from None
    except (OSError, ValueError, h11.ProtocolError, EOFError) as error:
        raise DeliveryError(f"{type(error).__name__}: {error}") from error


async def _post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"no URL to post to: {url!r}")
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=_certificates() if secure else None
    )
    try:
        wire = h11.Connection(h11.CLIENT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = h11.Request(
            method="POST",
            target=target,
            headers=[
                ("Host", parts.netloc.rpartition("@")[2]),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
                *headers.items(),
            ],
        )
        writer.write((wire.send(request) or b"") + (wire.send(h11.Data(data=body)) or b""))
        wire.send(h11.EndOfMessage())
        while True:
            event = wire.next_event()
            if isinstance(event, h11.Response):
                return event.status_code
            if event is h11.NEED_DATA:
                wire.receive_data(await reader.read(65536))
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError("the connection was closed without an answer")
    finally:
        writer.close()
