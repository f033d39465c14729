"""Routes that read a right request themselves, in half the time; any other is FastAPI's to judge.

FastAPI finds out with every request what a route wants: dependencies, headers, body. Where all of that is known
beforehand, and the request is as it should be, the route is called at once. Whatever is unusual goes the long way,
from the beginning: so refusals are worded in one place, and the OpenAPI document is the same.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from services.gateway.auth import require_key
from services.gateway.fields import Body

KEY_HEADER = "Idempotency-Key"
KEY_PATTERN = r"^[\x20-\x7e]+$"
MAX_KEY_CHARS = 255
_KEY = re.compile(KEY_PATTERN)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class QuickRoute(APIRoute):
    """A route `(body, request, idempotency_key)` below `require_key` that answers with a `Response`."""

    def get_route_handler(self) -> Handler:
        """Return what answers a request: FastAPI asks for it once."""
        thorough = super().get_route_handler()
        endpoint: Callable[..., Awaitable[Response]] = self.endpoint
        model: type[Body] = get_type_hints(endpoint)["body"]

        async def handler(request: Request) -> Response:
            key = request.headers.get(KEY_HEADER)
            body = read_body(request.headers.get("content-type", ""), await request.body(), model)
            if body is None or not (key is None or usable_key(key)):
                return await thorough(request)
            await require_key(request)
            return await endpoint(body, request, key)

        return handler


def read_body(content_type: str, raw: bytes, model: type[Body]) -> Body | None:
    """Return what FastAPI would make of a body; None if FastAPI itself must look at it."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return None
    try:
        return model.model_validate(from_json(raw))
    except ValueError:  # not JSON, or not what the route wants: FastAPI says what is wrong
        return None


def usable_key(key: str) -> bool:
    """Return whether FastAPI would take the idempotency key."""
    return len(key) <= MAX_KEY_CHARS and _KEY.fullmatch(key) is not None
