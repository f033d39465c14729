"""Errors as HTTP answers: one shape, `{"success": false, "error": "…", "code": "…"}`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from shared.errors import DependencyDown, JobNotFound, Refused

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 5
MAX_DETAILS = 20
"""Problems listed of one request: a body can have a hundred thousand."""
_MAX_NAME_CHARS = 100
_PARTS_OF_A_REQUEST = ("body", "query", "path", "header")


class ApiError(Exception):
    """A request that cannot be served, for a reason the caller can act on."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = dict(headers or {})


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    details: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error in the one shape all errors have."""
    body: dict[str, Any] = {"success": False, "error": message, "code": code}
    if details:
        body["details"] = details
    return JSONResponse(body, status, headers=dict(headers or {}))


def unavailable(dependency: str, problem: str) -> JSONResponse:
    """Return 503 with `Retry-After`: something we depend on does not answer."""
    return error_response(
        503,
        f"{dependency}_unavailable",
        f"{problem}; try again in {RETRY_AFTER_S} s",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def install_error_handlers(app: FastAPI) -> None:
    """Make every exception an answer in the one shape; nothing answers with a stack trace."""

    @app.exception_handler(ApiError)
    async def _api_error(_request: Request, error: ApiError) -> JSONResponse:
        return error_response(error.status, error.code, error.message, details=error.details, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _bad_input(_request: Request, error: RequestValidationError) -> JSONResponse:
        invalid = invalid_request(error.errors())
        return error_response(invalid.status, invalid.code, invalid.message, details=invalid.details)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_").replace("-", "_")
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {**(headers or {}), "Allow": ", ".join(_allowed_methods(app, request))}
        return error_response(error.status_code, code, str(error.detail) or phrase, headers=headers)

    @app.exception_handler(JobNotFound)
    async def _no_job(_request: Request, error: JobNotFound) -> JSONResponse:
        return error_response(404, "job_not_found", f"Job not found: {error.job_id}")

    @app.exception_handler(Refused)
    async def _refused(_request: Request, error: Refused) -> JSONResponse:
        return error_response(409, error.reason, f"Not possible now: {error}")

    @app.exception_handler(DependencyDown)
    async def _down(request: Request, error: DependencyDown) -> JSONResponse:
        log.warning("dependency down", path=request.url.path, dependency=error.dependency, problem=str(error))
        return unavailable(error.dependency, f"The {error.dependency} is not available")

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("request failed unexpectedly", path=request.url.path, exc_info=error)
        return error_response(500, "internal", "Internal error; the log has the details")


def _allowed_methods(app: FastAPI, request: Request) -> list[str]:
    """Return what this path takes: all its routes together, where Starlette names those of the first one."""
    found: set[str] = set()
    for route in iter_route_contexts(app.routes):
        if route.path is not None and compile_path(route.path)[0].match(request.scope["path"]):
            found |= route.methods or set()
    return sorted(found)


def invalid_request(errors: Sequence[Any]) -> ApiError:
    """Return pydantic's errors in words a caller understands."""
    details = [_detail(item) for item in errors[:MAX_DETAILS]]
    first = details[0]
    message = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    return ApiError(400, "invalid_request", message, details=details)


def _detail(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return one problem of a request in words a caller understands."""
    place = [_name(part) for part in item.get("loc", ())]
    if place and place[0] in _PARTS_OF_A_REQUEST:
        del place[0]
    kind, message = item.get("type", ""), str(item.get("msg", "invalid"))
    context = item.get("ctx") or {}
    if kind == "json_invalid":
        return {"field": "", "message": f"the body is not valid JSON: {context.get('error', 'cannot be parsed')}"}
    if kind == "missing" and not place:
        return {"field": "", "message": "a JSON body is required"}
    if kind == "missing":
        message = "is required"
    elif kind == "extra_forbidden":
        message = "is not a known field"
    elif kind == "model_attributes_type" or (not place and kind.endswith("_type")):
        message = "the body must be a JSON object, sent as application/json"
    return {"field": ".".join(place), "message": message.removeprefix("Value error, ")}


def _name(part: str | int) -> str:
    """Return a part of a field's place, which a stranger may have named: short, and what JSON in UTF-8 can hold."""
    return str(part)[:_MAX_NAME_CHARS].encode("utf-8", "replace").decode()
