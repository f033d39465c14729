"""Telling a webhook once more, when a person asks for it."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from services.gateway import answers
from services.gateway.auth import require_key
from services.gateway.errors import ApiError
from services.gateway.state import State
from services.gateway.views import webhook_view
from shared.errors import Refused
from shared.events import WebhookDue
from shared.job.outstanding import Nudge
from shared.job.webhooks import replay_webhook, webhook_of

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["webhooks"])

WebhookId = Annotated[
    str,
    Path(
        description="`id` of an event in the job's `webhooks`.",
        examples=["job_1700000000000_0123456789abcdef-6-job-completed"],
        min_length=1,
    ),
]
REPLAYED: dict[str, Any] = {
    "success": True,
    "data": {
        "id": "job_1700000000000_0123456789abcdef-6-job-completed",
        "event": "job.completed",
        "at": 1700000060000,
        "state": "pending",
        "tried": 11,
        "tries": [{"at": 1700082000000, "status": 500, "problem": "the receiver answered 500, an error"}],
    },
}


@router.post(
    "/job/{job_id}/webhooks/{webhook_id}/replay",
    status_code=202,
    operation_id="replayWebhook",
    responses={202: {"content": {"application/json": {"example": REPLAYED}}}},
)
@router.post(
    "/jobs/{job_id}/webhooks/{webhook_id}/replay",
    status_code=202,
    operation_id="replayWebhookAlias",
    include_in_schema=False,
)
async def replay(job_id: answers.JobId, webhook_id: WebhookId, state: State) -> dict[str, Any]:
    """Tell a webhook of an event (again), now, under the same id; a day of tries begins anew.

    The ids are in `webhooks` of `GET /api/job/{jobId}`. The data is the job as it stands now.
    """
    context = state.context
    again = partial(replay_webhook, webhook_id=webhook_id, now=context.clock())
    try:
        job = await context.store.update(job_id, again)
    except Refused as refused:
        raise ApiError(404, "webhook_not_found", f"Not found: {refused}") from refused
    webhook = webhook_of(job, webhook_id)
    await context.emitter.nudge(job, Nudge(WebhookDue(webhook=webhook.id), f"{webhook.id}:{webhook.tried}"))
    return {"success": True, "data": webhook_view(webhook)}
