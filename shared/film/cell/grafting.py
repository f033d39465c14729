"""A transition encoded so that the second clip can go on behind it in the midst of a group of pictures.

The last pictures before the copy begins are encoded with the same types and in the same order as in the clip, at a
fine quantiser: a decoder then holds the same reference pictures, under the same numbers, as it would have in the
clip. Everything is brought under the clip's own sequence parameter set. Whether it worked is measured: the clip's
next pictures are decoded behind the new ones and compared with what they should be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from shared.film.errors import VerifyFailed
from shared.film.h264 import PPS_NAL, SPS_NAL, H264Error, Sps, iter_nals, parse_sps
from shared.film.slices import (
    B_SLICE,
    I_SLICE,
    P_SLICE,
    SLICE_NALS,
    SliceHeader,
    parse_pps,
    parse_slice,
    rehouse,
    rename_pps,
    renumber,
)

_START_CODE = b"\0\0\1"
_TYPES = {"I": PictureType.I, "P": PictureType.P, "B": PictureType.B}
_KINDS = {I_SLICE: "I", P_SLICE: "P", B_SLICE: "B"}
#: How x264 makes the pictures that the copied ones refer to. At so fine a quantiser they come out as they should be
#: however long it searches: a quarter of a transition's processor time less for 5 % more bytes of it (measured).
_IMITATION = "q=12,subme=2,me=dia,trellis=0,ref=1"
#: Below this, a picture after the graft is not what it should be (a good graft has 44 dB and more).
_LOWEST_PSNR_DB = 36.0
_PROFILES = {66: "baseline", 77: "main", 100: "high"}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Packets of one clip from a key frame on, with each one's display position among them.

    Attributes:
        config: Its ``avcC``.
        packets: The packets, in decoding order.
        ranks: Their display positions, from 0.
        first: Display position of the first picture wanted.
        last: End (exclusive) of those wanted.
    """

    config: bytes
    packets: tuple[bytes, ...]
    ranks: tuple[int, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a transition with a graft is made.

    Attributes:
        kind: The xfade kind.
        overlap: Pictures blended.
        fps: Frame rate.
        letters: Of the clip's pictures that are imitated, in decoding order: type, in lower case if nothing refers to
            it.
        ranks: Their display positions within those imitated.
        sps: The clip's sequence parameter set.
        pps_id: Id of the new picture parameter set.
        preset: x264's.
        crf: Likewise.
        threads: Of decoder and encoder.
    """

    kind: str
    overlap: int
    fps: Fraction
    letters: str
    ranks: tuple[int, ...]
    sps: bytes
    pps_id: int
    preset: str
    crf: int
    threads: int


def graft(
    report: Callable[[float], None], *, before: Stretch, after: Stretch, begin: int, recipe: Recipe
) -> tuple[Any, list[bytes]]:
    """Encode a transition.

    Args:
        report: Told the share that is done.
        before: The first clip's end.
        after: The second clip's beginning, with at least one picture that is copied, for the trial.
        begin: Which of its pictures is the first that is copied.
        recipe: How.

    Returns:
        Display positions of the packets made and by how much the copy's frame numbers are shifted; the picture
        parameter set and the packets.

    Raises:
        VerifyFailed: The graft does not take; the transition must be made in another way.
    """
    length, following = before.last - before.first - recipe.overlap + begin, after.packets[begin:]
    # One decoder goes through the second clip: the pictures behind the transition are what the trial is held against.
    beginning = _decoded(after, recipe.threads)
    try:
        host = parse_sps(recipe.sps)
        made = _encode(_pictures(before, islice(beginning, begin), recipe), length, host, recipe, report)
        pps, packets, ranks, number = _rehoused(made, length, host, recipe)
        next_slice = next(nal for nal in iter_nals(following[0]) if nal[0] & 31 in SLICE_NALS)
        shift = number - parse_slice(next_slice, host).frame_num
        moved = [move(packet, host, shift, 2 * (length - begin)) for packet in following]
    except H264Error as error:
        raise VerifyFailed(f"the clips' headers do not allow a graft: {error}") from error
    _try_out(beginning, after.config, [*packets, *moved], pps, length, recipe)
    return {"ranks": ranks, "shift": shift}, [pps, *packets]


def move(packet: bytes, sps: Sps, frame_num_shift: int, poc_shift: int) -> bytes:
    """Return a clip's packet at another place of its sequence."""
    nals = []
    for nal in iter_nals(packet):
        moved = renumber(nal, sps, frame_num_shift, poc_shift) if nal[0] & 31 in SLICE_NALS else nal
        nals.append(len(moved).to_bytes(4, "big") + moved)
    return b"".join(nals)


def _decoded(stretch: Stretch, threads: int) -> Iterator[av.VideoFrame]:
    """Yield a stretch's wanted pictures, in display order."""
    context = _decoder(stretch.config, threads)
    due = stretch.first
    for number, packet in enumerate([*stretch.packets, None]):
        if packet is not None and stretch.ranks[number] < stretch.first and _is_disposable(packet):
            continue  # half of the pictures of many clips, and this one may have a single key frame
        sent = None if packet is None else av.Packet(packet)
        if sent is not None:
            sent.pts, sent.dts = stretch.ranks[number], number
        for frame in context.decode(sent):
            if frame.pts is None or not stretch.first <= frame.pts < stretch.last:
                continue
            if frame.pts != due or frame.is_corrupt:
                raise VerifyFailed("the pictures around the joint do not decode in order")
            due += 1
            yield frame
    if due != stretch.last:
        raise VerifyFailed("pictures around the joint are missing")


def _is_disposable(packet: bytes) -> bool:
    """Whether no other picture refers to anything in this packet (7.4.1: ``nal_ref_idc`` is 0 throughout)."""
    return not any(nal[0] & 0x60 for nal in iter_nals(packet))


def _decoder(config: bytes, threads: int) -> VideoCodecContext:
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata, context.thread_count = config, threads
    context.options = {"err_detect": "explode"}
    return context


def _pictures(before: Stretch, beginning: Iterator[av.VideoFrame], recipe: Recipe) -> Iterator[av.VideoFrame]:
    """Yield the first clip's pictures, the blended ones, and the second clip's; only the overlap is held."""
    ending: deque[av.VideoFrame] = deque()
    for frame in _decoded(before, recipe.threads):
        ending.append(frame)
        if len(ending) > recipe.overlap:
            yield ending.popleft()
    heads = [next(beginning) for _ in range(recipe.overlap)]
    yield from _blended(list(ending), heads, recipe)
    yield from beginning


def _blended(before: Sequence[av.VideoFrame], after: Sequence[av.VideoFrame], recipe: Recipe) -> list[av.VideoFrame]:
    """Blend by xfade between exact conversions to 4:4:4 and back (see :mod:`shared.film.pictures`)."""
    clock = 1 / recipe.fps
    form = f"video_size={before[0].width}x{before[0].height}:pix_fmt=yuv420p:time_base={clock}:frame_rate={recipe.fps}"
    graph = av.filter.Graph()
    xfade = graph.add("xfade", f"transition={recipe.kind}:duration={float(recipe.overlap * clock):.6f}:offset=0")
    feeds = []
    for pad in (0, 1):
        feed, widen = graph.add("buffer", f"{form}:pixel_aspect=1/1"), graph.add("scale", "flags=neighbor")
        wide = graph.add("format", "yuv444p")
        feed.link_to(widen)
        widen.link_to(wide)
        wide.link_to(xfade, 0, pad)
        feeds.append(feed)
    narrow, plain, sink = graph.add("scale", "flags=area"), graph.add("format", "yuv420p"), graph.add("buffersink")
    xfade.link_to(narrow)
    narrow.link_to(plain)
    plain.link_to(sink)
    graph.configure()
    for feed, frames in zip(feeds, (before, after), strict=True):
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, clock
            feed.push(frame)
        feed.push(None)
    found: list[av.VideoFrame] = []
    while len(found) < recipe.overlap:
        try:
            pulled = sink.pull()
        except (av.error.EOFError, av.error.BlockingIOError) as error:
            raise VerifyFailed("the transition came out too short") from error
        assert isinstance(pulled, av.VideoFrame)
        found.append(pulled)
    return found


@dataclass(frozen=True, slots=True)
class _Made:
    """What the encoder made: packets as NAL units, with their display positions, and its parameter sets."""

    packets: list[tuple[int, list[bytes]]]
    sps: Sps
    pps: bytes


def _encode(
    pictures: Iterator[av.VideoFrame], length: int, host: Sps, recipe: Recipe, report: Callable[[float], None]
) -> _Made:
    imitated = length - len(recipe.letters)
    types = {imitated + rank: _TYPES[each.upper()] for rank, each in zip(recipe.ranks, recipe.letters, strict=True)}
    # The picture before those imitated ends a group of its own, so that none is reordered across the border.
    types.setdefault(imitated - 1, PictureType.P)
    context: VideoCodecContext | None = None
    units: list[tuple[int, list[bytes]]] = []
    for number, frame in enumerate(pictures):
        if context is None:
            context = _encoder(frame, imitated, length, host, recipe)
        frame.pict_type = types.get(number, PictureType.NONE) if number else PictureType.I
        frame.pts, frame.time_base = number, 1 / recipe.fps
        units += [(packet.pts or 0, _units(bytes(packet))) for packet in context.encode(frame)]
        report(number / length)
    assert context is not None
    units += [(packet.pts or 0, _units(bytes(packet))) for packet in context.encode(None)]
    sets = {nal[0] & 31: nal for _, nals in units[:1] for nal in nals}
    if len(units) != length or not {SPS_NAL, PPS_NAL} <= sets.keys():
        raise VerifyFailed("the encoder did not make the pictures that were asked for")
    return _Made(units, parse_sps(sets[SPS_NAL]), sets[PPS_NAL])


def _encoder(frame: av.VideoFrame, imitated: int, length: int, host: Sps, recipe: Recipe) -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
    context.time_base, context.framerate = 1 / recipe.fps, recipe.fps
    context.thread_count = recipe.threads
    longest = max(len(run) for run in recipe.letters.upper().replace("I", "P").split("P"))
    pyramid = "normal" if "B" in recipe.letters else "none"
    # As many as the clip's decoder may hold, or x264 drops references that the clip keeps. A pyramid needs four, of
    # which x264 searches the three that its presets do.
    references = 3 if pyramid == "normal" and host.max_ref_frames == 4 else max(1, host.max_ref_frames)
    settings = {
        "ref": references, "bframes": max(3, longest) if host.poc_type == 0 else 0,
        "b-pyramid": pyramid,
        "keyint": "infinite", "scenecut": 0, "open-gop": 0, "direct": "spatial",
        "zones": f"{max(0, imitated - 1)},{length - 1},{_IMITATION}",
    }  # fmt: skip
    joined = ":".join(f"{name}={value}" for name, value in settings.items())
    context.options = {
        "preset": recipe.preset, "crf": str(recipe.crf), "profile": _PROFILES[host.profile], "x264-params": joined,
    }  # fmt: skip
    return context


def _units(stream: bytes) -> list[bytes]:
    """Split an Annex B byte stream into NAL units."""
    return [unit.rstrip(b"\0") for unit in stream.split(_START_CODE)[1:] if unit.rstrip(b"\0")]


def _rehoused(made: _Made, length: int, host: Sps, recipe: Recipe) -> tuple[bytes, list[bytes], list[int], int]:
    """Bring the encoder's pictures under the clip's sequence parameter set; also returns the next frame number."""
    own, pps = made.sps, parse_pps(made.pps)
    if refusal := _mismatch(own, host):
        raise VerifyFailed(f"the encoder's headers do not fit the clip's: {refusal}")
    packets, seen, number = [], [], 0
    for rank, nals in made.packets:
        slices = [nal for nal in nals if nal[0] & 31 in SLICE_NALS]
        header = parse_slice(slices[0], own, pps)
        _check_numbers(header, own, number, rank)
        moved = [rehouse(nal, own, pps, host, recipe.pps_id, number, 2 * rank) for nal in slices]
        packets.append(b"".join(len(nal).to_bytes(4, "big") + nal for nal in moved))
        letter = _KINDS[header.kind]
        seen.append(letter if header.reference else letter.lower())
        number += header.reference
    imitated = length - len(recipe.letters)
    if "".join(seen[imitated:]) != recipe.letters or [rank - imitated for rank, _ in made.packets[imitated:]] != list(
        recipe.ranks
    ):
        raise VerifyFailed(f"the encoder made {''.join(seen[imitated:])} where the clip has {recipe.letters}")
    return rename_pps(made.pps, recipe.pps_id, host.id), packets, [rank for rank, _ in made.packets], number


def _mismatch(own: Sps, host: Sps) -> str:
    if (own.width, own.height) != (host.width, host.height):
        return "another size"
    if own.max_ref_frames > host.max_ref_frames:
        return f"{own.max_ref_frames} reference frames instead of {host.max_ref_frames}"
    if own.poc_type != host.poc_type:
        return "another way of ordering pictures"
    same = ("chroma_format", "bit_depth", "interlaced", "direct_8x8", "plain")
    return ", ".join(name for name in same if getattr(own, name) != getattr(host, name))


def _check_numbers(header: SliceHeader, own: Sps, number: int, rank: int) -> None:
    order = 2 * rank % (1 << own.log2_max_poc_lsb) if own.poc_type == 0 else 0
    if header.frame_num != number % (1 << own.log2_max_frame_num) or header.poc_lsb != order:
        raise VerifyFailed("the encoder numbers its pictures in an unexpected way")


def _try_out(
    rest: Iterator[av.VideoFrame],
    clips_config: bytes,
    grafted: Sequence[bytes],
    pps: bytes,
    length: int,
    recipe: Recipe,
) -> None:
    """Decode the clip's next pictures behind the graft, and compare them with ``rest``, the clip's."""
    wanted = [_luma(frame) for frame in rest]
    config = clips_config[:5] + b"\xe1" + len(recipe.sps).to_bytes(2, "big") + recipe.sps
    # The clip's own picture parameter sets are needed too: its pictures refer to them.
    own = _pps_part(clips_config)
    config += bytes([own[0] + 1]) + own[1:] + len(pps).to_bytes(2, "big") + pps
    with av.logging.Capture(local=False) as said:
        found = _lumas(_decoder(config, recipe.threads), grafted, length)
    if said or len(found) != len(wanted):
        raise VerifyFailed("the copied pictures do not decode cleanly behind the transition",
                           detail="".join(message for _, _, message in said)[:2000])  # fmt: skip
    worst = min((_psnr_db(one, other) for one, other in zip(found, wanted, strict=True)), default=100.0)
    if worst < _LOWEST_PSNR_DB:
        raise VerifyFailed(f"the pictures behind the transition would be {worst:.1f} dB from the clip's")


def _pps_part(config: bytes) -> bytes:
    """Return the count of an ``avcC``'s picture parameter sets, and them, without any extension after them."""
    position = 6
    for _ in range(config[5] & 31):
        position += 2 + int.from_bytes(config[position : position + 2], "big")
    end = position + 1
    for _ in range(config[position]):
        end += 2 + int.from_bytes(config[end : end + 2], "big")
    return config[position:end]


def _lumas(context: VideoCodecContext, packets: Sequence[bytes], skipped: int) -> list[npt.NDArray[np.uint8]]:
    """Decode and return the luma of all pictures but the first ``skipped``, in display order."""
    found, seen = [], 0
    try:
        for packet in [*packets, None]:
            for frame in context.decode(None if packet is None else av.Packet(packet)):
                seen += 1
                if seen > skipped:
                    found.append(_luma(frame))
    except av.error.FFmpegError as error:
        raise VerifyFailed(f"the copied pictures do not decode behind the transition: {error}") from error
    return found


def _luma(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].copy()


def _psnr_db(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    if one.shape != other.shape:
        return 0.0
    difference = np.subtract(one, other, dtype=np.float32).ravel()
    error = float(difference @ difference) / difference.size
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


__all__ = ["Recipe", "Stretch", "graft", "move"]
