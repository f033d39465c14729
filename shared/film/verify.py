"""Is this film what was planned? Tables first, then a decoder over the joints."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import numpy as np

from .errors import EncodeFailed, VerifyFailed
from .limits import Limits
from .mp4 import Mp4Error, OutputTrack, Track, read_movie, write_movie
from .plan_model import Action, Plan
from .process import clip_input, run_ffmpeg

#: A group of pictures of our own making up to this long is decoded whole before a joint.
_WHOLE_GROUP_FRAMES = 48
#: Packets decoded after a joint: a key frame, and one that refers to it under the same headers.
_AFTER_JOINT_FRAMES = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """What the tables of a film say.

    Attributes:
        bytes: File size.
        frames: Number of frames.
        duration_s: Presented duration of the picture.
        sound_s: Presented duration of the sound; ``None`` without sound.
    """

    bytes: int
    frames: int
    duration_s: float
    sound_s: float | None


def verify_tables(path: Path, plan: Plan) -> Checked:
    """Check counts, clocks and durations against the plan. Reads the header only.

    Raises:
        VerifyFailed: Something is not as planned.
    """
    try:
        movie = read_movie(path, max_samples=1 << 24)
    except Mp4Error as error:
        raise VerifyFailed(f"the film cannot be read back: {error}") from error
    video, audio = movie.first("video"), movie.first("audio")
    if video is None:
        raise VerifyFailed("the film has no picture track")
    if len(video.sizes) != plan.frames:
        raise VerifyFailed(f"the film has {len(video.sizes)} frames instead of {plan.frames}")
    _check_clock(video, plan)
    duration_s = float(plan.frames / plan.target.fps)
    sound_s = None
    if plan.sound is not None:
        if audio is None:
            raise VerifyFailed("the film has no sound track")
        sound_s = _sound_duration_s(audio)
        if abs(sound_s - duration_s) > float(1 / plan.target.fps):
            raise VerifyFailed(f"the sound lasts {sound_s:.3f} s, the picture {duration_s:.3f} s")
    elif audio is not None:
        raise VerifyFailed("the film has a sound track that was not planned")
    return Checked(movie.file_bytes, len(video.sizes), duration_s, sound_s)


def _check_clock(video: Track, plan: Plan) -> None:
    if (video.durations <= 0).any():
        raise VerifyFailed("decoding times do not increase")
    how = video.presentation
    times = np.sort(video.presentation_times)
    step = plan.target.frame_ticks * video.timescale
    if video.timescale != plan.target.timescale:
        # Only a film written by ffmpeg (the safe plan) has another clock.
        if len(times) > 1 and np.abs(np.diff(times) * plan.target.timescale - step).max() > 2 * plan.target.timescale:
            raise VerifyFailed("the frames are not evenly spaced")
    elif (np.diff(times) != plan.target.frame_ticks).any():
        raise VerifyFailed("the frames are not evenly spaced")
    if (video.composition < 0).any() or how is None or int(times[0]) != how.offset:
        raise VerifyFailed("the picture does not begin at time zero")


def _sound_duration_s(audio: Track) -> float:
    how = audio.presentation
    if how is None:
        raise VerifyFailed("the sound has an unexpected edit list")
    total = int(audio.durations.sum())
    return (min(total, total if how.end is None else how.end) - how.offset) / audio.timescale


async def verify_joints(path: Path, plan: Plan, limits: Limits, work: Path) -> None:
    """Decode the pictures around every joint, with errors and warnings fatal.

    The packets around the joints are put into a small film of their own, under the film's sample description, and
    decoded by one run of ffmpeg: a wrong header or a missing reference shows there as it would in a player.

    Raises:
        VerifyFailed: They do not decode cleanly.
    """
    sample = work / "joints.mp4"
    packets = write_joint_sample(path, plan, sample)
    output = ffmpeg.output(clip_input(sample, threads=2).video, "-", f="null", fps_mode="passthrough")
    try:
        done = await run_ffmpeg(output, limits, timeout_s=limits.inspect_timeout_s, loglevel="warning")
    except EncodeFailed as error:
        raise VerifyFailed("the film does not decode at its joints", detail=error.detail) from error
    finally:
        sample.unlink(missing_ok=True)
    if done.messages.strip() or done.frames != packets:
        raise VerifyFailed(f"{done.frames} of {packets} frames around the joints decode", detail=done.messages)


def write_joint_sample(path: Path, plan: Plan, sample: Path) -> int:
    """Write the film's packets around its joints as a film of their own; return how many there are."""
    movie = read_movie(path, max_samples=1 << 24)
    video = movie.first("video")
    assert video is not None
    lengths = [segment.frames for segment in plan.segments]
    copied = [segment.action is Action.COPY for segment in plan.segments]
    chosen = joint_packets(np.flatnonzero(video.sync).tolist(), lengths, copied)
    index = np.array(chosen, np.int64)
    # Ranks keep the pictures' display order; their absolute times do not matter here.
    ranks = np.argsort(np.argsort(video.presentation_times[index], kind="stable"), kind="stable")
    order = ranks - np.arange(len(index))
    delay = int(max(0, -order.min()))
    track = OutputTrack(
        kind="video", timescale=video.timescale, entry=video.entries[0], source=np.zeros(len(index), np.int64),
        offsets=video.offsets[index], sizes=video.sizes[index], durations=np.full(len(index), 512, np.int64),
        composition=(order + delay) * 512, sync=video.sync[index], group=np.arange(len(index), dtype=np.int64),
        media_time=delay * 512, duration=len(index) * 512, width=video.width, height=video.height,
    )  # fmt: skip
    write_movie(sample, [path], [track], video.timescale)
    return len(index)


def joint_packets(sync: Sequence[int], segment_frames: Sequence[int], copied: Sequence[bool]) -> list[int]:
    """Choose packets around the borders of segments, such that each choice decodes by itself. Pure.

    Of a copied segment only the beginning is looked at: its other packets are what they were in the clip.

    Args:
        sync: Packets at which decoding may start, ascending.
        segment_frames: Packets of each segment; every segment begins with a sync packet.
        copied: Whether the segment was copied.

    Returns:
        Packet numbers, ascending, without duplicates.
    """
    ends = list(itertools.accumulate(segment_frames))
    chosen: set[int] = set()
    for begin, end, as_it_was in zip([0, *ends], ends, copied, strict=False):
        chosen.update(range(begin, min(end, begin + _AFTER_JOINT_FRAMES)))
        group = max((each for each in sync if begin <= each < end), default=begin)
        if not as_it_was and end - group <= _WHOLE_GROUP_FRAMES:
            chosen.update(range(group, end))
    return sorted(chosen)
