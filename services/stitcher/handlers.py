"""The stitcher's steps, by event."""

from services.stitcher.stitching import Stitching
from shared.context import Context
from shared.events import EventName
from shared.giving_up import give_up_job
from shared.job.model import Stage
from shared.service import Route


def routes(context: Context, stitching: Stitching) -> tuple[Route, ...]:
    """Return which handler serves which event."""
    return (Route("stitcher", EventName.VIDEO_READY, stitching.on_video_ready, give_up_job(context, Stage.STITCHING)),)
