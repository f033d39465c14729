"""Encoding one segment of a plan, for the film that is being made or ahead of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from .entries import parse_visual_entry
from .errors import ClipError, Damaged, DiskFull, EncodeFailed, EngineError, FfmpegMissing, Overgrown, Truncated
from .limits import Limits
from .model import Probe
from .mp4 import Mp4Error, read_movie
from .pictures import segment_command
from .plan_model import Plan, Segment, Target
from .process import run_ffmpeg
from .wishes import Wishes

#: Messages by which ffmpeg says that the input, not the encoder, is at fault.
_INPUT_FAULTS = ("invalid data", "error while decoding", "corrupt", "truncat", "decode_slice", "no frame", "moov")
#: How it names the input that a message is about.
_INPUT_NUMBER = re.compile(r"(?:\bin|\bvist|\bist|stream )#(\d+)[:/ ]")


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
    await asyncio.to_thread(_check_piece, path, segment, plan.target)


def blame(error: EngineError, clips: Sequence[int], probes: Sequence[Probe]) -> EngineError:
    """Turn ffmpeg's failure on clips into an error about one of them, when it is the fault of one.

    Args:
        error: What happened.
        clips: The clips that ffmpeg was given, in this order.
        probes: One per clip of the film.
    """
    if isinstance(error, DiskFull | FfmpegMissing | Overgrown) or error.clip is not None:
        return error
    named = {int(number) for number in _INPUT_NUMBER.findall(error.detail)} & set(range(len(clips)))
    at_fault = [clips[number] for number in sorted(named)] if len(named) == 1 else list(clips)
    error.clip = at_fault[0] if len(at_fault) == 1 else None
    names = " or ".join(probes[clip].path.name for clip in at_fault)
    if isinstance(error, EncodeFailed) and any(fault in error.detail.lower() for fault in _INPUT_FAULTS):
        return Damaged(f"{names} does not decode: {error.message}", clip=error.clip, detail=error.detail)
    if error.clip is None and isinstance(error, ClipError):
        error.message = f"{names}: {error.message}"
    return error


def _check_piece(path: Path, segment: Segment, target: Target) -> None:
    try:
        track = read_movie(path, max_samples=1 << 24).first("video")
        entry = None if track is None else parse_visual_entry(track.entries[0])
    except Mp4Error as error:
        raise EncodeFailed(f"ffmpeg wrote no readable piece: {error}") from error
    made = 0 if track is None else len(track.sizes)
    if entry is not None and (entry.width, entry.height) != (target.width, target.height):
        raise EncodeFailed(f"ffmpeg made {entry.width}x{entry.height} instead of {target.width}x{target.height}")
    if made != segment.frames:
        raise Truncated(f"only {made} of {segment.frames} frames could be decoded; the clip is cut short")
