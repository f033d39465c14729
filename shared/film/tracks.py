"""Sample tables → what the planner wants to know about a track, including why it could not be copied."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from .aac import CHANNEL_COUNTS, FRAME_SAMPLES, MOST_PACKET_BYTES
from .entries import VIDEO_CODECS, VisualEntry, parse_aac_entry, parse_visual_entry
from .errors import Damaged, TooLarge
from .h264 import IDR_SLICE, NON_IDR_SLICE, PPS_NAL, SPS_NAL, AvcConfig, H264Error, parse_avc_config, parse_sps
from .limits import Limits
from .model import AudioInfo, Colour, VideoInfo
from .mp4 import Mp4Error, Track
from .mp4.boxes import IntArray, Mp4TooLarge
from .rates import LAST_FRAME_STEPS, snap_rate

_ROTATIONS = {
    (65536, 0, 0, 65536): 0,
    (0, 65536, -65536, 0): 90,
    (-65536, 0, 0, -65536): 180,
    (0, -65536, 65536, 0): 270,
}
#: Rounding of timestamps that is not irregularity: Matroska's clock ticks once a millisecond.
_CLOCK_SLACK_S = 0.0011
#: How much of a key frame is read to find its parameter sets and slice type.
_KEY_FRAME_HEAD_BYTES = 16 << 10
#: Key frames looked at; a clip with more is an all-intra one, whose first hundreds speak for the rest.
_KEY_FRAMES_READ = 1024


def video_info(path: Path, track: Track, limits: Limits, *, first_s: float | None = None) -> VideoInfo:
    """Describe a picture track.

    Args:
        path: The file.
        track: Its sample tables.
        limits: What is acceptable.
        first_s: When the first picture that decodes is shown, if that was looked at.

    Raises:
        Mp4Error: The sample description cannot be read.
        Damaged: There are no frames.
        TooLarge: The container claims more pixels than are accepted; the stream's own size is held against the limit
            later.
    """
    if not len(track.sizes):
        raise Damaged(f"{path.name} holds no frames")
    if len(track.entries) != 1:
        raise Mp4Error("the picture track has several sample descriptions")
    entry = parse_visual_entry(track.entries[0])
    if entry.width * entry.height > limits.pixels:
        raise TooLarge(f"{path.name} claims {entry.width}x{entry.height}; the limit is {limits.pixels} pixels")
    odd: list[str] = []
    shown = _shown(track, odd, limits.samples)
    if first_s is not None:
        shown = _decodable(shown, track.timescale, first_s, odd)
    rate, constant = _rate(track.timescale, shown, int(track.durations[-1]))
    if not constant:
        odd.append("its frames are not evenly spaced (variable frame rate)")
    rotation = _ROTATIONS.get((track.matrix[0], track.matrix[1], track.matrix[3], track.matrix[4]), -1)
    odd += rotation_notes(rotation)
    base = _Stream.read(path, track, entry, odd)
    colour = _colour(entry, base.colour)
    # Matrix 0 is none at all: the three planes are green, blue and red.
    is_rgb = base.chroma == "4:4:4" and 0 in {colour.matrix, base.colour.matrix}
    last_s = _last_duration_s(track, shown, rate, constant=constant)
    start_s, spread_s = float(shown[0]) / track.timescale, float(shown[-1] - shown[0]) / track.timescale
    return VideoInfo(
        codec=VIDEO_CODECS.get(entry.kind, entry.kind.decode("latin-1").strip()), profile=base.profile,
        level=base.level, width=base.size[0], height=base.size[1], sar=entry.sar or base.sar, rotation=rotation,
        chroma="RGB" if is_rgb else base.chroma, bit_depth=base.bit_depth, interlaced=base.interlaced,
        colour=colour, fps=rate, constant_rate=constant, frames=len(shown), start_s=start_s,
        duration_s=float(len(shown) / rate) if constant else spread_s + last_s, size_bytes=int(track.sizes.sum()),
        parameter_sets=base.parameter_sets, entry=entry.whole, idr_frames=base.idr_frames,
        clean_cuts=tuple(_clean_cuts(track.ranks).tolist()), odd=tuple(odd),
    )  # fmt: skip


def rotation_notes(rotation: int) -> list[str]:
    """Say of a picture that is not shown as it lies how it is shown; see :class:`VideoInfo` for ``rotation``."""
    if not rotation:
        return []
    return [f"it is shown rotated by {rotation} degrees" if rotation > 0 else "it is shown transformed"]


def _colour(entry: VisualEntry, own: Colour) -> Colour:
    """What the container says of the colours, or else the stream's own headers."""
    if entry.colour is None or entry.has_range:
        return entry.colour or own
    return replace(entry.colour, full_range=own.full_range)


