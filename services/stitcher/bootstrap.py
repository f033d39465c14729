"""Putting the stitcher together."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from services.stitcher.ahead import Ahead
from services.stitcher.handlers import routes
from services.stitcher.stitching import Stitching
from shared.film import Limits, encode_ahead, stitch
from shared.film.cell import close_idle, warm_up
from shared.runtime import Parts
from shared.service import Route

log = structlog.get_logger(__name__)


async def build(parts: Parts, stack: AsyncExitStack) -> Sequence[Route]:
    """Return the stitcher's routes. A process that decodes is started beside, so that the first film need not wait."""
    settings = parts.settings
    warming = asyncio.create_task(asyncio.to_thread(warm_up))
    stack.push_async_callback(_let_go, warming)
    limits = Limits(
        clips=settings.max_clips,
        clip_bytes=settings.max_clip_bytes,
        clip_duration_s=settings.max_clip_seconds,
        timeout_s=settings.stitch_timeout / 1000,
    )
    ahead = Ahead(parts.context, encode_ahead, limits, parts.work_dir, enabled=settings.stitch_ahead)
    stack.push_async_callback(ahead.close)
    return routes(parts.context, Stitching(parts.context, stitch, ahead, limits, parts.work_dir))


async def _let_go(warming: "asyncio.Task[None]") -> None:
    for problem in await asyncio.gather(warming, return_exceptions=True):
        if problem is not None:
            log.warning("no process that decodes could be started ahead", problem=str(problem))
    await asyncio.to_thread(close_idle)
