"""What people do to a job: cancel, retry, approve, have a clip made anew."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from services.gateway import answers
from services.gateway.auth import Asking, require_key
from services.gateway.bodies import Regenerate
from services.gateway.routes_making import IdempotencyKey
from services.gateway.state import GatewayState, State
from services.gateway.views import job_view
from shared.job.model import Job

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["control"])

ClipNumber = Annotated[int, Path(ge=1, le=2000, description="The clip's place in the film, from 1.", examples=[2])]


def _shown(job: Job, state: GatewayState) -> dict[str, Any]:
    return {"success": True, "data": job_view(job, state.links)}


@router.post("/job/{job_id}/cancel", operation_id="cancelJob", response_model=None, responses=answers.CHANGED)
@router.post("/jobs/{job_id}/cancel", operation_id="cancelJobAlias", include_in_schema=False, response_model=None)
async def cancel_job(job_id: answers.JobId, state: State, caller: Asking) -> dict[str, Any]:
    """Stop a job: nothing more is ordered, no film is delivered, and the record says `Cancelled`.

    Safe to repeat. Clips that are with the provider already may still be charged.
    """
    return _shown(await state.controlling.cancel(job_id, caller), state)


@router.post("/job/{job_id}/retry", operation_id="retryJob", response_model=None, responses=answers.CHANGED)
@router.post("/jobs/{job_id}/retry", operation_id="retryJobAlias", include_in_schema=False, response_model=None)
async def retry_job(job_id: answers.JobId, state: State, caller: Asking) -> dict[str, Any]:
    """Let a failed job go on: only what is missing is made. Safe to repeat."""
    return _shown(await state.controlling.retry(job_id, caller), state)


@router.post("/job/{job_id}/approve", operation_id="approveJob", response_model=None, responses=answers.CHANGED)
@router.post("/jobs/{job_id}/approve", operation_id="approveJobAlias", include_in_schema=False, response_model=None)
async def approve_job(job_id: answers.JobId, state: State, caller: Asking) -> dict[str, Any]:
    """Let the clips of a job in `review` be joined. Safe to repeat."""
    return _shown(await state.controlling.approve(job_id, caller), state)


@router.post(
    "/job/{job_id}/clips/{number}/regenerate",
    operation_id="regenerateClip",
    response_model=None,
    responses=answers.CHANGED,
)
@router.post(
    "/jobs/{job_id}/clips/{number}/regenerate",
    operation_id="regenerateClipAlias",
    include_in_schema=False,
    response_model=None,
)
async def regenerate_clip(
    job_id: answers.JobId,
    number: ClipNumber,
    state: State,
    caller: Asking,
    body: Regenerate | None = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Throw a clip away and have it made anew, of another prompt if one is given; then the film is joined again.

    Possible until the clips are joined, and after a failure. While the clip is being made, a repetition changes
    nothing; with an `Idempotency-Key`, no repetition ever does.
    """
    prompt = body.prompt if body is not None else None
    job = await state.controlling.regenerate(job_id, number, caller, prompt=prompt, request_id=idempotency_key or "")
    return _shown(job, state)
