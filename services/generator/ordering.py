"""Ordering a clip from the provider: the paid step.

The intent is written before the order is placed, under a lease; the answer is written after. Whatever happens
in between, the document tells whether the order may have been taken, and it is not placed again blindly.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog

from services.generator.choosing import Choice, choose_model
from services.generator.failures import declined_again_at, failure_of
from services.generator.provider.outcomes import Advice, CreateOutcome, Declined, ProviderError, Taken, Unknown
from services.generator.provider.protocol import VideoProvider
from services.generator.reporting import JobWriter
from shared import metrics
from shared.bus.protocol import Delivery
from shared.context import Context
from shared.errors import StoreUnavailable
from shared.events import VideoRequested
from shared.job.clips import (
    begin_order,
    defer_order,
    give_up_order,
    order_declined,
    order_taken,
    order_unknown,
    renew_clip,
    settle_order,
)
from shared.job.model import MAKING, Attempt, Clip, ClipStatus, Failure, Job
from shared.job.sources import take_source
from shared.job.wishes import Priority
from shared.leases import holding
from shared.models.marks import DOWN, PAUSE
from shared.tidying import delete_discarded
from shared.tokens import ClipToken, Signer

log = structlog.get_logger(__name__)

ORDERS = "provider:orders"
"""Bucket of the provider's limit on new tasks, shared by all replicas."""
BREAKER_MS = 600_000
ORDER_WINDOW_MS = 10_000
SHARES = {Priority.LOW: 0.5, Priority.NORMAL: 0.85, Priority.HIGH: 1.0}
"""How much of the provider's window orders of each priority may fill."""
KEEP_TRYING_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 10.0)
"""Pauses while the store does not take the answer to an order."""


