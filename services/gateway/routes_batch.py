"""Many jobs in one request; each is taken or refused by itself."""

import asyncio
import json
from typing import Any

import structlog
from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from services.gateway import answers
from services.gateway.accepting import Order
from services.gateway.auth import Asking, require_key
from services.gateway.bodies import CreateJob
from services.gateway.caller import Caller
from services.gateway.errors import RETRY_AFTER_S, ApiError, invalid_request
from services.gateway.making import dry_run
from services.gateway.routes_making import IdempotencyKey, idempotency
from services.gateway.state import GatewayState, State
from services.gateway.views import accepted_view
from shared.errors import DependencyDown

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["jobs"])
log = structlog.get_logger(__name__)

MAX_ITEMS = 1000
AT_ONCE = 8
JSON_LINES = ("application/x-ndjson", "application/jsonl", "application/json-lines")


@router.post(
    "/jobs:batch",
    operation_id="createJobs",
    response_model=None,
    responses=answers.BATCH,
    openapi_extra=answers.BATCH_BODY,
)
async def create_jobs(
    request: Request,
    state: State,
    caller: Asking,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Make many films: a JSON array of up to 1000 jobs, or JSON Lines (`application/x-ndjson`).

    Every item is answered by itself, in its place. With an `Idempotency-Key`, the whole may be repeated safely: each
    item has a key of its own, made of this one and its place.
    """
    items = read_items(await request.body(), request.headers.get("content-type", ""))
    slots = asyncio.Semaphore(AT_ONCE)

    async def answer(index: int, item: Any) -> dict[str, Any]:
        key = f"{idempotency_key}#{index}" if idempotency_key is not None else None
        async with slots:
            return {"index": index, **await _answer(state, caller, item, key)}

    answered = await asyncio.gather(*(answer(index, item) for index, item in enumerate(items)))
    refused = sum("error" in each for each in answered)
    data = {"accepted": len(answered) - refused, "refused": refused, "items": answered}
    return {"success": refused == 0, "data": data}


def read_items(body: bytes, content_type: str) -> list[Any]:
    """Return the items of a batch; one that is no JSON (in JSON Lines) is a `ValueError`, refused in its place.

    Raises:
        ApiError: the whole is unreadable, empty or too large.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind in JSON_LINES:
            items = [_line(line) for line in body.decode().split("\n") if line.strip()]
        elif kind == "application/json":
            items = json.loads(body)
        else:
            raise ApiError(400, "invalid_request", f"send the body as application/json or {JSON_LINES[0]}")
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_request", f"the body is not valid JSON: {error}") from error
    if not isinstance(items, list):
        raise ApiError(400, "invalid_request", "the body must be a JSON array of jobs")
    if not 1 <= len(items) <= MAX_ITEMS:
        raise ApiError(400, "invalid_request", f"{len(items)} jobs were given; 1 to {MAX_ITEMS} are taken at once")
    return items


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(f"the line is not valid JSON: {error}")


async def _answer(state: GatewayState, caller: Caller, item: Any, key: str | None) -> dict[str, Any]:
    try:
        if isinstance(item, ValueError):
            raise ApiError(400, "invalid_request", str(item))
        body = CreateJob.model_validate(item)
        if body.dry_run:
            return {"status": 200, **(await dry_run(state, body, caller))["data"]}
        order = Order(
            lambda: state.accepting.wish_of(body, caller),
            endpoint="jobs:batch",
            caller=caller,
            idempotency=idempotency(caller, key, "jobs", body),
        )
        job = await state.accepting.accept(order)
    except ValidationError as error:
        return _refused(invalid_request(error.errors()))
    except ApiError as error:
        return _refused(error)
    except DependencyDown as error:
        log.warning("an item of a batch was not taken", dependency=error.dependency, problem=str(error))
        message = f"The {error.dependency} is not available; try again in {RETRY_AFTER_S} s"
        return _refused(ApiError(503, f"{error.dependency}_unavailable", message))
    return {"status": 200 if job.status.is_final else 202, **accepted_view(job, state.base_url)}


def _refused(error: ApiError) -> dict[str, Any]:
    answer: dict[str, Any] = {"status": error.status, "error": error.message, "code": error.code}
    return answer | {"details": error.details} if error.details else answer
