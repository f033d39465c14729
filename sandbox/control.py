"""What the control planes of both twins share: JSON bodies, errors, and the routes for faults."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.faults import FaultBook, FaultRule

Handler = Callable[[Request], Awaitable[Response]]


def bad_request(message: str, status: int = 400) -> Response:
    """Return the control plane's error answer."""
    return JSONResponse({"error": message}, status)


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body ({} when the body is empty).

    Raises:
        ValueError: It is something else.
    """
    value = await _json_of(request)
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 - the caller's mistake, a 400
    return value


async def _json_of(request: Request) -> Any:
    raw = await request.body()
    return json.loads(raw) if raw else {}


def refuse_bad_values(handler: Handler) -> Handler:
    """Turn a handler's `ValueError` (pydantic's too) into a 400 that says what is wrong."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return bad_request(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except ValueError as error:
            return bad_request(str(error))

    return guarded


def fault_routes(book: FaultBook) -> list[Route]:
    """Return `/__twin__/faults`: list, add, remove."""

    async def show(_: Request) -> Response:
        return JSONResponse({"faults": book.snapshot(), "catalogue": book.catalogue})

    async def add(request: Request) -> Response:
        given = await _json_of(request)
        rules = [FaultRule(**rule) for rule in (given if isinstance(given, list) else [given])]
        return JSONResponse({"ids": [book.add(rule) for rule in rules]})

    async def clear(_: Request) -> Response:
        book.clear()
        return JSONResponse({})

    async def remove(request: Request) -> Response:
        gone = book.remove(request.path_params["id"])
        return JSONResponse({}) if gone else bad_request("no such fault", 404)

    return [
        Route("/__twin__/faults", show, methods=["GET"]),
        Route("/__twin__/faults", refuse_bad_values(add), methods=["POST"]),
        Route("/__twin__/faults", clear, methods=["DELETE"]),
        Route("/__twin__/faults/{id}", remove, methods=["DELETE"]),
    ]