def _last_duration_s(track: Track, shown: IntArray, rate: Fraction, *, constant: bool) -> float:
    """How long the last frame of a variable-rate clip stays: what its table says, within reason."""
    if constant:
        return float(1 / rate)
    return min(float(track.durations[-1]) / track.timescale, LAST_FRAME_STEPS / float(rate)) or float(1 / rate)


def _shown(track: Track, odd: list[str], most: int) -> IntArray:
    """Return when frames are shown, ascending, in the track's ticks.

    Raises:
        Mp4Error: There are none, or more than ``most``.
    """
    times = np.sort(track.presentation_times)
    how = track.presentation
    if how is None:
        odd.append("its edit list cuts it into parts")
        visible = _parts_shown(track, times, most)
    else:
        step = int(np.median(track.durations))
        visible = times[times + step // 2 >= how.begin]
        if how.end is not None:
            visible = visible[visible < how.end - step // 4]
        if 0 < len(visible) < len(times):  # then it is decoded by ffmpeg, which does not allow for rounding
            visible = times[(times >= how.begin) & (how.end is None or times < how.end)]
        visible = visible - how.offset
    if not len(visible):
        raise Mp4Error("the edit list hides every frame")
    if how is not None and len(visible) < len(times):
        odd.append(f"its edit list hides {len(times) - len(visible)} frames")
    return visible


def _parts_shown(track: Track, times: IntArray, most: int) -> IntArray:
    """Return the same for an edit list of several entries, which may repeat parts of the track."""
    parts: list[IntArray] = []
    at = frames = 0
    for edit in track.edits:
        begin, end = (track.media_ticks(ticks) for ticks in (at, at + edit.duration))
        at += edit.duration
        if edit.media_time < 0:
            continue
        low, high = np.searchsorted(times, (edit.media_time, edit.media_time + end - begin)).tolist()
        frames += high - low
        if frames > most:
            raise Mp4TooLarge(f"its edit list shows more than {most} frames")
        parts.append(times[low:high] - edit.media_time + begin)
    return np.concatenate(parts) if parts else times[:0]


def _decodable(shown: IntArray, timescale: int, first_s: float, odd: list[str]) -> IntArray:
    """Leave out what is shown before the first picture that decodes."""
    step = int(np.median(np.diff(shown))) if len(shown) > 1 else 0
    there = shown[shown >= first_s * timescale - step / 2]
    if not 0 < len(there) < len(shown):
        return shown
    odd.append(f"its first {len(shown) - len(there)} pictures refer to some that are not there")
    return there


def _rate(timescale: int, shown: IntArray, last_ticks: int) -> tuple[Fraction, bool]:
    """Return the frame rate and whether it is constant (to the precision of the track's clock)."""
    if len(shown) == 1:
        return Fraction(timescale, max(1, last_ticks)), True
    steps = np.diff(shown)
    if steps[0] > 0 and (steps == steps[0]).all():
        return Fraction(timescale, int(steps[0])), True
    spread = int(shown[-1] - shown[0])
    if spread <= 0:
        raise Mp4Error("all frames have the same time")
    mean = spread / (len(shown) - 1)
    ideal = shown[0] + np.arange(len(shown)) * mean
    # One tick of rounding; a millisecond where the clip came from a container with a millisecond clock.
    slack = max(1.01, timescale * _CLOCK_SLACK_S)
    even = bool(np.abs(shown - ideal).max() <= slack) and bool(steps.min() > 0)
    return snap_rate(timescale / mean, len(shown), max(1.5 / timescale, 2 * _CLOCK_SLACK_S)), even


def _clean_cuts(ranks: IntArray) -> IntArray:
    """Frame numbers q such that the first q packets are exactly the first q frames shown."""
    reached = np.maximum.accumulate(ranks)
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(reached == np.arange(len(ranks))) + 1])


