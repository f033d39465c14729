"""The generator's steps, by event."""

import asyncio

from services.generator.bringing_home import BringingHome
from services.generator.ordering import Ordering
from shared.bus.protocol import Delivery, OnDead
from shared.context import Context
from shared.events import EventName, VideoRequested
from shared.giving_up import give_up_job
from shared.job.model import ClipStatus, JobStatus, Stage
from shared.service import Route

ORDERING_BEGAN = 2
"""Passages (`pending`, `generating`) of a job whose first clip has just been ordered; any later life has more."""


async def _announce_clips(context: Context, delivery: Delivery) -> None:
    """Ask for every clip of a new job that waits to be ordered; they spread over the replicas."""
    job = await context.store.get(delivery.event.subject)
    if job.status.is_final or job.failure is not None:
        return
    if job.status is JobStatus.GENERATING and len(job.passages) == ORDERING_BEGAN and not delivery.redelivered:
        return  # this is the news that ordering began, for others: its clips were asked for before
    asked = [
        context.emitter.publish(job, VideoRequested(clip=clip.number), f"{clip.number}:{len(clip.attempts) + 1}")
        for clip in job.clips
        if clip.status is ClipStatus.PENDING
    ]
    # Together: a hundred confirmations of the broker, one after another, are a second.
    for problem in await asyncio.gather(*asked, return_exceptions=True):
        if problem is not None:
            raise problem


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
