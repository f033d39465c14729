"""Making grafted transitions: what a cell is given, and what becomes of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .cell import CellDied, ask, wire
from .cell.grafting import Recipe, Stretch, move
from .entries import avc_config_of, parse_visual_entry
from .errors import Damaged, VerifyFailed
from .h264 import H264Error, build_avc_config, parse_sps
from .limits import Limits
from .model import Probe
from .mp4 import Track, read_movie
from .mp4.boxes import IntArray, iter_boxes, make_box
from .mp4.copying import read_places
from .plan_model import Plan, Segment
from .wishes import Wishes

#: Pictures of the clip that are decoded behind a new graft to see whether it took.
_TRIED_FRAMES = 12
_VISUAL_BYTES = 86


class GraftRefused(VerifyFailed):
    """A graft did not take; ``joint`` has to be made in another way."""

    def __init__(self, joint: int, why: str, detail: str = "") -> None:
        super().__init__(why, detail=detail)
        self.joint = joint


@dataclass(frozen=True, slots=True, eq=False)
class Grafted:
    """A transition, and the packets that go on behind it: their tables and the files that hold their bytes."""

    transition: Track
    continued: Track


@dataclass(frozen=True, slots=True)
class EncodedGraft:
    """What a cell made of a transition: all that was costly about it.

    Attributes:
        pps: Its picture parameter set.
        packets: Its pictures, in decoding order.
        ranks: Their places in the order of showing.
        shift: By how much the frame numbers of the pictures behind it change.
    """

    pps: bytes
    packets: tuple[bytes, ...]
    ranks: tuple[int, ...]
    shift: int

    def has(self, frames: int) -> bool:
        """Whether it holds so many frames, each of them once."""
        return sorted(self.ranks) == list(range(frames)) and len(self.packets) == frames

    def save(self, path: Path) -> None:
        """Write it to a file. Blocking."""
        with path.open("wb") as file:
            wire.send_reply(file, {"ranks": self.ranks, "shift": self.shift}, (self.pps, *self.packets))

    @classmethod
    def load(cls, path: Path) -> EncodedGraft:
        """Read what :meth:`save` wrote. Blocking.

        Raises:
            ValueError: It is something else.
            OSError: It cannot be read.
        """
        try:
            with path.open("rb") as file:
                header, blobs = wire.read_reply(file)
            return _encoded(header, blobs)
        except (wire.WireClosed, KeyError, TypeError) as error:
            raise ValueError(f"not a transition: {error}") from error


async def encode_graft(
    plan: Plan,
    number: int,
    probes: Sequence[Probe],
    wishes: Wishes,
    limits: Limits,
    *,
    threads: int,
    report: Callable[[float], None],
) -> EncodedGraft:
    """Encode segment ``number`` of a plan, a transition with a graft, and try it out.

    Args:
        plan: The plan.
        number: Which segment.
        probes: One per clip.
        wishes: How to encode.
        limits: Resources of the cell.
        threads: Of the encoder.
        report: Told the share that is done.

    Raises:
        GraftRefused: It did not take.
    """
    segment, behind = plan.segments[number], plan.segments[number + 1]
    before, after = probes[segment.clip], probes[segment.clip + 1]
    before_track, after_track = await asyncio.gather(*(asyncio.to_thread(_picture_track, p) for p in (before, after)))
    recipe = _recipe(plan, segment, after, after_track, wishes, threads)
    trial = next(
        (cut for cut in after.video.clean_cuts if cut >= behind.first_frame + _TRIED_FRAMES), behind.last_frame
    )
    arguments = {
        "before": await asyncio.to_thread(_ending, segment, before, before_track),
        "after": await asyncio.to_thread(_stretch, after, after_track, 0, min(trial, behind.last_frame), 0),
        "begin": behind.first_frame,
        "recipe": recipe,
    }
    try:
        answer = await ask("graft", arguments, limits, on_share=report)
        made = _encoded(answer.result, answer.blobs)
    except (VerifyFailed, Damaged, CellDied, KeyError, TypeError, ValueError) as error:
        raise GraftRefused(segment.clip, str(error), getattr(error, "detail", "")) from error
    if not made.has(segment.frames):
        raise GraftRefused(segment.clip, "the transition does not have the frames that were planned")
    return made


def lay_graft(
    made: EncodedGraft, plan: Plan, number: int, probes: Sequence[Probe], files: tuple[Path, Path]
) -> Grafted:
    """Write the packets of segment ``number``, and of the segment behind it with their new numbers. Blocking.

    Args:
        made: The transition.
        plan: The plan.
        number: Which segment.
        probes: One per clip.
        files: Where to write the packets of both segments.

    Raises:
        GraftRefused: A packet cannot be given its new number.
    """
    segment, behind = plan.segments[number], plan.segments[number + 1]
    after = probes[segment.clip + 1]
    try:
        return _write(made, segment, behind, after, _picture_track(after), files)
    except H264Error as error:
        raise GraftRefused(segment.clip, f"the clip's pictures cannot be renumbered: {error}") from error


def _encoded(header: Any, blobs: Sequence[bytes]) -> EncodedGraft:
    pps, *packets = blobs
    return EncodedGraft(pps, tuple(packets), tuple(int(each) for each in header["ranks"]), int(header["shift"]))


def _picture_track(found: Probe) -> Track:
    track = read_movie(found.path).first("video")
    assert track is not None
    return track


def _packets(path: Path, track: Track, first: int, last: int) -> tuple[bytes, ...]:
    places = zip(track.sizes[first:last].tolist(), track.offsets[first:last].tolist(), strict=True)
    return tuple(read_places(path, places))


def _stretch(found: Probe, track: Track, begin: int, end: int, first: int) -> Stretch:
    config = parse_visual_entry(track.entries[0]).config
    ranks = tuple((track.ranks[begin:end] - begin).tolist())
    return Stretch(config, _packets(found.path, track, begin, end), ranks, first - begin, end - begin)


def _ending(segment: Segment, found: Probe, track: Track) -> Stretch:
    key = max((frame for frame in found.video.idr_frames if frame <= segment.first_frame), default=0)
    return _stretch(found, track, key, segment.last_frame, segment.first_frame)


def _recipe(plan: Plan, segment: Segment, after: Probe, track: Track, wishes: Wishes, threads: int) -> Recipe:
    assert segment.graft is not None
    assert segment.transition is not None
    origin = segment.graft.imitated_from
    ranks = tuple((track.ranks[origin : segment.into_last_frame] - origin).tolist())
    sps = next(nal for kind, _, nal in after.video.parameter_sets if kind == "sps")
    return Recipe(
        segment.transition.kind, segment.overlap, plan.target.fps, segment.graft.letters, ranks, sps,
        segment.graft.pps_id, wishes.preset, wishes.crf, threads,
    )  # fmt: skip


def _write(
    made: EncodedGraft, segment: Segment, behind: Segment, after: Probe, track: Track, files: tuple[Path, Path]
) -> Grafted:
    sps = parse_sps(next(nal for kind, _, nal in after.video.parameter_sets if kind == "sps"))
    files[0].write_bytes(b"".join(made.packets))
    key = np.zeros(len(made.packets), np.bool_)
    key[0] = True
    entry = _with_pps(track.entries[0], made.pps)
    transition = _table(track, entry, [len(packet) for packet in made.packets], np.array(made.ranks, np.int64), key)
    poc_shift, sizes = 2 * (segment.frames - behind.first_frame), []
    with files[1].open("wb") as output:
        for index in range(behind.first_frame, behind.last_frame):
            moved = move(_packets(after.path, track, index, index + 1)[0], sps, made.shift, poc_shift)
            sizes.append(len(moved))
            output.write(moved)
    order = track.ranks[behind.first_frame : behind.last_frame] - behind.first_frame
    return Grafted(transition, _table(track, track.entries[0], sizes, order, np.zeros(len(sizes), np.bool_)))


def _table(like: Track, entry: bytes, sizes: Sequence[int], ranks: IntArray, key: npt.NDArray[np.bool_]) -> Track:
    """Describe packets that follow one another in a file from its beginning."""
    lengths = np.array(sizes, np.int64)
    return replace(
        like, entries=(entry,), offsets=np.cumsum(lengths) - lengths, sizes=lengths, sync=key, edits=(),
        durations=np.ones(len(lengths), np.int64), composition=ranks - np.arange(len(lengths)),
    )  # fmt: skip


def _with_pps(entry: bytes, pps: bytes) -> bytes:
    """Return a sample description with another picture parameter set only."""
    config = build_avc_config(replace(avc_config_of(entry), pps=(pps,)))
    children = iter_boxes(entry, _VISUAL_BYTES, len(entry))
    parts = (make_box(each.kind, config if each.kind == b"avcC" else each.read()) for each in children)
    return make_box(entry[4:8], entry[8:_VISUAL_BYTES], *parts)
