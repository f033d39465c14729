"""A real HTTP/1.1 server on loopback whose every byte the test decides."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """One request as it came; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Handler = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]
"""Writes an answer, or misbehaves."""


def head(status: int, **headers: object) -> bytes:
    """The first lines of an answer; `content_length=5` becomes `content-length: 5`."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode()


def answer(status: int, body: bytes = b"", **headers: object) -> Handler:
    """Answer with this."""

    async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, **{"content_length": len(body), **headers}) + body)

    return handle


def redirect(location: str, status: int = 302) -> Handler:
    """Lead elsewhere."""
    return answer(status, location=location)


def html_page(status: int) -> Handler:
    """Answer with the page of a gateway in front of the real server."""
    return answer(status, b"<html><title>Bad gateway</title></html>", content_type="text/html")


async def reset(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Break the connection with a TCP reset."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Say nothing (more) for ever."""
    await asyncio.Event().wait()


@dataclass
class RawServer:
    """Answers each request with the next handler of a script, whose last one stays.

    Attributes:
        script: the handlers still to come.
        keep_alive: whether a connection is left open for a further request.
        asked: every request, oldest first.
        connections: how many there were.
        was_asked: set with the first request.
    """

    script: list[Handler]
    keep_alive: bool = False
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    _talks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def host(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "") -> str:
        """Address of something here."""
        return f"http://{self.host}{path}"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        self.connections += 1
        try:
            await self._exchange(reader, writer)
            while self.keep_alive and not writer.is_closing():
                await self._exchange(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as is its right
        finally:
            writer.close()
            self._talks.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method, target, headers, body)
        self.asked.append(asked)
        self.was_asked.set()
        handler = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await handler(asked, writer)
        await writer.drain()

    async def end(self) -> None:
        """Break off what is still going on."""
        talks = list(self._talks)
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(*script: Handler, keep_alive: bool = False) -> AsyncIterator[RawServer]:
    """Run a server on a free port for as long as the context lasts."""
    server = RawServer(list(script), keep_alive)
    listener = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.end()
