"""Deciding whether downloaded bytes are usable, with the film engine's own eyes."""

from pathlib import Path

from services.generator.results import ClipRejected
from shared.errors import DependencyDown
from shared.film import EngineError, FfmpegMissing, Limits, Truncated, check_clip
from shared.film.check_extras import check_logo, check_soundtrack
from shared.job.model import Artifact, ClipRole

PROBE_LIMIT = 2000
"""Characters that what was found out about a clip may take in its job's document; an ordinary clip takes 300."""


class FilmEngineDown(DependencyDown):
    """Nothing can be checked here: that says nothing about the clip, which is paid for."""

    dependency = "ffmpeg"


class EngineClipCheck:
    """A clip is usable when the engine can probe it and decode its beginning and its end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def __call__(self, path: Path, artifact: Artifact, role: ClipRole) -> Artifact:
        """Return the artifact with its duration, its size in pixels and what joining it takes to know, if it is a film.

        Raises:
            ClipRejected: it is not what its role asks for.
            FilmEngineDown: there is nothing to check it with.
        """
        try:
            if role is ClipRole.SOUNDTRACK:
                await check_soundtrack(path, self._limits)
                return artifact
            if role is ClipRole.OVERLAY:
                await check_logo(path, self._limits)
                return artifact
            probe = await check_clip(path, self._limits)
        except FfmpegMissing as missing:
            raise FilmEngineDown(f"clips cannot be checked: {missing.message}") from missing
        except EngineError as error:
            again = error.retryable or isinstance(error, Truncated)
            raise ClipRejected(error.code, error.message, retryable=again) from error
        width, height = probe.video.display_size
        found = probe.packed()
        return artifact.but(
            duration_s=round(probe.duration_s, 3),
            width=width,
            height=height,
            probe=found if len(found) <= PROBE_LIMIT else None,  # else the stitcher looks again
        )
