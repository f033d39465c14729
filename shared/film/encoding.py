"""Encoding one segment of a plan, for the film that is being made or ahead of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import Damaged, EncodeFailed, EngineError, Truncated
from .limits import Limits
from .model import Probe, Wishes
from .mp4 import Mp4Error, read_movie
from .pictures import segment_command
from .plan_model import Plan, Segment
from .process import run_ffmpeg

#: Messages by which ffmpeg says that the input, not the encoder, is at fault.
_INPUT_FAULTS = ("invalid data", "error while decoding", "corrupt", "truncat", "decode_slice", "no frame", "moov")


async def encode_segment(
    plan: Plan,
    number: int,
    probes: Sequence[Probe],
    wishes: Wishes,
    limits: Limits,
    path: Path,
    *,
    threads: int,
    report: Callable[[float], None],
) -> None:
    """Encode segment ``number`` of a plan as a picture-only MP4. Those with a graft are made by :mod:`.grafts`.

    Args:
        plan: The plan.
        number: Which segment.
        probes: One per clip.
        wishes: How to encode.
        limits: Resources of the ffmpeg process.
        path: The file to create.
        threads: Of the encoder.
        report: Told the share that is done.

    Raises:
        EngineError: It cannot be made.
    """
    segment = plan.segments[number]
    command = await asyncio.to_thread(segment_command, segment, probes, plan, wishes, path, threads)
    length_s = float(segment.frames / plan.target.fps)
    await run_ffmpeg(command, limits, on_time=lambda at_s: report(at_s / length_s))
    await asyncio.to_thread(_check_count, path, segment)


def blame(error: EngineError, clip: int, name: str) -> EngineError:
    """Turn ffmpeg's failure on a clip into an error about that clip, when its messages say so."""
    error.clip = clip if error.clip is None else error.clip
    if isinstance(error, EncodeFailed) and any(fault in error.detail.lower() for fault in _INPUT_FAULTS):
        return Damaged(f"{name} does not decode: {error.message}", clip=error.clip, detail=error.detail)
    return error


def _check_count(path: Path, segment: Segment) -> None:
    try:
        track = read_movie(path, max_samples=1 << 24).first("video")
    except Mp4Error as error:
        raise EncodeFailed(f"ffmpeg wrote no readable piece: {error}") from error
    made = 0 if track is None else len(track.sizes)
    if made != segment.frames:
        raise Truncated(f"only {made} of {segment.frames} frames could be decoded; the clip is cut short")
