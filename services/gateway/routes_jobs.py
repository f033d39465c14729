"""Making jobs and asking for them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response

from services.gateway import answers
from services.gateway.accepting import Order
from services.gateway.auth import Asking, require_key
from services.gateway.bodies import CreateJob, GenerateVideo, ProcessRecord
from services.gateway.caller import Caller
from services.gateway.claims import Idempotency
from services.gateway.errors import ApiError
from services.gateway.making import dry_run
from services.gateway.state import GatewayState, State
from services.gateway.views import accepted_view, job_summary, job_view
from shared.job.create import ClipWish, JobWish
from shared.job.model import AspectRatio, Job, JobStatus
from shared.tracing import accept_traceparent

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["jobs"])

MESSAGE = "Video generation started. Use the jobId to check status."
Traceparent = Annotated[str | None, Header(include_in_schema=False)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and body always mean the same job, for as long as it is kept.",
        examples=["9f0c7f3e-6c0e-4b5e-9a77-3c1b6a1c0a11"],
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
    ),
]


def idempotency(caller: Caller, key: str | None, endpoint: str, body: str) -> Idempotency | None:
    """Return what makes repetitions of this request one."""
    return None if key is None else Idempotency.of(caller, key, endpoint, body)


def _accepted(job: Job, state: GatewayState, response: Response) -> dict[str, Any]:
    if job.status.is_final:  # only a repetition meets a job that is over
        response.status_code = 200
    return {"success": True, "message": MESSAGE, "data": accepted_view(job, state.base_url)}


@router.post(
    "/generate-video", status_code=202, operation_id="generateVideo", response_model=None, responses=answers.ACCEPTED
)
async def generate_video(
    body: GenerateVideo,
    state: State,
    caller: Asking,
    response: Response,
    traceparent: Traceparent = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Make a film of two prompts. Answers at once; the film is made in the background."""

    async def wish() -> JobWish:
        if body.record_id is not None:
            await state.accepting.records.check(body.record_id)
        return JobWish(
            clips=(ClipWish(body.prompt1), ClipWish(body.prompt2)),
            aspect_ratio=body.aspect_ratio or AspectRatio.LANDSCAPE,
            record_id=body.record_id,
            key_name=caller.name,
        )

    order = Order(
        wish,
        endpoint="generate-video",
        caller=caller,
        idempotency=idempotency(caller, idempotency_key, "generate-video", body.model_dump_json()),
        traceparent=accept_traceparent(traceparent),
    )
    return _accepted(await state.accepting.accept(order), state, response)


@router.post(
    "/process-record", status_code=202, operation_id="processRecord", response_model=None, responses=answers.ACCEPTED
)
async def process_record(
    body: ProcessRecord,
    state: State,
    caller: Asking,
    response: Response,
    traceparent: Traceparent = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Make a film of an Airtable record's `Prompt 1` … `Prompt N` and attach it to the record.

    While a film is being made for the record, that job is answered instead of paying twice; `force` makes another.
    """
    state.accepting.records.require_table()
    order = Order(
        lambda: state.accepting.records.read(body.record_id, body.aspect_ratio, caller.name),
        endpoint="process-record",
        caller=caller,
        idempotency=idempotency(caller, idempotency_key, "process-record", body.model_dump_json()),
        record_id=body.record_id,
        force=body.force,
        traceparent=accept_traceparent(traceparent),
    )
    return _accepted(await state.accepting.accept(order), state, response)


@router.post(
    "/jobs",
    status_code=202,
    operation_id="createJob",
    response_model=None,
    responses={**answers.ACCEPTED, **answers.ESTIMATED},
)
async def create_job(
    body: Annotated[CreateJob, answers.JOB_EXAMPLES],
    state: State,
    caller: Asking,
    response: Response,
    traceparent: Traceparent = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Make a film of one clip or many. With `dryRun`, only check and estimate."""
    if body.dry_run:
        response.status_code = 200
        return await dry_run(state, body, caller)
    order = Order(
        lambda: state.accepting.wish_of(body, caller),
        endpoint="jobs",
        caller=caller,
        idempotency=idempotency(caller, idempotency_key, "jobs", body.model_dump_json()),
        traceparent=accept_traceparent(traceparent),
    )
    return _accepted(await state.accepting.accept(order), state, response)


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


__all__ = ["IdempotencyKey", "idempotency", "router"]
