"""Making jobs and asking for them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query

from services.gateway.auth import require_key
from services.gateway.bodies import CreateJob, GenerateVideo, ProcessRecord
from services.gateway.errors import ApiError
from services.gateway.state import GatewayState, State
from services.gateway.views import accepted_view, job_summary, job_view
from shared.job.create import ClipWish
from shared.job.model import AspectRatio, Job, JobStatus
from shared.tracing import accept_traceparent

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)])

MESSAGE = "Video generation started. Use the jobId to check status."
Traceparent = Annotated[str | None, Header(include_in_schema=False)]


def _accepted(job: Job, state: GatewayState) -> dict[str, Any]:
    return {"success": True, "message": MESSAGE, "data": accepted_view(job, state.base_url)}


@router.post("/generate-video", status_code=202, operation_id="generateVideo", tags=["jobs"])
async def generate_video(body: GenerateVideo, state: State, traceparent: Traceparent = None) -> dict[str, Any]:
    """Make a film of two prompts. Answers at once; the film is made in the background."""
    if body.record_id is not None:
        await state.accepting.check_record(body.record_id)
    job = await state.accepting.accept(
        [ClipWish(body.prompt1), ClipWish(body.prompt2)],
        endpoint="generate-video",
        aspect_ratio=body.aspect_ratio or AspectRatio.LANDSCAPE,
        record_id=body.record_id,
        traceparent=accept_traceparent(traceparent),
    )
    return _accepted(job, state)


@router.post("/process-record", status_code=202, operation_id="processRecord", tags=["jobs"])
async def process_record(body: ProcessRecord, state: State, traceparent: Traceparent = None) -> dict[str, Any]:
    """Make a film of an Airtable record's `Prompt 1` … `Prompt N` and attach it to the record."""
    wishes, aspect_ratio = await state.accepting.read_record(body.record_id, body.aspect_ratio)
    job = await state.accepting.accept(
        wishes,
        endpoint="process-record",
        aspect_ratio=aspect_ratio,
        record_id=body.record_id,
        traceparent=accept_traceparent(traceparent),
    )
    return _accepted(job, state)


@router.post("/jobs", status_code=202, operation_id="createJob", tags=["jobs"])
async def create_job(body: CreateJob, state: State, traceparent: Traceparent = None) -> dict[str, Any]:
    """Make a film of one clip or many."""
    if body.record_id is not None:
        await state.accepting.check_record(body.record_id)
    job = await state.accepting.accept(
        [ClipWish(clip.prompt, clip.duration_seconds, clip.model) for clip in body.clips],
        endpoint="jobs",
        aspect_ratio=body.aspect_ratio or AspectRatio.LANDSCAPE,
        record_id=body.record_id,
        traceparent=accept_traceparent(traceparent),
    )
    return _accepted(job, state)


@router.get("/jobs", operation_id="listJobs", tags=["jobs"])
async def list_jobs(
    state: State,
    status: JobStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """List jobs, newest first. `nextCursor` leads to the next page."""
    try:
        jobs, next_cursor = await state.context.store.page(status, limit, cursor)
    except ValueError as error:
        raise ApiError(400, "invalid_cursor", "cursor: take it from `nextCursor` of the page before") from error
    return {"success": True, "data": [job_summary(job) for job in jobs], "nextCursor": next_cursor}


@router.get("/job/{job_id}", operation_id="getJob", tags=["jobs"])
@router.get("/jobs/{job_id}", operation_id="getJobAlias", tags=["jobs"], include_in_schema=False)
async def get_job(job_id: str, state: State) -> dict[str, Any]:
    """Show how a job stands: status, clips, film, timeline."""
    return {"success": True, "data": job_view(await state.context.store.get(job_id), state.links)}