class _Stream:
    """What the codec's own headers say."""

    profile = level = -1
    size = (0, 0)
    chroma, bit_depth, interlaced = "4:2:0", 8, False
    sar, colour = Fraction(1), Colour()
    parameter_sets: tuple[tuple[str, int, bytes], ...] = ()
    idr_frames: tuple[int, ...] = ()

    @classmethod
    def read(cls, path: Path, track: Track, entry: VisualEntry, odd: list[str]) -> _Stream:
        stream = cls()
        stream.size = (entry.width, entry.height)
        ranks = track.ranks
        starts = np.flatnonzero(track.sync & (ranks == np.arange(len(ranks))))
        starts = starts[np.isin(starts, _clean_cuts(ranks))]
        if entry.kind == b"avc1":
            try:
                stream._read_h264(path, track, parse_avc_config(entry.config), starts, odd)
            except H264Error as error:
                raise Mp4Error(str(error)) from error
        else:
            stream._read_other(entry, odd)
            stream.idr_frames = tuple(starts.tolist())
        if 0 not in stream.idr_frames:
            odd.append("it does not begin with a frame that decodes by itself")
        return stream

    def _read_h264(self, path: Path, track: Track, config: AvcConfig, starts: IntArray, odd: list[str]) -> None:
        sps = parse_sps(config.sps[0])
        self.profile, self.level, self.bit_depth = sps.profile, sps.level, sps.bit_depth
        self.interlaced = sps.interlaced
        if (sps.width, sps.height) != self.size:
            odd.append(f"its pictures are {sps.width}x{sps.height}, its container says {self.size[0]}x{self.size[1]}")
            self.size = (sps.width, sps.height)
        self.chroma = {0: "4:0:0", 1: "4:2:0", 2: "4:2:2", 3: "4:4:4"}.get(sps.chroma_format, "?")
        self.sar, self.colour, self.parameter_sets = sps.sar, sps.colour, config.parameter_sets
        known = {nal for _, _, nal in config.parameter_sets}
        idr: list[int] = []
        with path.open("rb") as file:
            for start in starts[:_KEY_FRAMES_READ].tolist():
                size = min(int(track.sizes[start]), _KEY_FRAME_HEAD_BYTES)
                sample = os.pread(file.fileno(), size, int(track.offsets[start]))
                if _begins_afresh(sample, config.length_bytes, known, odd):
                    idr.append(start)
        self.idr_frames = tuple(idr)

    def _read_other(self, entry: VisualEntry, odd: list[str]) -> None:
        config = entry.config
        if entry.kind in {b"avc3", b"hev1"}:
            odd.append("its parameter sets are inside the pictures")
        if entry.kind in {b"hvc1", b"hev1"} and len(config) > 18:
            self.profile, self.level = config[1] & 31, config[12]
            self.chroma = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")[config[16] & 3]
            self.bit_depth = (config[17] & 7) + 8
        elif entry.kind == b"av01" and len(config) >= 4:
            self.profile, self.level = config[1] >> 5, config[1] & 31
            self.bit_depth = (12 if config[2] & 0x20 else 10) if config[2] & 0x40 else 8
            self.chroma = {0: "4:4:4", 0x8: "4:2:2", 0xC: "4:2:0"}.get(config[2] & 0xC, "?")
        elif entry.kind == b"vp09" and len(config) >= 10:
            self.profile, self.level, self.bit_depth = config[4], config[5], config[6] >> 4
            self.chroma = {0: "4:2:0", 1: "4:2:0", 2: "4:2:2", 3: "4:4:4"}.get(config[6] >> 1 & 7, "?")
            self.colour = Colour(config[7], config[8], config[9], bool(config[6] & 1))


def _begins_afresh(sample: bytes, length_bytes: int, known: set[bytes], odd: list[str]) -> bool:
    position = 0
    while position + length_bytes < len(sample):
        size = int.from_bytes(sample[position : position + length_bytes], "big")
        position += length_bytes
        kind = sample[position] & 31
        if kind in {IDR_SLICE, NON_IDR_SLICE}:
            return kind == IDR_SLICE
        note = "its pictures carry parameter sets of their own"
        if kind in {SPS_NAL, PPS_NAL} and sample[position : position + size] not in known and note not in odd:
            odd.append(note)
        position += size
    return False


def audio_info(track: Track) -> AudioInfo:
    """Describe a sound track."""
    odd: list[str] = []
    how = track.presentation
    total = track.ticks
    offset, begin, end = (how.offset, how.begin, how.end) if how else (0, 0, None)
    if how is None:
        odd.append("its edit list cuts it into parts")
    heard = max(0, min(total, total if end is None else end) - begin)
    start_s = (begin - offset) / track.timescale
    codec, object_type, sample_rate, channels = track.entries[0][4:8].decode("latin-1").strip(), 0, track.timescale, 2
    try:
        aac = parse_aac_entry(track.entries[0])
    except Mp4Error as error:
        odd.append(str(error))
    else:
        codec, object_type, sample_rate, channels = "aac", aac.object_type, aac.sample_rate, aac.channels
        if object_type != 2 or aac.extended or aac.frame_samples != 1024:
            odd.append("it is not plain AAC-LC")
        if channels not in CHANNEL_COUNTS:
            odd.append(f"it has {channels} channels")
        if track.timescale != sample_rate:
            odd.append("its clock is not its sample rate")
        ideal = np.arange(len(track.sizes)) * FRAME_SAMPLES
        if track.sizes.max(initial=0) > MOST_PACKET_BYTES * channels:
            odd.append("its packets are larger than AAC's may be")
        if (
            np.abs(track.decode_times - ideal).max(initial=0) > max(1, _CLOCK_SLACK_S * sample_rate)
            or len(track.entries) != 1
        ):
            odd.append("its packets are irregular")
    return AudioInfo(
        codec, object_type, sample_rate, channels, start_s, heard / track.timescale, track.size_bytes, tuple(odd)
    )
