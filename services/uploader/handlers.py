"""The uploader's steps, by event."""

from services.uploader.delivering import Delivering
from services.uploader.mirroring import Mirroring
from services.uploader.telling import Telling
from shared.bus.protocol import Delivery
from shared.bus.topology import UPLOADER
from shared.context import Context
from shared.events import EventName
from shared.giving_up import give_up_job
from shared.job.model import Stage
from shared.service import Route


def routes(context: Context, delivering: Delivering, mirroring: Mirroring, telling: Telling) -> tuple[Route, ...]:
    """Return which handler serves which event.

    Delivery of a film, telling a webhook, and for all others a look at what is to be told and at the Status.
    """
    delivered, due = EventName.JOB_STITCHED, EventName.WEBHOOK_DUE
    status_events = [subscription.event for subscription in UPLOADER if subscription.event not in (delivered, due)]

    async def on_news(delivery: Delivery) -> None:
        job = await context.store.get(delivery.event.subject)
        await telling.ask(job)
        await mirroring.on_status(job)

    return (
        Route("uploader", delivered, delivering.on_job_stitched, give_up_job(context, Stage.UPLOADING)),
        Route("uploader", due, telling.on_webhook_due),
        *(Route("uploader", event, on_news) for event in status_events),
    )
