"""Looking at a clip's task and bringing its result home.

A callback, a poll and a repeated message all lead here. Looking is free and needs no lease; only the download
is exclusive. A clip is ready when its bytes are in the artifact store and decode as video.
"""

from functools import partial
from pathlib import Path

import structlog

from services.generator.failures import backoff_ms, failed_again_at, failure_of, unusable
from services.generator.file_sink import FileSink
from services.generator.ordering import BREAKER_MS
from services.generator.provider.outcomes import (
    Advice,
    LookFailed,
    LookOutcome,
    TaskFailed,
    TaskMissing,
    TaskRunning,
    TaskSucceeded,
)
from services.generator.provider.protocol import VideoProvider
from services.generator.reporting import JobWriter
from services.generator.results import ClipCheck, ClipRejected, Results, may_be_had_yet
from services.generator.turns import Turns
from shared import metrics, tracing
from shared.bus.protocol import Delivery, Retry
from shared.context import Context
from shared.errors import JobNotFound, Refused
from shared.events import VideoCallback
from shared.fetch import FetchError
from shared.job.clips import attempt_failed, begin_fetch, clip_home, order_taken, polled, release_clip, renew_clip
from shared.job.fencing import require_owner
from shared.job.files import clip_key
from shared.job.model import MAY_TURN_UP, Artifact, Attempt, Clip, Failure, Job
from shared.leases import LeaseLost, holding
from shared.models.marks import DOWN
from shared.tidying import delete_unwanted_clip
from shared.tokens import BadToken, ClipToken, Signer
from shared.workdir import scratch

log = structlog.get_logger(__name__)

MAX_FETCHES = 5
MISSING_IS_NORMAL_MS = 60_000
"""kie.ai may not know a task yet in the first minute of its life."""


