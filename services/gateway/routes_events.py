"""Live pages: Server-Sent Events of one job, and of all."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response

from services.gateway.auth import require_key
from services.gateway.live import Change, Progress, Quiet
from services.gateway.sse import KEEP_ALIVE, EventStream, frame, preamble
from services.gateway.state import State
from services.gateway.views import job_summary, job_view
from shared.job.model import Job
from shared.media_links import MediaLinks

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["live"])

LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="The `id` of the last event you saw: it resumes after it.")
]
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream of events",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 7\nevent: job\ndata: {"jobId":"job_1700000000000_x","status":"stitching"}\n\n',
            }
        },
    },
    503: {"description": "This replica serves as many streams as it may; try again after `Retry-After` seconds"},
}


@router.get(
    "/job/{job_id}/events",
    operation_id="followJob",
    response_class=Response,
    responses={**STREAM, 204: {"description": "The job is over and you have seen all of it"}},
)
@router.get("/jobs/{job_id}/events", operation_id="followJobAlias", include_in_schema=False, response_class=Response)
async def follow_job(job_id: str, state: State, last_event_id: LastEventId = None) -> Response:
    """Follow a job until it is over.

    `event: job` carries the job as `GET /api/job/{jobId}` shows it; its `id` is the version of the job's document. The
    first comes at once, the last has a final status. Several changes in a moment are one event. `event: progress`
    carries `{percent, stage, message, etaSeconds?}`, has no `id`, and may be lost. Lines that begin with `:` keep the
    connection alive. With `Last-Event-ID` the stream goes on after that version.
    """
    job = await state.context.store.get(job_id)
    seen = _version(last_event_id, job)
    if seen == job.version and job.status.is_final:
        return Response(status_code=204)  # tells a browser not to come again
    state.live.take_place()
    return EventStream(_job_frames(state.live.follow(job, seen), state.links), state.live.leave_place)


@router.get("/events", operation_id="followJobs", response_class=Response, responses=STREAM)
async def follow_jobs(state: State) -> Response:
    """Follow all jobs.

    `event: job` carries a job as `GET /api/jobs` lists it: first the newest ones, oldest of them first, then every job
    that changes. `event: progress` is as in the stream of one job, with the `jobId`. There is no resuming: whoever
    connects again gets the newest jobs again.
    """
    state.live.take_place()
    return EventStream(_summary_frames(state.live.follow_all()), state.live.leave_place)


def _version(last_event_id: str | None, job: Job) -> int:
    """Return the version that the reader has seen; 0 for what cannot be one of this job's."""
    text = (last_event_id or "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        return 0
    return int(text) if int(text) <= job.version else 0


async def _job_frames(changes: AsyncGenerator[Change], links: MediaLinks) -> AsyncGenerator[bytes]:
    try:
        yield preamble()
        async for change in changes:
            match change:
                case Quiet():
                    yield KEEP_ALIVE
                case Progress(data=data):
                    yield frame("progress", data)
                case Job():
                    yield frame("job", job_view(change, links), str(change.version))
    finally:
        await changes.aclose()


async def _summary_frames(changes: AsyncGenerator[Change]) -> AsyncGenerator[bytes]:
    try:
        yield preamble()
        async for change in changes:
            match change:
                case Quiet():
                    yield KEEP_ALIVE
                case Progress(job_id=job_id, data=data):
                    yield frame("progress", {"jobId": job_id, **data})
                case Job():
                    yield frame("job", job_summary(change))
    finally:
        await changes.aclose()
