"""A TCP proxy that can lose the answer of a server which did its work."""

import asyncio
import contextlib


class TcpProxy:
    """Forwards connections to a local port; `async with` runs it.

    Attributes:
        port: where it listens.
        answers_lost: how many answers it has swallowed.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._to_lose = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.answers_lost = 0

    def lose_answers(self, count: int) -> None:
        """Swallow the next `count` answers and break their connections."""
        self._to_lose = count

    async def __aenter__(self) -> "TcpProxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.closing(writer):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            with contextlib.closing(up_writer), contextlib.suppress(ConnectionError, asyncio.CancelledError):
                requests = asyncio.create_task(_copy(reader, up_writer))
                try:
                    await self._answers(up_reader, writer)
                finally:
                    requests.cancel()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._to_lose:
                self._to_lose -= 1
                self.answers_lost += 1
                return
            writer.write(data)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
