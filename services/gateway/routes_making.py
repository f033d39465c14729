"""Making jobs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse

from services.gateway import answers
from services.gateway.accepting import Order
from services.gateway.auth import caller_of, require_key
from services.gateway.bodies import CreateJob, GenerateVideo, ProcessRecord
from services.gateway.caller import Caller
from services.gateway.claims import Idempotency
from services.gateway.fields import Body
from services.gateway.making import dry_run
from services.gateway.quick_route import KEY_HEADER, KEY_PATTERN, MAX_KEY_CHARS, QuickRoute
from services.gateway.state import GatewayState, gateway_state
from services.gateway.views import accepted_view
from shared.job.create import ClipWish, JobWish
from shared.job.model import AspectRatio, Job

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["jobs"], route_class=QuickRoute)

MESSAGE = "Video generation started. Use the jobId to check status."
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=KEY_HEADER,
        description="The same key and body always mean the same job, for as long as it is kept.",
        examples=["9f0c7f3e-6c0e-4b5e-9a77-3c1b6a1c0a11"],
        min_length=1,
        max_length=MAX_KEY_CHARS,
        pattern=KEY_PATTERN,
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
