"""Is a file usable as music under a film, or as a logo over it? A short decode tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ffmpeg

from .errors import EncodeFailed, NotAVideo
from .limits import Limits
from .mix import _MUSIC_FORMATS
from .pictures import _LOGO_FORMATS
from .process import restricted_input, run_ffmpeg
from .wishes import Wishes

_BEGINNING_S = 5.0


class NotASound(NotAVideo):
    """The file holds no sound that can be decoded."""

    code = "not_a_sound"


class NotAPicture(NotAVideo):
    """The file is no picture that can be decoded."""

    code = "not_a_picture"


async def check_extras(wishes: Wishes, limits: Limits) -> None:
    """Check a film's music and its logo, if it has them: a failing encoder would not say that they are at fault.

    Raises:
        NotASound: The music is none.
        NotAPicture: The logo is none.
        EngineError: It could not be checked.
    """
    if wishes.soundtrack is not None:
        await check_soundtrack(wishes.soundtrack.path, limits)
    if wishes.logo is not None:
        await check_logo(wishes.logo.path, limits)


async def check_soundtrack(path: Path, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
    """Check that a file's beginning decodes as sound.

    Raises:
        NotASound: it does not.
        EngineError: it could not be checked.
    """
    source = restricted_input(path, _MUSIC_FORMATS, t=_BEGINNING_S)
    output = ffmpeg.output(source["a:0"], "-", f="null")
    problem, times_s = NotASound(f"{path.name} holds no sound that can be decoded"), [0.0]
    await _decode(output, limits, problem, on_time=times_s.append)
    if not max(times_s):  # ffmpeg does not mind, but would repeat nothing for ever
        raise problem


async def check_logo(path: Path, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
    """Check that a file decodes as a picture.

    Raises:
        NotAPicture: it does not.
        EngineError: it could not be checked.
    """
    source = restricted_input(path, _LOGO_FORMATS)
    output = ffmpeg.output(source["v:0"], "-", f="null", vframes=1)
    await _decode(output, limits, NotAPicture(f"{path.name} is no PNG, JPEG or WebP picture that can be decoded"))


async def _decode(
    output: Any, limits: Limits, problem: NotAVideo, on_time: Callable[[float], None] | None = None
) -> None:
    try:
        await run_ffmpeg(output, limits, timeout_s=limits.inspect_timeout_s, on_time=on_time)
    except EncodeFailed as error:
        problem.detail = error.detail
        raise problem from error
