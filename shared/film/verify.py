"""Is this film what was planned? Tables first, then a decoder over the joints."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .cell import CellDied, ask
from .entries import parse_visual_entry
from .errors import Damaged, VerifyFailed
from .join import Draft
from .limits import Limits
from .model import Probe
from .mp4 import Movie, Mp4Error, Track, read_movie
from .mp4.boxes import IntArray
from .mp4.copying import OpenFiles, read_places
from .plan_model import Action, Plan, Segment

#: A group of pictures of our own making up to this long is decoded whole before a joint.
_WHOLE_GROUP_FRAMES = 48
#: Packets decoded after a joint: a key frame, and one that refers to it under the same headers.
_AFTER_JOINT_FRAMES = 2
#: Likewise after a graft, whose pictures refer to those before it.
_BEHIND_GRAFT_FRAMES = 8
#: How much of a picture at a joint is compared with its source after writing.
_COMPARED_BYTES = 4096
#: libav's decoder where it is not called like the codec.
_DECODERS = {"av1": "libdav1d"}


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


def _read_back(path: Path) -> Movie:
    try:
        return read_movie(path, max_samples=1 << 24)
    except Mp4Error as error:
        raise VerifyFailed(f"the film cannot be read back: {error}") from error


def _check_tables(movie: Movie, plan: Plan) -> Checked:
    """Check counts, clocks and durations against the plan."""
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
    total = audio.ticks
    return (min(total, total if how.end is None else how.end) - how.offset) / audio.timescale


def verify_film(path: Path, draft: Draft) -> Checked:
    """Check a film just written: its tables against the plan, its bytes at every joint against where they came from.

    Blocking; reads the header and little more.

    Raises:
        VerifyFailed: Something is not as planned.
    """
    movie = _read_back(path)
    checked, video = _check_tables(movie, draft.plan), movie.first("video")
    assert video is not None
    if (video.sizes != draft.video.sizes).any() or (video.sync != draft.video.sync).any():
        raise VerifyFailed("the film's tables are not those that were laid out")
    ends = np.cumsum([segment.frames for segment in draft.plan.segments])
    borders = sorted({0, *ends.tolist(), *(ends - 1).tolist()} - {int(ends[-1])})
    head = np.minimum(video.sizes[borders], _COMPARED_BYTES)
    written = read_places(path, zip(head.tolist(), video.offsets[borders].tolist(), strict=True))
    if written != read_samples(draft, borders, _COMPARED_BYTES):
        raise VerifyFailed("the film's bytes at its joints are not those of its pieces")
    return checked


async def verify_joints(draft: Draft, probes: Sequence[Probe], limits: Limits) -> None:
    """Decode the pictures around every joint, with errors and warnings fatal, before or while they are written.

    The packets are decoded in a cell, one after the other, under the film's own sample description: a wrong header or
    a missing reference shows there as it would in a player. Not decoded again are the beginnings of clips that
    :func:`.check.check_clip` has decoded under these very headers.

    Args:
        draft: The film, laid out.
        probes: One per clip of it.
        limits: Resources of the cell.

    Raises:
        VerifyFailed: They do not decode cleanly.
    """
    numbers = joint_numbers(draft, probes)
    if not numbers:
        return
    config, codec = parse_visual_entry(draft.video.entry).config, draft.plan.target.codec
    for batch in batches(numbers, draft.video.sync, draft.video.sizes):
        await _decode(await asyncio.to_thread(read_samples, draft, batch), codec, config, limits)


async def verify_joined(path: Path, plan: Plan, limits: Limits) -> Checked:
    """Check a film that ffmpeg joined from encoded pieces: its tables, and the pictures around its joints.

    Raises:
        VerifyFailed: Something is not as planned, or they do not decode cleanly.
    """
    movie = await asyncio.to_thread(_read_back, path)
    checked, video = _check_tables(movie, plan), movie.first("video")
    assert video is not None
    lengths = [segment.frames for segment in plan.segments]
    numbers = joint_packets(np.flatnonzero(video.sync).tolist(), lengths, [False] * len(lengths))
    config = parse_visual_entry(video.entries[0]).config
    for batch in batches(numbers, video.sync, video.sizes):
        places = zip(video.sizes[batch].tolist(), video.offsets[batch].tolist(), strict=True)
        await _decode(await asyncio.to_thread(read_places, path, places), plan.target.codec, config, limits)
    return checked


def batches(
    numbers: Sequence[int], sync: npt.NDArray[np.bool_], sizes: IntArray, most_bytes: int = 32 << 20
) -> list[list[int]]:
    """Divide packets that are to be decoded into parts, not much larger than so many bytes, that decode alone. Pure."""
    found: list[list[int]] = []
    left = 0
    for number in numbers:
        if not found or (left <= 0 and sync[number]):
            found.append([])
            left = most_bytes
        found[-1].append(number)
        left -= int(sizes[number])
    return found


async def _decode(packets: Sequence[bytes], codec: str, config: bytes, limits: Limits) -> None:
    arguments = {"codec": _DECODERS.get(codec, codec), "extradata": config, "packets": packets, "threads": 1}
    try:
        answer = await ask("decode_pictures", arguments, limits, timeout_s=limits.step_timeout_s)
    except (CellDied, Damaged) as error:
        raise VerifyFailed("the film does not decode at its joints", detail=f"{error}\n{error.detail}") from error
    if answer.result != len(packets):
        raise VerifyFailed(f"{answer.result} of {len(packets)} frames around the joints decode")


def joint_numbers(draft: Draft, probes: Sequence[Probe]) -> list[int]:
    """Return the packets around a film's joints that have to be decoded, by number in its picture track. Pure."""
    segments = draft.plan.segments
    copied = [segment.action in {Action.COPY, Action.CONTINUE} for segment in segments]
    looked_at = [_frames_to_decode(draft, segment, probes[segment.clip]) for segment in segments]
    sync = np.flatnonzero(draft.video.sync).tolist()
    whole = [segment.graft is not None for segment in segments]
    return joint_packets(sync, [segment.frames for segment in segments], copied, looked_at, whole)


