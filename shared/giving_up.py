"""What happens to a job when one of its messages was given up."""

from functools import partial

import structlog

from shared.bus.protocol import Delivery, OnDead
from shared.context import Context
from shared.errors import JobNotFound
from shared.job.film import fail
from shared.job.model import Failure, Stage

log = structlog.get_logger(__name__)


def give_up_job(context: Context, stage: Stage) -> OnDead:
    """Return what is done before a message goes to the dead letters: its job fails, with the reason."""

    async def on_dead(delivery: Delivery, reason: str) -> None:
        event = delivery.event
        try:
            before = await context.store.get(event.subject)
        except JobNotFound:
            log.warning("message about an unknown job given up", job=event.subject, event_type=event.type)
            return
        message = f"{event.type} was given up after {delivery.attempt} attempts: {reason}"
        failure = Failure(stage=stage, code="internal", message=message, retryable=True)
        after = await context.store.update(event.subject, partial(fail, failure=failure, now=context.clock()))
        if not before.status.is_final and after.status.is_final:
            await context.emitter.ended(after)

    return on_dead
