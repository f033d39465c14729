"""A TCP proxy that misbehaves on request: refuses, delays, resets, or loses the reply to a request that was done.

With several targets it is a load balancer: each connection goes to the next one that takes it.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Self

CHUNK_BYTES = 65_536


class ToxicProxy:
    """Forwards connections to local ports; `async with` runs it.

    Attributes:
        port: where it listens.
        targets: ports of 127.0.0.1 that it forwards to.
        delay_s: every piece of data waits this long.
        replies_lost: how many replies it has swallowed.
    """

    def __init__(self, targets: Sequence[int]) -> None:
        self.targets = list(targets)
        self.port = 0
        self.delay_s = 0.0
        self.replies_lost = 0
        self._to_lose = 0
        self._turn = 0
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.heal()
        assert self._server is not None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def refuse(self) -> None:
        """Be gone: break every connection and refuse new ones, until `heal`."""
        if self._server is not None:
            self._server.close()
            self.reset()
            await self._server.wait_closed()
            self._server = None

    def lose_replies(self, count: int) -> None:
        """Swallow the next `count` replies and break their connections."""
        self._to_lose = count

    def reset(self) -> None:
        """Break every open connection (RST)."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def heal(self) -> None:
        """Behave from now on."""
        self.delay_s, self._to_lose = 0.0, 0
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        task.add_done_callback(self._pipes.discard)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await self._connect()
        if upstream is None:
            writer.transport.abort()
            return
        up_reader, up_writer = upstream
        self._writers |= {writer, up_writer}
        try:
            requests = asyncio.create_task(self._copy(reader, up_writer, replies=False))
            try:
                await self._copy(up_reader, writer, replies=True)
            finally:
                requests.cancel()
        finally:
            self._writers -= {writer, up_writer}
            for end in (writer, up_writer):
                end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Connect to the next target that takes a connection."""
        for _ in self.targets:
            self._turn += 1
            port = self.targets[self._turn % len(self.targets)]
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
        with contextlib.suppress(OSError):  # either side may break at any time: that is what this is for
            while data := await reader.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if replies and self._to_lose:
                    self._to_lose -= 1
                    self.replies_lost += 1
                    break
                writer.write(data)
                await writer.drain()
            if not replies and writer.can_write_eof():
                writer.write_eof()
