"""Joining a job's clips into its film."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import structlog

from shared import metrics
from shared.bus.protocol import Delivery, Retry
from shared.context import Context
from shared.errors import ArtifactsUnavailable
from shared.events import JobStitched, JobStitching
from shared.film import DiskFull, EngineError, Limits, Progress, TimedOut, Wishes
from shared.film import Film as JoinedFilm
from shared.job.film import begin_stitch, fail, film_stitched, release_step, renew_step
from shared.job.model import Artifact, Failure, Film, Job, JobStatus, Stage
from shared.leases import holding
from shared.workdir import scratch

log = structlog.get_logger(__name__)

MAX_TRIES = 3
AGAIN_S = 2.0
"""Pause before a join that failed is tried again; grows with every try."""

Joiner = Callable[..., Awaitable[JoinedFilm]]
"""`shared.film.stitch`, or a test's."""


class Stitching:
    """Handles `video.ready`: when all clips of a job are home, joins them."""

    def __init__(self, context: Context, join: Joiner, limits: Limits, work_dir: Path) -> None:
        self._context = context
        self._join = join
        self._limits = limits
        self._work_dir = work_dir

    async def on_video_ready(self, delivery: Delivery) -> None:
        """Join the clips if all are home and nobody else is at it."""
        context, owner = self._context, self._context.new_owner()
        job = await context.store.get(delivery.event.subject)
        if job.status not in (JobStatus.PROCESSING, JobStatus.STITCHING) or job.film is not None:
            return
        begin = partial(begin_stitch, owner=owner, now=context.clock(), policy=context.policy)
        job = await context.store.update(job.id, begin)
        await context.emitter.emit(job, JobStitching(), str(len(job.passages)))
        try:
            film = await self._make_film(job, owner)
        except (DiskFull, ArtifactsUnavailable) as full:
            await self._release(job, owner)
            raise ArtifactsUnavailable(f"no room for the film: {full}") from full
        except EngineError as error:
            await self._failed(job, owner, error, delivery.attempt)
        except BaseException:
            # Drained: whoever gets the message again need not wait for the lease.
            await asyncio.shield(self._release(job, owner))
            raise
        else:
            done = partial(film_stitched, owner=owner, film=film, now=context.clock())
            job = await context.store.update(job.id, done)
            await context.emitter.emit(job, JobStitched(), str(len(job.passages)))

    async def _make_film(self, job: Job, owner: str) -> Film:
        """Join the clips, and put film and poster into the artifact store, while holding the lease."""
        context = self._context
        percent = renewed_percent = 0.0

        def note(progress: Progress) -> None:
            nonlocal percent
            percent = progress.percent

        async def renew() -> None:
            nonlocal renewed_percent
            moved, renewed_percent = percent > renewed_percent, percent
            keep = partial(renew_step, owner=owner, now=context.clock(), policy=context.policy)
            await context.store.update(job.id, partial(keep, progress=moved))

        async with AsyncExitStack() as stack:
            folder = stack.enter_context(scratch(self._work_dir, "film-"))
            await stack.enter_async_context(holding(renew, lease_ms=context.policy.lease_ms))
            clips = [await self._clip_file(stack, index, key) for index, key in enumerate(_keys(job))]
            joined = await self._join(
                clips,
                folder / "film.mp4",
                Wishes(poster_at_s=0.0),
                progress=note,
                limits=self._limits,
                work_dir=folder,
            )
            film = _described(job, joined)
            await renew()  # a lost lease is noticed before the store is touched
            await context.artifacts.put_file(film.video.key, joined.path)
            if film.poster is not None and joined.poster is not None:
                await context.artifacts.put_file(film.poster.key, joined.poster)
        _count(joined)
        return film

    async def _clip_file(self, stack: AsyncExitStack, index: int, key: str) -> Path:
        path = await stack.enter_async_context(self._context.artifacts.local_path(key))
        if path is None:
            raise ClipGone(f"{key} is not in the artifact store any more", clip=index)
        return path

    async def _failed(self, job: Job, owner: str, error: EngineError, attempt: int) -> None:
        if isinstance(error, TimedOut) or not error.retryable or attempt >= MAX_TRIES:
            clip = error.clip + 1 if error.clip is not None else None
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
        await self._release(job, owner)
        raise Retry(AGAIN_S * attempt, str(error))

    async def _release(self, job: Job, owner: str) -> None:
        await self._context.store.update(job.id, partial(release_step, owner=owner))


class ClipGone(EngineError):
    """A clip was deleted from the artifact store before it was joined."""

    code = "clip_gone"


def _keys(job: Job) -> Sequence[str]:
    return [clip.artifact.key for clip in job.clips if clip.artifact is not None]


def _described(job: Job, joined: JoinedFilm) -> Film:
    """Return the document's words for a joined film."""
    video = Artifact(
        key=f"jobs/{job.id}/film.mp4",
        size_bytes=joined.bytes,
        duration_s=round(joined.duration_s, 3),
        width=joined.width,
        height=joined.height,
    )
    poster = None
    if joined.poster is not None:
        poster = Artifact(key=f"jobs/{job.id}/poster.jpg", size_bytes=joined.poster.stat().st_size)
    fallbacks = [f"{given_up.step}: {given_up.reason}" for given_up in joined.fallbacks]
    plan = {"explained": joined.plan.explain(), "fallbacks": fallbacks}
    return Film(video=video, poster=poster, frames=joined.frames, fps=str(joined.fps), plan=plan)


def _count(joined: JoinedFilm) -> None:
    actions = {segment.action for segment in joined.plan.segments}
    metrics.STITCHES.labels("copy" if actions == {"copy"} else "mixed" if "copy" in actions else "encode").inc()
    metrics.STITCH_FALLBACKS.inc(len(joined.fallbacks))
    metrics.FILM_BYTES.inc(joined.bytes)
    metrics.FILM_SECONDS.inc(joined.duration_s)
