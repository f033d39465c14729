"""Asking for jobs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from services.gateway import answers
from services.gateway.auth import require_key
from services.gateway.errors import ApiError
from services.gateway.state import State
from services.gateway.views import job_summary, job_view
from shared.job.model import JobStatus

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["jobs"])


@router.get("/jobs", operation_id="listJobs", response_model=None, responses=answers.LISTED)
async def list_jobs(
    state: State,
    status: Annotated[JobStatus | None, Query(description="Only jobs of this status.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most jobs of a page.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=200, description="`nextCursor` of the page before; the first page has none.")
    ] = None,
) -> dict[str, Any]:
    """List jobs, newest first. `nextCursor` leads to the next page."""
    try:
        jobs, next_cursor = await state.context.store.page(status, limit, cursor)
    except ValueError as error:
        raise ApiError(400, "invalid_cursor", "cursor: take it from `nextCursor` of the page before") from error
    return {"success": True, "data": [job_summary(job) for job in jobs], "nextCursor": next_cursor}


@router.get("/job/{job_id}", operation_id="getJob", response_model=None, responses=answers.SHOWN)
@router.get("/jobs/{job_id}", operation_id="getJobAlias", include_in_schema=False, response_model=None)
async def get_job(job_id: answers.JobId, state: State) -> dict[str, Any]:
    """Show how a job stands: status, clips, film, timeline."""
    return {"success": True, "data": job_view(await state.context.store.get(job_id), state.links)}
