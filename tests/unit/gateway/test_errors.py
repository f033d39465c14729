"""Every exception becomes an answer in the one shape, and none shows a stack trace."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from services.gateway.errors import ApiError, install_error_handlers
from shared.errors import ArtifactsUnavailable, JobNotFound, PublishFailed, StoreUnavailable

Ask = Callable[[Exception], Any]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Let a route raise an exception and return the answer."""
    app = FastAPI()
    install_error_handlers(app)
    raising: list[Exception] = []

    @app.get("/")
    async def route() -> None:
        raise raising[-1]

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:

        async def ask_one(error: Exception) -> httpx.Response:
            raising.append(error)
            return await http.get("/")

        yield ask_one


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (JobNotFound("job_9"), 404, "job_not_found"),
        (HTTPException(404), 404, "not_found"),
        (HTTPException(405, headers={"Allow": "GET"}), 405, "method_not_allowed"),
        (StoreUnavailable("redis://user:secret@host is down"), 503, "store_unavailable"),
        (PublishFailed("amqp://user:secret@host is down"), 503, "bus_unavailable"),
        (ArtifactsUnavailable("/srv/secret is full"), 503, "artifacts_unavailable"),
        (RuntimeError("secret internals"), 500, "internal"),
        (KeyError("secret"), 500, "internal"),
    ],
)
async def test_an_exception_has_a_status_a_code_and_no_internals(
    ask: Ask, error: Exception, status: int, code: str
) -> None:
    answer = await ask(error)
    body = answer.json()
    assert (answer.status_code, body["success"], body["code"]) == (status, False, code)
    assert body["error"]
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_our_own_errors_carry_details_and_headers(ask: Ask) -> None:
    details = [{"field": "prompt1", "message": "is required"}]
    answer = await ask(ApiError(429, "slow_down", "Too fast", details=details, headers={"Retry-After": "7"}))
    assert answer.status_code == 429
    assert answer.json() == {"success": False, "error": "Too fast", "code": "slow_down", "details": details}
    assert answer.headers["retry-after"] == "7"
