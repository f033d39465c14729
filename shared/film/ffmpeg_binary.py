"""Finding ffmpeg: the one place that decides which binary runs."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from functools import cache

from .errors import FfmpegMissing


@cache
def ffmpeg_exe() -> str:
    """Return the path of the ffmpeg binary: the one that imageio-ffmpeg ships, else the system's.

    The first is the one that everything is tested with, and the same on every machine; those of distributions are
    years apart (Debian 12's lacks twelve kinds of transitions). ``IMAGEIO_FFMPEG_EXE`` names another one.

    Raises:
        FfmpegMissing: There is neither.
    """
    with contextlib.suppress(ImportError, RuntimeError):
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    found = shutil.which("ffmpeg")
    if found is None:
        raise FfmpegMissing(
            "no ffmpeg found; install it with the system's package manager or `pip install imageio-ffmpeg`"
        )
    return found


@cache
def sets_chroma_location() -> bool:
    """Return whether this ffmpeg's ``setparams`` filter knows where chroma samples lie (5.1 does not). Blocking."""
    command = [ffmpeg_exe(), "-hide_banner", "-h", "filter=setparams"]
    said = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=30)
    return b"chroma_location" in said.stdout
