"""HTTP servers inside the running event loop, and responses that misbehave on purpose.

uvicorn does the serving. Two things are added: servers start and stop within somebody else's loop and leave the
process's signal handlers alone, and an application can reach the connection itself, because a partner that drops
the connection, or never answers, cannot be written as an ordinary response.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, cast

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.faults import CODE, Fault

_TRANSPORT = "twin.transport"
_GRACE_S = 2.0

#: Set when the servers of the current request are closing.
_closing: ContextVar[asyncio.Event] = ContextVar("closing")


class _Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol that shows the connection to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[_TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = app


class _Server(uvicorn.Server):
    """A server within somebody else's loop: it leaves signals alone, and starts and stops at once."""

    async def begin(self, sock: socket.socket) -> None:
        """Listen."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[sock])
        self._clock = asyncio.create_task(self._keep_date())

    async def _keep_date(self) -> None:
        while True:
            await self.on_tick(0)  # renews the Date header
            await asyncio.sleep(1)

    async def end(self) -> None:
        """Stop listening, let running requests finish for a moment, and cut what is left."""
        for server in self.servers:
            server.close()
        self._clock.cancel()
        await asyncio.gather(self._clock, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_GRACE_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_GRACE_S)
        for _ in range(100):  # a transport is closed one or two turns of the loop after it was aborted
            if not self.server_state.connections:
                break
            await asyncio.sleep(0)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes any free one.

    Raises:
        OSError: The address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: only then does asyncio send small packets at once (TCP_NODELAY), and an answer is two of them.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def origin_of(sock: socket.socket) -> str:
    """Return `http://host:port` of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def serving(applications: Sequence[tuple[ASGIApp, socket.socket]]) -> AsyncIterator[None]:
    """Serve applications on their sockets for as long as the context lasts; the sockets are closed at its end.

    Requests that wait on purpose are let go at the end, so that leaving takes a fraction of a second.
    """
    closing = asyncio.Event()
    servers: list[_Server] = []
    try:
        for application, sock in applications:
            config = uvicorn.Config(
                _with_closing(application, closing),
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=30,
            )
            server = _Server(config)
            await server.begin(sock)
            servers.append(server)
        yield
    finally:
        closing.set()
        await asyncio.gather(*(server.end() for server in servers))


def _with_closing(application: ASGIApp, closing: asyncio.Event) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        _closing.set(closing)
        await application(scope, receive, send)

    return app


async def pause(duration_ms: float) -> None:
    """Wait within a request; no longer than the server is open."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(duration_ms / 1000):
            await _closing.get().wait()


async def _until_gone(receive: Receive) -> None:
    """Wait until the client has gone away or the server is closing."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    waiting = [asyncio.ensure_future(gone()), asyncio.ensure_future(_closing.get().wait())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def cut_connection(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Cut the client's connection: with a TCP reset at once, or a plain close after what was written."""
    transport = cast("asyncio.Transport", scope["extensions"][_TRANSPORT])
    if reset:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    await _until_gone(receive)


class DroppedConnection(Response):
    """No answer at all: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection."""
        await cut_connection(scope, receive, reset=True)


class NoAnswer(Response):
    """No answer at all: the connection stays open until the client gives up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the client to go away."""
        await _until_gone(receive)
        transport = cast("asyncio.Transport", scope["extensions"][_TRANSPORT])
        if not transport.is_closing():
            await cut_connection(scope, receive, reset=True)


HTTP_FAULTS = {
    "latency": "wait <ms> before the request is looked at",
    "late": "apply the request, wait <ms>, then answer",
    "drop_before": "reset the connection, nothing applied",
    "drop_after": "apply the request, then reset the connection",
    "hang_before": "never answer, nothing applied",
    "hang_after": "apply the request, never answer",
    "malformed": "apply the request, answer half of the JSON",
    "html": "an HTML error page of a proxy with status <n> (502), nothing applied",
    CODE: "refuse with this code, nothing applied",
}
"""Faults that every JSON route of both twins can show."""

_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr></body></html>"


def html_error(status: int) -> Response:
    """Return the kind of page a proxy in front of a service shows."""
    return Response(_HTML.format(f"{status} Bad Gateway"), status, media_type="text/html")


async def answer_with_faults(
    faults: Sequence[Fault],
    handle: Callable[[], Awaitable[Response]],
    refuse: Callable[[Fault], Response | None],
) -> Response:
    """Answer a request while the given faults apply.

    Args:
        faults: What goes wrong, in order.
        handle: Applies the request and returns its proper answer.
        refuse: Returns the refusal that a fault stands for in this twin, or None if it is none.
    """
    for fault in faults:
        if fault.how == "latency":
            await pause(fault.number(1000))
    for fault in faults:
        instead = _instead_of_handling(fault) or refuse(fault)
        if instead is not None:
            return instead
    response = await handle()
    for fault in faults:
        if fault.how == "late":
            await pause(fault.number(1000))
    for fault in faults:
        instead = _instead_of_answering(fault, response)
        if instead is not None:
            return instead
    return response


def _instead_of_handling(fault: Fault) -> Response | None:
    if fault.how == "drop_before":
        return DroppedConnection()
    if fault.how == "hang_before":
        return NoAnswer()
    return html_error(int(fault.number(502))) if fault.how == "html" else None


def _instead_of_answering(fault: Fault, response: Response) -> Response | None:
    if fault.how == "drop_after":
        return DroppedConnection()
    if fault.how == "hang_after":
        return NoAnswer()
    if fault.how == "malformed":
        body = bytes(response.body)
        return Response(body[: len(body) // 2], response.status_code, media_type="application/json")
    return None
