"""Which events of a job are told to the user's system, and noting that one is to be told. Pure.

Apart from `shared.job.webhooks`, which has the rest, because statuses are reached in `_edit`, below everything else.
"""

from shared.job.model import Job, JobStatus
from shared.job.webhook_model import Webhook, WebhookState

JOB_EVENTS: dict[JobStatus, str] = {
    JobStatus.COMPLETED: "job.completed",
    JobStatus.FAILED: "job.failed",
    JobStatus.CANCELLED: "job.cancelled",
    JobStatus.REVIEW: "job.review",
}
"""The events that are always told, by the status that makes them."""
VIDEO_READY = "video.ready"
OPTIONAL_EVENTS = (VIDEO_READY,)
"""The events that are told to those who ask for them (`Job.webhook_events`)."""
WEBHOOKS_LIMIT = 300
"""Events kept in a job's log; those that are done with go first, the oldest of them."""


def with_webhook(job: Job, event: str, now: int, clip: int | None = None) -> Job:
    """Return the job with `event` to be told, if it has a webhook and wants this event.

    Safe to repeat: a status that was reached once, and a take of a clip, is told of once.
    """
    if job.webhook_url is None or (event in OPTIONAL_EVENTS and event not in job.webhook_events):
        return job
    which = len(job.passages) if clip is None else f"{clip}-{job.clip(clip).takes}"
    webhook_id = f"{job.id}-{event.replace('.', '-')}-{which}"
    if any(webhook.id == webhook_id for webhook in job.webhooks):
        return job
    webhook = Webhook(id=webhook_id, event=event, at=now, clip=clip, since=now, not_before=now)
    kept = list(job.webhooks)
    while len(kept) >= WEBHOOKS_LIMIT:
        done = (index for index, each in enumerate(kept) if each.state is not WebhookState.PENDING)
        del kept[next(done, 0)]
    return job.but(webhooks=(*kept, webhook))
