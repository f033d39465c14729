"""The generator's steps, by event."""

from services.generator.bringing_home import BringingHome
from services.generator.ordering import Ordering
from shared.bus.protocol import Delivery, OnDead
from shared.context import Context
from shared.events import EventName, VideoRequested
from shared.giving_up import give_up_job
from shared.job.model import ClipStatus, Stage
from shared.service import Route


async def _announce_clips(context: Context, delivery: Delivery) -> None:
    """Ask for every clip of a new job that waits to be ordered; they spread over the replicas."""
    job = await context.store.get(delivery.event.subject)
    if job.status.is_final or job.failure is not None:
        return
    for clip in job.clips:
        if clip.status is ClipStatus.PENDING:
            step = f"{clip.number}:{len(clip.attempts) + 1}"
            await context.emitter.publish(job, VideoRequested(clip=clip.number), step)


def routes(context: Context, ordering: Ordering, bringing_home: BringingHome) -> tuple[Route, ...]:
    """Return which handler serves which event."""

    async def on_job_created(delivery: Delivery) -> None:
        await _announce_clips(context, delivery)

    on_dead: OnDead = give_up_job(context, Stage.GENERATING)
    return (
        Route("generator", EventName.JOB_CREATED, on_job_created, on_dead),
        Route("generator", EventName.VIDEO_REQUESTED, ordering.on_video_requested, on_dead),
        Route("generator", EventName.VIDEO_CALLBACK, bringing_home.on_video_callback, on_dead),
    )
