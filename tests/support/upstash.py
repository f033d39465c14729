"""A twin of Upstash's REST API in front of a real redis-server, with faults on request.

Speaks the contract of https://upstash.com/docs/redis/features/restapi: `POST /` with one command as a JSON
array, `/pipeline` and `/multi-exec` with an array of them, a bearer token, `{"result": …}` or
`{"error": …}` (status 400), and base64 answers when `Upstash-Encoding` asks for them.
"""

import asyncio
import base64
import json
import socket
import threading
import time
from enum import Enum, auto
from typing import Any

import uvicorn
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import ResponseError
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

START_TIMEOUT_S = 10.0
MAX_REQUEST_BYTES = 10_000_000
NOT_OVER_REST = {"BLPOP", "BRPOP", "BLMOVE", "BZPOPMIN", "BZPOPMAX", "SUBSCRIBE", "WATCH", "MULTI", "EXEC", "SELECT"}


class Fault(Enum):
    """What may happen to a request."""

    UNAUTHORIZED = auto()
    RATE_LIMITED = auto()
    SERVER_ERROR = auto()
    BAD_GATEWAY_PAGE = auto()
    NO_ANSWER = auto()
    ANSWER_LOST = auto()
    """The command is executed; the connection breaks before the answer is through."""


class _TornResponse(Response):
    """Promises a body, sends a part of it, and lets the connection break."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"res', "more_body": True})


class UpstashTwin:
    """The HTTP server, in a thread of its own; `start` and `stop` it.

    Attributes:
        url: base URL to hand to a client.
        token: the only token it accepts.
        requests: how many requests came in.
    """

    def __init__(self, redis_url: str, token: str = "twin-secret-token") -> None:
        self.token = token
        self.requests = 0
        self._faults: list[Fault] = []
        # asyncio switches Nagle's algorithm off only on sockets that say they are TCP; `create_server` does not say.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._pool = BlockingConnectionPool.from_url(redis_url, protocol=2, max_connections=10)
        self._server = uvicorn.Server(
            uvicorn.Config(self, lifespan="off", ws="none", log_level="critical", access_log=False)
        )
        self._thread = threading.Thread(target=self._serve, name="upstash-twin", daemon=True)

    def start(self) -> None:
        """Return once it answers."""
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            assert self._thread.is_alive(), "the twin ended"
            assert time.monotonic() < deadline, "the twin does not start"
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, requests under way included."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(START_TIMEOUT_S)
        self._socket.close()

    def fail(self, fault: Fault, times: int = 1) -> None:
        """Make the next `times` requests suffer `fault`."""
        self._faults += [fault] * times

    def heal(self) -> None:
        """Forget the faults not yet used up."""
        self._faults.clear()

    def _serve(self) -> None:
        async def serve() -> None:
            await self._server.serve(sockets=[self._socket])
            await self._pool.disconnect()

        asyncio.run(serve())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        self.requests += 1
        fault = self._faults.pop(0) if self._faults else None
        authorized = request.headers.get("authorization") == f"Bearer {self.token}"
        if fault is Fault.UNAUTHORIZED or not authorized:
            return JSONResponse({"error": "WRONGPASS invalid or missing auth token"}, 401)
        if fault is Fault.RATE_LIMITED:
            return JSONResponse({"error": "ERR max requests limit exceeded. Limit: 500000, Usage: 500001"}, 429)
        if fault is Fault.SERVER_ERROR:
            return JSONResponse({"error": "ERR internal server error"}, 500)
        if fault is Fault.BAD_GATEWAY_PAGE:
            return HTMLResponse("<html><h1>502 Bad Gateway</h1></html>", 502)
        if fault is Fault.NO_ANSWER:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return Response(status_code=504)
        response = await self._respond(request)
        return _TornResponse() if fault is Fault.ANSWER_LOST else response

    async def _respond(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_REQUEST_BYTES:
            return JSONResponse({"error": "ERR max request size exceeded"}, 400)
        in_base64 = request.headers.get("upstash-encoding") == "base64"
        content = json.loads(body)
        path = request.url.path.strip("/")
        if path == "pipeline":
            return JSONResponse([await self._one(command, in_base64) for command in content])
        if path == "multi-exec":
            return await self._transaction(content, in_base64)
        result = await self._one(content, in_base64)
        return JSONResponse(result, 400 if "error" in result else 200)

    async def _one(self, command: list[Any], in_base64: bool) -> dict[str, Any]:
        name = str(command[0]).upper() if command else ""
        if not name or name in NOT_OVER_REST:
            return {"error": f"ERR Command is not available: '{name}'"}
        reply = (await self._forward([command]))[0]
        return {"error": str(reply)} if isinstance(reply, ResponseError) else {"result": _encode(reply, in_base64)}

    async def _transaction(self, commands: list[list[Any]], in_base64: bool) -> Response:
        replies = (await self._forward([["MULTI"], *commands, ["EXEC"]]))[-1]
        if isinstance(replies, ResponseError):
            return JSONResponse({"error": str(replies)}, 400)
        return JSONResponse(
            [
                {"error": str(reply)} if isinstance(reply, ResponseError) else {"result": _encode(reply, in_base64)}
                for reply in replies
            ]
        )

    async def _forward(self, commands: list[list[Any]]) -> list[Any]:
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            replies: list[Any] = []
            for command in commands:
                await connection.send_command(*command)
                try:
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(_as_sent(error))
            return replies
        finally:
            await self._pool.release(connection)


def _as_sent(error: ResponseError) -> ResponseError:
    """Undo redis-py, which takes the leading code off the server's text."""
    text = str(error)
    if "No matching script" in text and not text.startswith("NOSCRIPT"):
        return ResponseError(f"NOSCRIPT {text}")
    return error if text.split(" ", maxsplit=1)[0].isupper() else ResponseError(f"ERR {text}")


def _encode(reply: Any, in_base64: bool) -> Any:
    if isinstance(reply, list):
        return [_encode(item, in_base64) for item in reply]
    if not isinstance(reply, bytes):
        return reply
    if in_base64 and reply != b"OK":
        return base64.b64encode(reply).decode()
    return reply.decode("utf-8", "replace")
