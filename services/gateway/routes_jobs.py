"""Making jobs and asking for them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse

from services.gateway import answers
from services.gateway.accepting import Order
from services.gateway.auth import caller_of, require_key
from services.gateway.bodies import CreateJob, GenerateVideo, ProcessRecord
from services.gateway.caller import Caller
from services.gateway.claims import Idempotency
from services.gateway.errors import ApiError
from services.gateway.fields import Body
from services.gateway.making import dry_run
from services.gateway.state import GatewayState, State, gateway_state
from services.gateway.views import accepted_view, job_summary, job_view
from shared.job.create import ClipWish, JobWish
from shared.job.model import AspectRatio, Job, JobStatus

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["jobs"])

MESSAGE = "Video generation started. Use the jobId to check status."
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


def idempotency(caller: Caller, key: str | None, endpoint: str, body: Body) -> Idempotency | None:
    """Return what makes repetitions of this request one."""
    return None if key is None else Idempotency.of(caller, key, endpoint, body.model_dump_json())


def _accepted(job: Job, state: GatewayState) -> JSONResponse:
    """Return the answer, made here: it is plain data already, which FastAPI would walk through once more."""
    status = 200 if job.status.is_final else 202  # only a repetition meets a job that is over
    answer = {"success": True, "message": MESSAGE, "data": accepted_view(job, state.base_url)}
    return JSONResponse(answer, status)


@router.post(
    "/generate-video", status_code=202, operation_id="generateVideo", response_model=None, responses=answers.ACCEPTED
)
async def generate_video(body: GenerateVideo, request: Request, idempotency_key: IdempotencyKey = None) -> JSONResponse:
    """Make a film of two prompts. Answers at once; the film is made in the background."""
    state, caller = gateway_state(request), caller_of(request)

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
        idempotency=idempotency(caller, idempotency_key, "generate-video", body),
    )
    return _accepted(await state.accepting.accept(order), state)


@router.post(
    "/process-record", status_code=202, operation_id="processRecord", response_model=None, responses=answers.ACCEPTED
)
async def process_record(body: ProcessRecord, request: Request, idempotency_key: IdempotencyKey = None) -> JSONResponse:
    """Make a film of an Airtable record's `Prompt 1` … `Prompt N` and attach it to the record.

    While a film is being made for the record, that job is answered instead of paying twice; `force` makes another.
    """
    state, caller = gateway_state(request), caller_of(request)
    state.accepting.records.require_table()
    order = Order(
        lambda: state.accepting.records.read(body.record_id, body.aspect_ratio, caller.name),
        endpoint="process-record",
        caller=caller,
        idempotency=idempotency(caller, idempotency_key, "process-record", body),
        record_id=body.record_id,
        force=body.force,
    )
    return _accepted(await state.accepting.accept(order), state)


@router.post(
    "/jobs",
    status_code=202,
    operation_id="createJob",
    response_model=None,
    responses={**answers.ACCEPTED, **answers.ESTIMATED},
)
async def create_job(
    body: Annotated[CreateJob, answers.JOB_EXAMPLES],
    request: Request,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Make a film of one clip or many. With `dryRun`, only check and estimate."""
    state, caller = gateway_state(request), caller_of(request)
    if body.dry_run:
        return JSONResponse(await dry_run(state, body, caller))
    order = Order(
        lambda: state.accepting.wish_of(body, caller),
        endpoint="jobs",
        caller=caller,
        idempotency=idempotency(caller, idempotency_key, "jobs", body),
    )
    return _accepted(await state.accepting.accept(order), state)


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
