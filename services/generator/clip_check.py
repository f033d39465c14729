"""Deciding whether downloaded bytes are a usable clip, with the film engine's own eyes."""

from pathlib import Path

from services.generator.bringing_home import ClipRejected
from shared.film import EngineError, Limits, Truncated, check_clip
from shared.job.model import Artifact


class EngineClipCheck:
    """A clip is usable when the engine can probe it and decode its beginning and its end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def __call__(self, path: Path, artifact: Artifact) -> Artifact:
        """Return the artifact with its duration and size in pixels. Raises `ClipRejected`."""
        try:
            probe = await check_clip(path, self._limits)
        except EngineError as error:
            again = error.retryable or isinstance(error, Truncated)
            raise ClipRejected(error.code, error.message, retryable=again) from error
        width, height = probe.video.display_size
        return artifact.but(duration_s=round(probe.duration_s, 3), width=width, height=height)
