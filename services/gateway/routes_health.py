"""Whether the service lives, is ready, and its metrics. Uptime monitors ask with `HEAD`, as the original allowed."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from services.gateway import answers
from services.gateway.state import State
from shared.clock import iso
from shared.exposition import metrics_response
from shared.readiness import readiness

router = APIRouter(tags=["health"])


@router.head("/api/health", include_in_schema=False)
@router.get("/api/health", operation_id="health", response_model=None, responses=answers.HEALTHY)
async def health(state: State) -> dict[str, Any]:
    """Say that the API is running, in the original's words."""
    return {
        "success": True,
        "message": "API is running",
        "mode": "async-callback",
        "timestamp": iso(state.context.clock()),
    }


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", operation_id="alive", response_model=None, responses=answers.ALIVE)
async def alive() -> dict[str, str]:
    """Say that this process is alive. Depends on nothing outside."""
    return {"status": "alive"}


@router.head("/readyz", include_in_schema=False, response_model=None)
@router.get("/readyz", operation_id="ready", response_model=None, responses=answers.READY)
async def ready(state: State) -> JSONResponse:
    """Say whether broker, store and artifacts answer, each by name."""
    found = await readiness(state.bus, state.context.store, state.context.artifacts)
    return JSONResponse(found.as_dict(), 200 if found.ok else 503)


@router.get("/metrics", operation_id="metrics", include_in_schema=False)
async def metrics_page(request: Request) -> Response:
    """Return Prometheus metrics."""
    return metrics_response(request)
