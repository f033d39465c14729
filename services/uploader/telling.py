"""Telling the user's system what happened to a job: one event at a time, until it is taken or given up."""

import asyncio
from functools import partial

import structlog

from services.uploader.webhook_payload import payload
from services.uploader.webhook_sender import Answer, WebhookSender
from shared import metrics
from shared.bus.delays import randomness
from shared.bus.protocol import Delivery
from shared.context import Context
from shared.events import WebhookDue
from shared.job.model import Job
from shared.job.outstanding import Nudge
from shared.job.webhook_model import Webhook, WebhookState
from shared.job.webhooks import (
    begin_webhook,
    release_webhook,
    renew_webhook,
    webhook_delivered,
    webhook_failed,
    webhook_of,
    webhooks_due,
)
from shared.leases import holding
from shared.media_links import MediaLinks

log = structlog.get_logger(__name__)


class Telling:
    """Handles `webhook.due`."""

    def __init__(self, context: Context, sender: WebhookSender, links: MediaLinks) -> None:
        self._context = context
        self._sender = sender
        self._links = links
        self._random = randomness()

    async def ask(self, job: Job) -> None:
        """Have told what is due of a job; by a message each, so that a slow receiver holds up nothing else."""
        context = self._context
        for webhook in webhooks_due(job, context.clock()):
            await context.emitter.nudge(job, Nudge(WebhookDue(webhook=webhook.id), f"{webhook.id}:{webhook.tried}"))

    async def on_webhook_due(self, delivery: Delivery) -> None:
        """Try once to tell an event. When to try again is written down; the reconciler sees to it."""
        context, owner = self._context, self._context.new_owner()
        due = delivery.event.payload()
        assert isinstance(due, WebhookDue)
        begin = partial(begin_webhook, webhook_id=due.webhook, owner=owner, now=context.clock(), policy=context.policy)
        job = await context.store.update(delivery.event.subject, begin)
        webhook = webhook_of(job, due.webhook)

        async def renew() -> None:
            keep = partial(
                renew_webhook, webhook_id=webhook.id, owner=owner, now=context.clock(), policy=context.policy
            )
            await context.store.update(job.id, keep)

        try:
            async with holding(renew, lease_ms=context.policy.lease_ms):
                assert job.webhook_url is not None
                body = payload(job, webhook, self._links)
                answer = await self._sender.send(job.webhook_url, webhook.id, body)
        except BaseException:
            # Drained: the next one need not wait for the lease. The event may have arrived; its id tells.
            await asyncio.shield(
                context.store.update(job.id, partial(release_webhook, webhook_id=webhook.id, owner=owner))
            )
            raise
        await self._note(job, webhook, owner, answer)

    async def _note(self, job: Job, webhook: Webhook, owner: str, answer: Answer) -> None:
        context, now = self._context, self._context.clock()
        if answer.is_taken:
            assert answer.status is not None
            noted = partial(webhook_delivered, webhook_id=webhook.id, owner=owner, status=answer.status, now=now)
        else:
            noted = partial(
                webhook_failed,
                webhook_id=webhook.id,
                owner=owner,
                problem=answer.problem,
                now=now,
                status=answer.status,
                retry_after_ms=answer.retry_after_ms,
                is_final=answer.is_final,
                jitter=self._random.random(),
            )
        after = webhook_of(await context.store.update(job.id, noted), webhook.id)
        outcome = "retried" if after.is_pending else str(after.state)
        metrics.WEBHOOKS.labels(webhook.event, outcome).inc()
        if after.state is WebhookState.DELIVERED:
            metrics.DELIVERIES.labels("webhook").inc()
        else:
            log.warning(
                "webhook not taken", webhook=webhook.id, problem=answer.problem, outcome=outcome, tries=after.tried
            )
