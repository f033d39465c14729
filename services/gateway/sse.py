"""Server-Sent Events as an HTTP answer: frames, keep-alive, and readers who do not read.

Written on Starlette's own streaming answer: `sse-starlette` changes uvicorn's signal handling for the whole process and
leaves a task running in every event loop, while our process handles its signals itself.
Format after https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import structlog
from fastapi.responses import StreamingResponse
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

log = structlog.get_logger(__name__)

KEEP_ALIVE = b": still here\n\n"
SEND_TIMEOUT_S = 20.0
"""A reader that takes nothing for this long is let go; it can come back and resume."""
RETRY_MS = 2_000
"""After how long a browser connects again."""


def frame(name: str, data: Any, event_id: str | None = None) -> bytes:
    """Return one event; its data is JSON on one line."""
    head = f"event: {name}\n" if event_id is None else f"id: {event_id}\nevent: {name}\n"
    return head.encode() + b"data: " + to_json(data) + b"\n\n"


def preamble() -> bytes:
    """Return what a stream begins with."""
    return f"retry: {RETRY_MS}\n\n".encode()


class EventStream(StreamingResponse):
    """Sends frames as they come.

    Args:
        frames: made by the route; closed when the reader goes, stalls or the stream ends.
        ended: called once when all is over, however it ended.
    """

    def __init__(
        self, frames: AsyncGenerator[bytes], ended: Callable[[], None], *, send_timeout_s: float = SEND_TIMEOUT_S
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(frames, headers=headers, media_type="text/event-stream")
        self._frames = frames
        self._ended = ended
        self._send_timeout_s = send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()

    async def stream_response(self, send: Send) -> None:
        """Send frame after frame; return without the end of the body if the reader takes no more."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with aclosing(self._frames) as frames:
                async for chunk in frames:
                    async with asyncio.timeout(self._send_timeout_s):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            log.info("a reader of live events takes no more; it is let go")
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
