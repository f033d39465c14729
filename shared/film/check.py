"""Is a downloaded file a clip we can use? Cheap enough to ask about every one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import ffmpeg

from .errors import Damaged, EncodeFailed
from .kept import fingerprint_of
from .limits import Limits
from .model import Probe
from .probing import probe
from .process import picture_input, run_ffmpeg

#: How much of each end is decoded. The last part costs decoding from its last key frame.
_END_S = 0.5


async def check_clip(path: Path, limits: Limits = Limits()) -> Probe:  # noqa: B008 - frozen
    """Check that a file is a video and that its beginning and its end decode without a single error.

    Args:
        path: A local file.
        limits: What is acceptable.

    Returns:
        What :func:`probe` found; it can be kept and given to :func:`stitch` in place of the file.

    Raises:
        ClipError: It is not a usable video; the subclass and the message say why.
        EngineError: It could not be checked.
    """
    found = await asyncio.to_thread(_look, path, limits)
    head = picture_input(found, t=_END_S)
    streams = [head["v:0"]]
    if found.audio is not None:
        streams.append(head["a:0"])
    if found.duration_s > 2 * _END_S:
        tail = picture_input(found, ss=f"{max(0.0, found.duration_s - _END_S):.3f}")
        streams.append(tail["v:0"])
    output = ffmpeg.output(*streams, "-", f="null", fps_mode="passthrough")
    try:
        done = await run_ffmpeg(output, limits, timeout_s=limits.inspect_timeout_s)
    except EncodeFailed as error:
        raise Damaged(f"{path.name} does not decode: {error.message}", detail=error.detail) from error
    if done.frames < 1:
        raise Damaged(f"{path.name} does not decode to a single picture", detail=done.messages)
    if done.messages.strip():
        raise Damaged(f"{path.name} decodes with errors: {done.messages.strip()[:200]}", detail=done.messages)
    return replace(found, decodes=True)


def _look(path: Path, limits: Limits) -> Probe:
    found = probe(path, limits)
    return replace(found, fingerprint=fingerprint_of(path))
