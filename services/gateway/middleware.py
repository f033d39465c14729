"""What happens to every request before a route sees it: size and charset checks, metrics, traces. Pure ASGI."""

import asyncio
from collections.abc import Sequence
from itertools import product
from time import perf_counter
from typing import Any

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.errors import error_response
from shared import metrics, tracing

MAX_BODY_BYTES = 1024 * 1024
MAX_CALLBACK_BYTES = 256 * 1024
MAX_BATCH_BYTES = 16 * 1024 * 1024
DISCARD_BYTES = 16 * 1024 * 1024
DISCARD_S = 5.0
CALLBACK_PATH = "/api/callback/sora"
BATCH_PATH = "/api/jobs:batch"
BODY_LIMITS = {CALLBACK_PATH: MAX_CALLBACK_BYTES, BATCH_PATH: MAX_BATCH_BYTES}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Those that metrics name: a stranger may send any word, and every label value is kept for ever."""

OTHER_METHOD = "other"
UNMATCHED = "unmatched"
ANY_ROUTE_ANSWERS = frozenset({400, 401, 404, 429, 500, 503})
"""Beside what a route documents: its series are there before the first error, which `rate()` would miss otherwise."""

UNMATCHED_ANSWERS = frozenset({200, 400, 404, 413, 500})
"""To what leads nowhere, and to bodies that are refused before a route is looked for; 200 is FastAPI's own document."""

UNTRACED = frozenset({"/metrics", "/healthz", "/readyz", "/api/health"})
ENDLESS = "/events"
"""The route of streams, which last as long as somebody looks: no time to answer."""


class BodyGuard:
    """Refuses bodies that are too large or not UTF-8, and hands the others on whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        limit = BODY_LIMITS.get(scope["path"], MAX_BODY_BYTES)
        refusal = _refused_by_headers(request, limit)
        body, more = bytearray(), True
        while refusal is None and more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                refusal = _too_large(limit)
        if refusal is None and not _is_utf8(body):
            refusal = error_response(400, "invalid_request", "the body is not UTF-8 text")
        if refusal is not None:
            if more:
                await _discard(receive)
            await refusal(scope, receive, send)
            return
        await self._app(scope, _replay(bytes(body), receive), send)


async def _discard(receive: Receive) -> None:
    """Read the rest of a refused body, within bounds: a client cut off while it sends may never see the answer."""
    discarded = 0
    try:
        async with asyncio.timeout(DISCARD_S):
            while discarded < DISCARD_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                discarded += len(message.get("body", b""))
    except TimeoutError:
        return  # the client stalls; it gets its answer now


def _refused_by_headers(request: Request, limit: int) -> Response | None:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        return _too_large(limit)
    for parameter in request.headers.get("content-type", "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        charset = value.strip().strip('"').lower()
        if name.strip().lower() == "charset" and charset not in ("utf-8", "utf8", "us-ascii"):
            return error_response(400, "unsupported_charset", "the body must be JSON in UTF-8")
    return None


def _too_large(limit: int) -> Response:
    return error_response(
        413, "body_too_large", f"the body is larger than {limit // 1024} KiB", headers={"Connection": "close"}
    )


def _is_utf8(body: bytearray) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class AnswerHeaders:
    """Adds what routes have put into `request.state.answer_headers`, to errors and streams too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = state.get("answer_headers", {}).items()
                raw = [(name.lower().encode(), value.encode()) for name, value in added]
                message = {**message, "headers": [*message.get("headers", ()), *raw]}
            await send(message)

        await self._app(scope, receive, add)


class HttpMetrics:
    """Counts, times and traces requests by route (never by path: paths hold ids).

    Args:
        app: what answers.
        routes: whose series exist from the start.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute] = ()) -> None:
        self._app = app
        _zero(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in UNTRACED:
            await self._measured(scope, receive, send)
            return
        method = _method(scope)
        with tracing.span(method, "server", Headers(scope=scope).get("traceparent")) as span:
            try:
                await self._measured(scope, receive, send)
            finally:
                route = _route(scope)
                span.note(f"{method} {route}", http__request__method=method, http__route=route)

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = perf_counter(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            method, route = _method(scope), _route(scope)
            metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc()
            if not route.endswith(ENDLESS):
                metrics.HTTP_DURATION.labels(method, route).observe(perf_counter() - started, tracing.exemplar())


def _zero(routes: Sequence[BaseRoute]) -> None:
    """Create the series of all routes, and of what matches none."""
    for method, status in product((*METHODS, OTHER_METHOD), UNMATCHED_ANSWERS):
        metrics.HTTP_REQUESTS.labels(method, UNMATCHED, str(status))
        metrics.HTTP_DURATION.labels(method, UNMATCHED)
    for route in iter_route_contexts(routes):
        if not isinstance(route.original_route, APIRoute):
            continue  # such a one leaves no name in the request's scope: it counts as unmatched
        known = {route.status_code or 200, *route.responses, *ANY_ROUTE_ANSWERS}
        for method in route.methods or ():
            for status in known:
                metrics.HTTP_REQUESTS.labels(method, route.path, str(status))
            if not str(route.path).endswith(ENDLESS):
                metrics.HTTP_DURATION.labels(method, route.path)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else OTHER_METHOD


def _route(scope: Scope) -> str:
    path: str = getattr(scope.get("route"), "path", UNMATCHED)
    return path
