"""Still pictures of a film: the poster."""

from __future__ import annotations

from pathlib import Path

import ffmpeg

from .errors import EncodeFailed
from .limits import Limits
from .pictures import square_pixels
from .process import clip_input, file_output, run_ffmpeg
from .work_folder import partial_beside


async def make_poster(film: Path, output: Path, at_s: float, limits: Limits = Limits()) -> Path:  # noqa: B008 - frozen
    """Write the film's picture at ``at_s`` as a JPEG.

    Args:
        film: A finished film.
        output: The JPEG to write.
        at_s: Seconds from the start; beyond the end means the last picture.
        limits: Resources of the ffmpeg process.

    Returns:
        ``output``.

    Raises:
        EngineError: The film does not decode, or the picture cannot be written.
    """
    temporary = partial_beside(output)
    try:
        # The second attempt is for a moment beyond the end: every later picture overwrites the one before.
        attempts: tuple[tuple[dict[str, str], dict[str, int]], ...] = (
            ({"ss": f"{max(0.0, at_s):.3f}"}, {"frames:v": 1}),
            ({"sseof": "-1"}, {}),
        )
        for seek, extent in attempts:
            options = {"q:v": 3, "f": "image2", "update": 1, "an": None, "pix_fmt": "yuvj420p"} | extent
            picture = square_pixels(clip_input(film, **seek).video)
            stream = ffmpeg.output(picture, file_output(temporary), **options)
            temporary.unlink(missing_ok=True)
            await run_ffmpeg(stream, limits, timeout_s=limits.inspect_timeout_s)
            if temporary.exists() and temporary.stat().st_size:
                try:
                    return temporary.replace(output)
                except OSError as error:
                    raise EncodeFailed(f"the poster {output} cannot be written: {error.strerror}") from error
        raise EncodeFailed("no picture could be taken from the film")
    finally:
        temporary.unlink(missing_ok=True)
