"""Files that are served: closed when they are wanted no more."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.types import Message

from services.gateway.routes_media import FileStream


async def test_a_file_is_closed_as_soon_as_its_reader_goes() -> None:
    is_open, sending = True, asyncio.Event()

    async def bytes_of_a_file() -> AsyncGenerator[bytes]:
        nonlocal is_open
        try:
            while True:
                yield b"frames"
        finally:
            is_open = False

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sending.set()
            await asyncio.Event().wait()  # the reader takes no more

    async def receive() -> Message:
        await sending.wait()
        return {"type": "http.disconnect"}

    content = bytes_of_a_file()  # kept here: its end must not depend on the garbage collector
    await FileStream(content)({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    assert not is_open
