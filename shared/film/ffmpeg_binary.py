"""Finding ffmpeg: the one place that decides which binary runs."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

from .errors import FfmpegMissing


@cache
def ffmpeg_exe() -> str:
    """Return the path of the ffmpeg binary: the system's, else the one imageio-ffmpeg ships.

    Raises:
        FfmpegMissing: There is neither.
    """
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise FfmpegMissing(
            "no ffmpeg found; install it with the system's package manager or `pip install imageio-ffmpeg`"
        ) from error


@cache
def sets_chroma_location() -> bool:
    """Return whether this ffmpeg's ``setparams`` filter knows where chroma samples lie (5.1 does not). Blocking."""
    command = [ffmpeg_exe(), "-hide_banner", "-h", "filter=setparams"]
    said = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=30)
    return b"chroma_location" in said.stdout
