"""Joining a job's clips into its film."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from time import perf_counter

import structlog

from services.stitcher.ahead import Ahead
from services.stitcher.describing import count, described
from services.stitcher.watching import Watch
from services.stitcher.wishes import engine_wishes, known_probe, ready_of, ready_shots
from shared import metrics, tracing
from shared.bus.protocol import Delivery, Retry
from shared.context import Context
from shared.errors import ArtifactsUnavailable, Refused
from shared.events import JobStitched, JobStitching
from shared.film import DiskFull, EngineError, Limits, Prepared, Probe, TimedOut, Wishes
from shared.film import Film as JoinedFilm
from shared.job.files import film_key, poster_key
from shared.job.film import begin_stitch, fail, film_stitched, release_step
from shared.job.model import Clip, ClipRole, Failure, Film, Job, JobStatus, Stage
from shared.leases import holding
from shared.tidying import delete_discarded, delete_unwanted_film
from shared.workdir import scratch

log = structlog.get_logger(__name__)

MAX_TRIES = 3
AGAIN_S = 2.0
"""Pause before a join that failed is tried again; grows with every try."""

Joiner = Callable[..., Awaitable[JoinedFilm]]
"""`shared.film.stitch`, or a test's."""


class Stitching:
    """Handles `video.ready`: when all clips of a job are home, joins them."""

    def __init__(self, context: Context, join: Joiner, ahead: Ahead, limits: Limits, work_dir: Path) -> None:
        self._context = context
        self._join = join
        self._ahead = ahead
        self._limits = limits
        self._work_dir = work_dir

    async def on_video_ready(self, delivery: Delivery) -> None:
        """Join the clips if all are home and nobody else is at it; else encode ahead what is settled already."""
        context, owner = self._context, self._context.new_owner()
        job = await context.store.get(delivery.event.subject)
        if job.status not in (JobStatus.PROCESSING, JobStatus.STITCHING) or job.film is not None:
            self._ahead.consider(job)
            await self._tidy(job)
            return
        begin = partial(begin_stitch, owner=owner, now=context.clock(), policy=context.policy)
        job = await context.store.update(job.id, begin)
        await context.emitter.emit(job, JobStitching(), str(len(job.passages)))
        try:
            film, used = await self._make_film(job, owner)
        except (DiskFull, ArtifactsUnavailable) as full:
            await self._give_back(job, owner)
            raise ArtifactsUnavailable(f"no room for the film: {full}") from full
        except EngineError as error:
            metrics.STITCH_FALLBACKS.inc(error.given_up)
            await self._failed(job, owner, error, delivery.attempt)
        except BaseException:
            # Drained: whoever gets the message again need not wait for the lease.
            await asyncio.shield(self._give_back(job, owner))
            raise
        else:
            job = await self._record(job, owner, film)
            await context.emitter.emit(job, JobStitched(), str(len(job.passages)))
            await self._ahead.film_is_made(job, used)

    async def _record(self, job: Job, owner: str, film: Film) -> Job:
        """Write the film down, and tidy up: what was thrown away before it, or the film if nobody wants it now."""
        context = self._context
        done = partial(film_stitched, owner=owner, film=film, now=context.clock())
        try:
            job = await context.store.update(job.id, done)
        except Refused:
            poster = [film.poster.key] if film.poster is not None else []
            await delete_unwanted_film(context, job.id, film.video.key, poster)
            raise
        return await delete_discarded(context, job)

    async def _tidy(self, job: Job) -> None:
        """Tidy up as `_record` does: whoever had this message before may have died behind the film.

        Safe whenever a film stands or the job is over: files that are wanted are kept.
        """
        if job.film is not None:
            await delete_discarded(self._context, job)
        elif job.status.is_final:
            await delete_unwanted_film(self._context, job.id, film_key(job), [poster_key(job)])
        await self._ahead.tidy(job)

    async def _make_film(self, job: Job, owner: str) -> tuple[Film, int]:
        """Join the clips, and put film and poster into the artifact store, while holding the lease.

        Returns:
            The film, and how many of its pieces had been encoded ahead.
        """
        context = self._context
        watch = Watch(context, job, owner)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(scratch(self._work_dir, "film-"))
            await stack.enter_async_context(holding(watch.check, lease_ms=watch.period_ms))
            shots = ready_shots(job)
            clips = [seen(clip, await self._file_of(stack, clip, index)) for index, clip in enumerate(shots)]
            music, logo = ready_of(job, ClipRole.SOUNDTRACK), ready_of(job, ClipRole.OVERLAY)
            wishes = engine_wishes(
                job,
                shots,
                music=await self._file_of(stack, music) if music is not None else None,
                logo=await self._file_of(stack, logo) if logo is not None else None,
            )
            prepared = await stack.enter_async_context(self._ahead.pieces_for(job))
            began = perf_counter()
            with tracing.span("join film", sora__clips=len(clips)):
                joined = await self._joined(watch, clips, folder, wishes, prepared)
            lasted_s = perf_counter() - began
            film = described(job, joined)
            await watch.renew()  # a lost lease is noticed before the store is touched
            await context.artifacts.put_file(film.video.key, joined.path)
            if film.poster is not None and joined.poster is not None:
                await context.artifacts.put_file(film.poster.key, joined.poster)
        count(joined, lasted_s)
        return film, joined.prepared

    async def _joined(
        self, watch: Watch, clips: Sequence[Path | Probe], folder: Path, wishes: Wishes, prepared: Prepared
    ) -> JoinedFilm:
        telling = asyncio.create_task(watch.tell(), name="film-progress")
        try:
            return await self._join(
                clips,
                folder / "film.mp4",
                wishes,
                progress=watch.note,
                limits=self._limits,
                work_dir=folder,
                prepared=prepared,
            )
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _file_of(self, stack: AsyncExitStack, clip: Clip, index: int | None = None) -> Path:
        assert clip.artifact is not None
        key = clip.artifact.key
        path = await stack.enter_async_context(self._context.artifacts.local_path(key))
        if path is None:
            raise ClipGone(f"{key} is not in the artifact store any more", clip=index)
        return path

    async def _failed(self, job: Job, owner: str, error: EngineError, attempt: int) -> None:
        if isinstance(error, TimedOut) or not error.retryable or attempt >= MAX_TRIES:
            clip = ready_shots(job)[error.clip].number if error.clip is not None else None
            failure = Failure(
                stage=Stage.STITCHING,
                code=error.code,
                message=f"Stitching failed: {error}",
                retryable=error.retryable,
                clip=clip,
            )
            log.error("stitching failed", code=error.code, problem=str(error), detail=error.detail)
            ended = partial(fail, failure=failure, now=self._context.clock(), owner=owner)
            await self._context.emitter.ended(await self._context.store.update(job.id, ended))
            return
        await self._context.store.update(job.id, partial(release_step, owner=owner))
        raise Retry(AGAIN_S * attempt, str(error))

    async def _give_back(self, begun: Job, owner: str) -> None:
        """Let somebody else stitch, or us later: it is no fault of the film's."""
        back = partial(release_step, owner=owner, untried_since=begun.progress_at)
        await self._context.store.update(begun.id, back)


def seen(clip: Clip, path: Path) -> Path | Probe:
    """Return what was found out about a clip when it came home, or the file alone where nothing usable is known.

    The engine compares the file with it, and looks again if it is another one.
    """
    found = known_probe(clip, path)
    if found is None:
        log.info("a clip is looked at again", clip=clip.number)
        return path
    return found


class ClipGone(EngineError):
    """A clip was deleted from the artifact store before it was joined."""

    code = "clip_gone"