class BringingHome:
    """Handles `video.callback`."""

    def __init__(
        self,
        context: Context,
        provider: VideoProvider,
        writer: JobWriter,
        signer: Signer,
        results: Results,
        check: ClipCheck,
        turns: Turns,
        work_dir: Path,
    ) -> None:
        self._context = context
        self._provider = provider
        self._writer = writer
        self._signer = signer
        self._results = results
        self._check = check
        self._turns = turns
        self._work_dir = work_dir

    async def on_video_callback(self, delivery: Delivery) -> None:
        """Ask the provider about the clip's task and act on the answer."""
        notice = VideoCallback.model_validate(delivery.event.data)
        job = await self._context.store.get(delivery.event.subject)
        # The provider's own request began this message, and knows nothing of the job's trace.
        with tracing.span("bring clip home", parent=tracing.continued(job.traceparent), sora__clip=notice.clip):
            await self._go_and_look(job, notice)

    async def _go_and_look(self, job: Job, notice: VideoCallback) -> None:
        clip = job.clip(notice.clip)
        attempt = clip.attempt
        if attempt is None or attempt.number != notice.attempt:
            return
        if not clip.in_flight and attempt.state not in MAY_TURN_UP:
            return
        task_id = attempt.task_id or notice.task_id
        if task_id is None:
            return
        if notice.origin == "poll" and clip.poll_at is not None and self._context.clock() < clip.poll_at:
            return  # somebody has asked since this was published
        outcome = await self._look(clip, task_id)
        if attempt.task_id is None:
            if isinstance(outcome, TaskMissing | LookFailed):
                self._ask_again(job, outcome)
                return
            if not self._is_ours(outcome, job, attempt, notice.clip):
                log.warning("callback names a task that is not ours", clip=notice.clip, task=task_id)
                return
            found = partial(
                order_taken,
                number=notice.clip,
                attempt_number=attempt.number,
                task_id=task_id,
                now=self._context.clock(),
                policy=self._context.policy,
            )
            job = await self._writer.write(job, found)
        await self._act(job, notice.clip, attempt.number, task_id, outcome)

    async def _look(self, clip: Clip, task_id: str) -> LookOutcome:
        if clip.source is not None:
            return TaskSucceeded(urls=(clip.source,))
        await self._turns.take()
        return await self._provider.look(task_id)

    def _ask_again(self, job: Job, outcome: TaskMissing | LookFailed) -> None:
        """Keep a callback that cannot be told to be ours yet: it may be the only trace of a paid order.

        Raises:
            Retry: until the job's deadline. Once the job is over it counts: after some tries the callback is put among
                the dead letters, where it can still be had.
        """
        wait_s = outcome.error.wait_s if isinstance(outcome, LookFailed) else 0.0
        pause_s = max(wait_s, self._context.policy.poll_every_ms / 1000)
        raise Retry(pause_s, "the provider does not tell about the task that called back", counts=job.status.is_final)

    def _is_ours(self, outcome: LookOutcome, job: Job, attempt: Attempt, number: int) -> bool:
        """Whether the task was ordered with the callback address of this very attempt."""
        url = getattr(outcome, "callback_url", None)
        if not isinstance(url, str):
            return False
        try:
            token = self._signer.read_callback_token(url.rpartition("t=")[2])
        except BadToken:
            return False
        return token == ClipToken(job.id, number, attempt.number)

    async def _act(self, job: Job, number: int, attempt_number: int, task_id: str, outcome: LookOutcome) -> None:
        match outcome:
            case TaskRunning(state=state):
                await self._still_running(job, number, attempt_number, state)
            case TaskMissing():
                attempt = job.clip(number).attempt
                age_ms = self._context.clock() - (attempt.submitted_at or 0 if attempt else 0)
                if age_ms > MISSING_IS_NORMAL_MS:
                    log.warning("the provider does not know the task", clip=number, task=task_id)
                await self._still_running(job, number, attempt_number, "missing")
            case LookFailed(error):
                log.warning("the provider could not be asked", clip=number, code=error.code, problem=error.message)
                after_ms = round(max(error.wait_s * 1000, self._context.policy.poll_every_ms))
                problem = failure_of(error, job.clip(number)) if error.advice is Advice.GIVE_UP else None
                await self._still_running(job, number, attempt_number, None, after_ms=after_ms, problem=problem)
            case TaskFailed():
                await self._task_failed(job, number, attempt_number, outcome)
            case TaskSucceeded():
                await self._bring_home(job, number, attempt_number, outcome)

    async def _still_running(
        self,
        job: Job,
        number: int,
        attempt_number: int,
        state: str | None,
        *,
        after_ms: int | None = None,
        problem: Failure | None = None,
    ) -> None:
        now = self._context.clock()
        known = job.clip(number).attempt
        shown = state if state is not None else (known.provider_state if known and known.provider_state else "unknown")
        await self._writer.write(
            job,
            partial(
                polled,
                number=number,
                attempt_number=attempt_number,
                provider_state=shown,
                next_poll_at=now + (after_ms or self._context.policy.poll_every_ms),
                now=now,
                problem=problem,
            ),
        )

    async def _task_failed(self, job: Job, number: int, attempt_number: int, outcome: TaskFailed) -> None:
        now, clip, error = self._context.clock(), job.clip(number), outcome.error
        assert clip.attempt is not None
        if error.advice is Advice.NEXT_MODEL:
            await self._context.store.put_mark(DOWN + clip.attempt.model, error.code, BREAKER_MS)
        failed = partial(
            attempt_failed,
            number=number,
            attempt_number=attempt_number,
            failure=failure_of(error, clip),
            again_at=failed_again_at(error, clip, now, self._context.policy, billed=outcome.billed),
            now=now,
            credits_spent=outcome.credits,
            billed=outcome.billed,
        )
        await self._writer.write(job, failed)

    async def _bring_home(self, job: Job, number: int, attempt_number: int, result: TaskSucceeded) -> None:
        context, owner = self._context, self._context.new_owner()
        begin = partial(begin_fetch, number=number, attempt_number=attempt_number, owner=owner)
        job = await context.store.update(job.id, partial(begin, now=context.clock(), policy=context.policy))
        problem: FetchError | ClipRejected
        try:
            artifact = await self._fetch(job, number, owner, result)
        except (FetchError, ClipRejected) as error:
            problem = error
        except (LeaseLost, Refused, JobNotFound):
            # The right to it was lost, perhaps while the file was being put.
            await delete_unwanted_clip(context, job.id, number, clip_key(job, job.clip(number)))
            raise
        except BaseException:
            # Drained, or a dependency is down: whoever gets the message again need not wait for the lease.
            await self._release(job, number, owner, again_at=context.clock(), problem=None)
            raise
        else:
            home = partial(clip_home, number=number, attempt_number=attempt_number, owner=owner, artifact=artifact)
            here = partial(home, credits_spent=result.credits, now=context.clock())
            try:
                job_after = await self._writer.write(job, here)
            except (Refused, JobNotFound):
                await delete_unwanted_clip(context, job.id, number, artifact.key)
                raise
            attempt = job_after.clip(number).attempt
            if result.credits and attempt is not None:
                metrics.CREDITS_SPENT.labels(attempt.provider, attempt.model).inc(result.credits)
            return
        await self._not_home(job, number, attempt_number, owner, result, problem)

    async def _fetch(self, job: Job, number: int, owner: str, result: TaskSucceeded) -> Artifact:
        """Download, check and store the clip while holding its lease."""
        context, clip = self._context, job.clip(number)
        key = clip_key(job, clip)
        with scratch(self._work_dir, "clip-") as folder:
            async with FileSink(folder / "clip.mp4") as sink:
                renewed_size = 0

                async def renew() -> None:
                    nonlocal renewed_size
                    progress, renewed_size = sink.size > renewed_size, sink.size
                    keep = partial(renew_clip, number=number, owner=owner, now=context.clock(), policy=context.policy)
                    await context.store.update(job.id, partial(keep, progress=progress))

                async with holding(renew, lease_ms=context.policy.lease_ms):
                    await self._results.bring(clip, result.urls, sink)
                    artifact = await self._check(sink.path, Artifact(key=key, size_bytes=sink.size), clip.role)
                    await self._require_lease(job.id, number, owner)  # noticed before the store is touched
                    await context.artifacts.put_file(key, sink.path)
        return artifact

    async def _require_lease(self, job_id: str, number: int, owner: str) -> None:
        """Return if the right to bring the clip home is still ours. Raises `Refused` if not."""
        require_owner((await self._context.store.get(job_id)).clip(number).lease, owner)

    async def _not_home(
        self,
        job: Job,
        number: int,
        attempt_number: int,
        owner: str,
        result: TaskSucceeded,
        problem: FetchError | ClipRejected,
    ) -> None:
        now, clip = self._context.clock(), job.clip(number)
        log.warning("clip not brought home", clip=number, code=problem.code, problem=str(problem))
        if problem.retryable and clip.fetches + 1 < MAX_FETCHES:
            await self._release(job, number, owner, again_at=now + backoff_ms(clip.fetches), problem=str(problem))
            return
        waits = clip.source is None and may_be_had_yet(problem)
        failed = partial(
            attempt_failed,
            number=number,
            attempt_number=attempt_number,
            failure=unusable(clip, problem.code, str(problem), retryable=problem.retryable or waits),
            again_at=None,  # the result is paid for; ordering another one is for a person to decide
            credits_spent=result.credits,
            billed=clip.source is None and result.billed,
            owner=owner,
            result_waits=waits,
        )
        await self._writer.write(job, partial(failed, now=now))

    async def _release(self, job: Job, number: int, owner: str, *, again_at: int, problem: str | None) -> None:
        release = partial(release_clip, number=number, owner=owner, again_at=again_at, problem=problem)
        await self._writer.write(job, partial(release, now=self._context.clock()))