def _frames_to_decode(draft: Draft, segment: Segment, found: Probe) -> int:
    """How many frames at the beginning of a segment need decoding: under the clip's own headers, its first speaks."""
    if segment.action is Action.CONTINUE:
        return _BEHIND_GRAFT_FRAMES
    if segment.action is not Action.COPY or found.video.entry != draft.video.entry:
        return _AFTER_JOINT_FRAMES
    return 0 if found.decodes and segment.first_frame == 0 else 1


def read_samples(draft: Draft, numbers: Sequence[int], most_bytes: int = 1 << 30) -> list[bytes]:
    """Read pictures of the film, by number, from where they will be copied from; at most ``most_bytes`` of each."""
    video, found = draft.video, []
    with OpenFiles() as files:
        for number in numbers:
            index, offset = int(video.source[number]), int(video.offsets[number])
            size, source = min(most_bytes, int(video.sizes[number])), draft.sources[index]
            assert isinstance(source, Path)  # pictures lie in files; only sound is still being made
            found.append(os.pread(files.descriptor(source), size, offset))
    return found


def joint_packets(
    sync: Sequence[int],
    segment_frames: Sequence[int],
    copied: Sequence[bool],
    looked_at: Sequence[int] = (),
    whole: Sequence[bool] = (),
) -> list[int]:
    """Choose packets around the borders of segments, such that each choice decodes by itself. Pure.

    Of a copied segment only the beginning is looked at: its other packets are what they were in the clip.

    Args:
        sync: Packets at which decoding may start, ascending.
        segment_frames: Packets of each segment; every segment begins with a sync packet.
        copied: Whether the segment was copied.
        looked_at: Packets chosen at the beginning of each segment; two when omitted.
        whole: Whether what follows a segment refers to it, so that all of its last group is chosen.

    Returns:
        Packet numbers, ascending, without duplicates.
    """
    ends = list(itertools.accumulate(segment_frames))
    chosen: set[int] = set()
    heads = looked_at or [_AFTER_JOINT_FRAMES] * len(ends)
    needed = whole or [False] * len(ends)
    for begin, end, as_it_was, head, all_of_it in zip([0, *ends], ends, copied, heads, needed, strict=False):
        chosen.update(range(begin, min(end, begin + head)))
        group = max((each for each in sync if begin <= each < end), default=begin)
        if all_of_it or (not as_it_was and end - group <= _WHOLE_GROUP_FRAMES):
            chosen.update(range(group, end))
    return sorted(chosen)
