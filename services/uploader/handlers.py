"""The uploader's steps, by event."""

from services.uploader.delivering import Delivering
from services.uploader.mirroring import Mirroring
from shared.bus.topology import UPLOADER
from shared.context import Context
from shared.events import EventName
from shared.giving_up import give_up_job
from shared.job.model import Stage
from shared.service import Route


def routes(context: Context, delivering: Delivering, mirroring: Mirroring) -> tuple[Route, ...]:
    """Return which handler serves which event: delivery of a film, and a look at the Status for all others."""
    delivered = EventName.JOB_STITCHED
    status_events = [subscription.event for subscription in UPLOADER if subscription.event is not delivered]
    return (
        Route("uploader", delivered, delivering.on_job_stitched, give_up_job(context, Stage.UPLOADING)),
        *(Route("uploader", event, mirroring.on_status) for event in status_events),
    )