class Ordering:
    """Handles `video.requested`."""

    def __init__(
        self,
        context: Context,
        provider: VideoProvider,
        writer: JobWriter,
        signer: Signer,
        *,
        models: Sequence[str],
        callback_base_url: str,
        orders_per_window: int,
    ) -> None:
        self._context = context
        self._provider = provider
        self._writer = writer
        self._signer = signer
        self._models = models
        self._callback_base_url = callback_base_url
        self._orders_per_window = orders_per_window

    async def on_video_requested(self, delivery: Delivery) -> None:
        """Order the clip if it waits to be ordered and its turn has come."""
        job_id, clip_number = delivery.event.subject, VideoRequested.model_validate(delivery.event.data).clip
        context, now = self._context, self._context.clock()
        before = await context.store.get(job_id)
        settle = partial(settle_order, number=clip_number, now=now, policy=context.policy)
        job = before if settle(before) is before else await self._writer.write(before, settle)
        clip = job.clip(clip_number)
        if job.status not in MAKING or job.failure is not None or clip.status is not ClipStatus.PENDING:
            return
        if now < clip.not_before:
            return  # the reconciler brings it back when its time has come
        job = await delete_discarded(context, job)
        if clip.source is not None:
            await self._writer.write(job, partial(take_source, number=clip_number, now=now))
            return
        marks = await context.store.marks("")
        choice = self._choose(job, clip, marks)
        if isinstance(choice, Failure):
            await self._writer.write(job, partial(give_up_order, number=clip_number, failure=choice, now=now))
            return
        wait_ms = await self._wait_ms(job.priority, marks)
        if wait_ms:
            metrics.PROVIDER_WAITS.labels(self._provider.name).inc()
            metrics.PROVIDER_WAIT_SECONDS.labels(self._provider.name).inc(wait_ms / 1000)
            wait = partial(
                defer_order, number=clip_number, until=now + wait_ms, why="the provider's rate limit", now=now
            )
            await self._writer.write(job, wait)
            return
        await self._order(job, clip_number, choice)

    def _choose(self, job: Job, clip: Clip, marks: Mapping[str, str]) -> Choice | Failure:
        down = {key.removeprefix(DOWN) for key in marks if key.startswith(DOWN)}
        models = job.models or self._models
        return choose_model(clip, job.aspect_ratio, models, down, resolution=job.resolution)

    async def _wait_ms(self, priority: Priority, marks: Mapping[str, str]) -> int:
        """Take a permit for one order, or return how long to wait for one.

        What the less urgent may not take of the window is left for the more urgent.
        """
        if (until := marks.get(PAUSE)) is not None:
            return max(1, int(until) - self._context.clock())
        permits = math.ceil(self._orders_per_window * SHARES[priority])
        return await self._context.store.take(ORDERS, permits, ORDER_WINDOW_MS)

    async def _order(self, job: Job, number: int, choice: Choice) -> None:
        context = self._context
        owner = context.new_owner()
        intent = partial(
            begin_order,
            number=number,
            owner=owner,
            provider=self._provider.name,
            model=choice.model,
            now=context.clock(),
            policy=context.policy,
        )
        job = await self._writer.write(job, intent)
        attempt = job.clip(number).attempt
        assert attempt is not None
        token = self._signer.callback_token(ClipToken(job.id, number, attempt.number))
        callback_url = f"{self._callback_base_url}/api/callback/sora?t={token}"

        def renew(current: Job) -> Job:
            clip = current.clip(number)
            # A callback that came before the answer has recorded the task already and freed the lease.
            if clip.status is not ClipStatus.SUBMITTING or clip.lease is None:
                return current
            return renew_clip(current, number, owner=owner, now=context.clock(), policy=context.policy)

        async with holding(lambda: context.store.update(job.id, renew), lease_ms=context.policy.lease_ms):
            outcome = await self._provider.create(choice.model, choice.model_input, callback_url)
        await self._record(job, number, attempt, outcome)

    async def _record(self, job: Job, number: int, attempt: Attempt, outcome: CreateOutcome) -> None:
        now, policy = self._context.clock(), self._context.policy
        clip = job.clip(number)
        match outcome:
            case Taken(task_id):
                taken = partial(order_taken, number=number, attempt_number=attempt.number, task_id=task_id)
                await self._keep(job, partial(taken, now=now, policy=policy))
            case Unknown(reason):
                unknown = partial(order_unknown, number=number, attempt_number=attempt.number, reason=reason, now=now)
                await self._keep(job, unknown)
            case Declined(error):
                await self._heed(error, attempt.model, now)
                declined = partial(
                    order_declined,
                    number=number,
                    attempt_number=attempt.number,
                    failure=failure_of(error, clip),
                    again_at=declined_again_at(error, clip, now),
                    now=now,
                )
                await self._keep(job, declined)

    async def _keep(self, job: Job, answer: Callable[[Job], Job]) -> None:
        """Write the answer to an order. A store that is away for a moment must not make us forget what was bought.

        Raises:
            StoreUnavailable: it stayed away; the order will count as one of unknown fate.
        """
        for pause_s in KEEP_TRYING_S:
            try:
                await self._writer.write(job, answer)
            except StoreUnavailable as down:
                log.warning("the answer to an order is not written yet", job=job.id, problem=str(down))
                await asyncio.sleep(pause_s)
            else:
                return
        await self._writer.write(job, answer)

    async def _heed(self, error: ProviderError, model: str, now: int) -> None:
        """Let everybody know that a model is down, or that the provider wants to be left alone."""
        try:
            if error.advice is Advice.NEXT_MODEL:
                metrics.MODEL_DOWN.labels(self._provider.name, model).inc()
                await self._context.store.put_mark(DOWN + model, error.code, BREAKER_MS)
            elif error.advice is Advice.WAIT:
                wait_ms = round(error.wait_s * 1000)
                await self._context.store.put_mark(PAUSE, str(now + wait_ms), wait_ms)
        except StoreUnavailable as down:  # the others will be told the same by the provider
            log.warning("others could not be warned", code=error.code, problem=str(down))
