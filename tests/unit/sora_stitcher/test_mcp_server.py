"""The tools of the MCP server, without the protocol."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx

from sora_stitcher.client import AsyncClient
from sora_stitcher.mcp_server import _Tools
from tests.unit.sora_stitcher.answers import JOB_ID, answered, frame, job


class QuietStream(httpx.AsyncByteStream):
    """A stream that says how the job stands, and then nothing for ever."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield frame(job(), 1).encode()
        await asyncio.Event().wait()


class Asking:
    """What a tool is told of who calls it."""

    async def report_progress(self, progress: float, total: float | None, message: str | None) -> None:
        pass


def quiet_gateway(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/events"):
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=QuietStream())
    return httpx.Response(200, json=answered(job()))


async def test_waiting_for_a_quiet_film_ends_in_time() -> None:
    async with AsyncClient(transport=httpx.MockTransport(quiet_gateway)) as client, asyncio.timeout(20):
        film = await _Tools(client).film_status(JOB_ID, cast("Any", Asking()), wait_seconds=1)
    assert film.status == "generating"
