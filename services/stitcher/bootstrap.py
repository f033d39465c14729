"""Putting the stitcher together."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.stitcher.handlers import routes
from services.stitcher.stitching import Stitching
from shared.film import Limits, stitch
from shared.runtime import Parts
from shared.service import Route


async def build(parts: Parts, _stack: AsyncExitStack) -> Sequence[Route]:
    """Return the stitcher's routes."""
    settings = parts.settings
    limits = Limits(
        clips=settings.max_clips,
        clip_bytes=settings.max_clip_bytes,
        clip_duration_s=settings.max_clip_seconds,
        timeout_s=settings.stitch_timeout / 1000,
    )
    return routes(parts.context, Stitching(parts.context, stitch, limits, parts.work_dir))
