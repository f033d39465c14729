"""Command lines that make stretches of picture: filters that bring any clip into the film's form, and encoders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from .ffmpeg_binary import sets_chroma_location
from .model import Probe, VideoInfo
from .plan_model import Action, Plan, Segment, Target
from .process import file_output, picture_input, restricted_input
from .rates import LAST_FRAME_STEPS
from .wishes import SVT_PRESETS, Fit, Logo, Wishes

_MATRIX_NAMES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc"}
_PRIMARIES_NAMES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020"}
_TRANSFER_NAMES = {1: "bt709", 6: "smpte170m", 13: "iec61966-2-1"}
_HDR_TRANSFER_NAMES = {16: "smpte2084", 18: "arib-std-b67"}
_UNSPECIFIED = 2
_LOGO_FORMATS = "png_pipe,jpeg_pipe,webp_pipe"
#: A clip's last frames may be missing on a coarse clock; more than this and the count check fails the clip.
_PAD_FRAMES = 3


def fit_box(source: tuple[int, int], target: Target, *, cover: bool) -> tuple[int, int]:
    """Return the size, in the film's own pixels, to which a picture is scaled before it is padded or cropped.

    Args:
        source: Upright size in square pixels.
        target: The film's form.
        cover: Fill the frame and overlap it, rather than fit inside it.
    """
    factor = target.scale_of(source, cover=cover)
    width, height = source[0] * factor / target.sar, source[1] * factor
    if cover:
        return max(target.width, round(width / 2) * 2), max(target.height, round(height / 2) * 2)
    return min(target.width, max(2, round(width / 2) * 2)), min(target.height, max(2, round(height / 2) * 2))


def conform(stream: Any, probe: Probe, target: Target, fit: Fit, frames: int) -> Any:
    """Append the filters that turn a clip's picture into exactly ``frames`` frames of the film's form.

    The picture's first frame becomes time zero before the frame rate is made constant: otherwise a clip that starts
    late (MPEG-TS, fragmented MP4) gains a repeated frame (measured).
    """
    video = probe.video
    if video.interlaced:
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    if video.constant_rate and video.fps == target.fps:
        stream = stream.filter("settb", str(1 / target.fps)).filter("setpts", "N")
    else:
        stream = stream.filter("setpts", "PTS-STARTPTS")
        stream = stream.filter("fps", fps=str(target.fps), start_time=0)
    if video.colour.is_hdr:
        stream = _tone_map(stream, video)
    shaped = stream.filter("format", "yuv420p") if _same_form(probe, target) else _shape(stream, probe, target, fit)
    return shaped.filter("tpad", stop=_pad_frames(probe, target), stop_mode="clone").filter("trim", end_frame=frames)


def _pad_frames(probe: Probe, target: Target) -> int:
    """How often the last frame may be repeated; see `_PAD_FRAMES`.

    How long the last frame of a clip stays is not said by every container, and then ffmpeg shows it once.
    """
    video = probe.video
    if video.constant_rate and (video.fps == target.fps or probe.container == "mp4"):
        return _PAD_FRAMES
    held = 1 if video.constant_rate else LAST_FRAME_STEPS
    return _PAD_FRAMES + math.ceil(held * target.fps / video.fps)


def _same_form(probe: Probe, target: Target) -> bool:
    video = probe.video
    same = (video.width, video.height, video.sar, video.rotation) == (target.width, target.height, target.sar, 0)
    return same and video.chroma == "4:2:0" and video.bit_depth == 8 and not video.colour.full_range


def _tone_map(stream: Any, video: VideoInfo) -> Any:
    """Bring HDR down to what the film has. Where its tags are incomplete, they are what HDR is made with: BT.2020."""
    colour = video.colour
    described = {"color_trc": _HDR_TRANSFER_NAMES[colour.transfer]}
    if colour.primaries == _UNSPECIFIED:
        described["color_primaries"] = "bt2020"
    if not video.is_rgb:
        described["range"] = "full" if colour.full_range else "limited"
        if colour.matrix == _UNSPECIFIED:
            described["colorspace"] = "bt2020nc"
    stream = stream.filter("setparams", **described)
    linear = stream.filter("zscale", t="linear", npl=100).filter("format", "gbrpf32le").filter("zscale", p="bt709")
    mapped = linear.filter("tonemap", tonemap="hable", desat=0)
    return mapped.filter("zscale", t="bt709", m="bt709", r="tv").filter("format", "yuv420p")


def _scale(stream: Any, size: tuple[int, int], probe: Probe, target: Target) -> Any:
    options: dict[str, Any] = {"w": size[0], "h": size[1], "flags": "lanczos", "out_range": "tv"}
    colour = probe.video.colour
    if colour.full_range:
        options["in_range"] = "pc"
    if probe.video.is_rgb and not colour.is_hdr:
        # Left alone, swscale makes BT.601 of it; and behind another filter it would not be here that it is made.
        options["out_color_matrix"] = _MATRIX_NAMES.get(target.colour.matrix, "bt709")
        return stream.filter("scale", **options).filter("format", "yuv420p")
    if not colour.is_hdr and colour.matrix in _MATRIX_NAMES and target.colour.matrix in _MATRIX_NAMES:
        options |= {
            "in_color_matrix": _MATRIX_NAMES[colour.matrix],
            "out_color_matrix": _MATRIX_NAMES[target.colour.matrix],
        }
    return stream.filter("scale", **options)


def _shape(stream: Any, probe: Probe, target: Target, fit: Fit) -> Any:
    source, frame = probe.video.display_size, (target.width, target.height)
    inside = fit_box(source, target, cover=False)
    if fit == "cover":
        covered = _scale(stream, fit_box(source, target, cover=True), probe, target)
        shaped = covered.filter("crop", *frame)
    elif fit == "contain-blur" and inside != frame:
        both = stream.filter_multi_output("split", 2)
        behind = _scale(both[0], fit_box(source, target, cover=True), probe, target).filter("crop", *frame)
        blurred = behind.filter("gblur", sigma=max(2.0, target.width / 40)).filter("eq", brightness=-0.08)
        front = _scale(both[1], inside, probe, target)
        shaped = ffmpeg.filter([blurred, front], "overlay", x="(W-w)/2", y="(H-h)/2", format="yuv420")
    else:
        scaled = _scale(stream, inside, probe, target)
        shaped = scaled if inside == frame else scaled.filter("pad", *frame, "(ow-iw)/4*2", "(oh-ih)/4*2")
    return shaped.filter("setsar", str(target.sar)).filter("format", "yuv420p")


def encoder_options(target: Target, wishes: Wishes, threads: int) -> dict[str, Any]:
    """Return ffmpeg's output options for stretches that may sit beside copied ones in one track.

    ``stitchable`` and an own parameter set id keep every stretch decodable under one sample description.
    """
    options: dict[str, Any] = {"pix_fmt": "yuv420p", "crf": wishes.crf, "threads": threads, "r": str(target.fps)}
    match target.codec:
        case "h264":
            settings = f"sps-id={target.parameter_set_id}:stitchable=1:keyint=250:open-gop=0"
            options |= {"vcodec": "libx264", "preset": wishes.preset, "x264-params": settings}
        case "hevc":
            settings = f"log-level=error:open-gop=0:keyint=250:info=0:pools={max(1, threads)}"
            options |= {"vcodec": "libx265", "preset": wishes.preset, "x265-params": settings, "tag:v": "hvc1"}
        case "av1":
            speed = SVT_PRESETS.get(wishes.preset, wishes.preset)
            options |= {"vcodec": "libsvtav1", "preset": speed, "svtav1-params": f"lp={max(1, threads)}"}
    return options


def square_pixels(stream: Any) -> Any:
    """Append the filters that give a picture the shape in which a film is seen: stills have square pixels."""
    return stream.filter("scale", w="max(2,trunc(iw*sar/2)*2)", h="ih").filter("setsar", "1")


def segment_command(
    segment: Segment, probes: Sequence[Probe], plan: Plan, wishes: Wishes, out: Path, threads: int
) -> Any:
    """Return the ffmpeg-python output that makes one encoded segment as a picture-only MP4.

    Every segment is made from the original clips, so that no picture is encoded twice.
    """
    target = plan.target
    picture = (
        _blended(segment, probes, plan, wishes)
        if segment.transition
        else _stretch(segment.clip, segment.first_frame, segment.last_frame, probes, plan, wishes)
    )
    if wishes.logo is not None:
        picture = _stamp(picture, wishes.logo, target)
    # A clip may leave its pixel aspect ratio unsaid, and one that was scaled says it: headers of pieces must be equal.
    picture = _coloured(picture, target).filter("setsar", str(target.sar))
    picture = picture.filter("settb", str(1 / target.fps)).filter("setpts", "N")
    options = encoder_options(target, wishes, threads) | {"frames:v": segment.frames, "an": None, "map_metadata": -1}
    return ffmpeg.output(picture, file_output(out), f="mp4", **options)


def _stretch(
    clip: int, first: int, last: int, probes: Sequence[Probe], plan: Plan, wishes: Wishes, **options: Any
) -> Any:
    """Frames ``[first, last)`` of a clip, in the film's form and numbering, from time zero.

    ``options`` are for its input.
    """
    probe, target, each = probes[clip], plan.target, plan.clips[clip]
    start = first
    if each.video is Action.COPY and probe.video.start_s == 0 and first:
        # Accurate seeking lands on the first frame not before half a frame ahead of the one wanted.
        options["ss"] = f"{float((first - Fraction(1, 2)) / target.fps):.6f}"
        start = 0
    source = conform(picture_input(probe, **options).video, probe, target, wishes.fit, each.frames - (first - start))
    if start or last < each.frames:
        source = source.filter("trim", start_frame=start, end_frame=last - (first - start))
    return _from_zero(source)


def _from_zero(stream: Any) -> Any:
    return stream.filter("setpts", "PTS-STARTPTS")


def _blended(segment: Segment, probes: Sequence[Probe], plan: Plan, wishes: Wishes) -> Any:
    """The end of one clip, the transition, and the beginning of the next.

    Only overlapped frames pass through ``xfade``, which works in 4:4:4. Chroma is doubled by repetition before it and
    averaged after it, so that untouched pixels come back exactly: 59 dB against the ideal blend, and exact at its
    ends, where swscale's default (bicubic) conversions leave 40 to 46 dB (measured).
    """
    assert segment.transition is not None
    overlap, rate = segment.overlap, plan.target.fps
    tail = segment.last_frame - segment.first_frame - overlap
    before = _stretch(segment.clip, segment.first_frame, segment.last_frame, probes, plan, wishes)
    # It may be the same file. ffmpeg-python takes equal nodes for one, which a graph may not lead out of twice; an
    # option that changes nothing (no repetition, the default) tells the two inputs apart.
    into = segment.into_last_frame or overlap
    after = _stretch(segment.clip + 1, 0, into, probes, plan, wishes, stream_loop=0)
    parts = []
    if tail:
        halves = before.filter_multi_output("split", 2)
        parts.append(_from_zero(halves[0].filter("trim", end_frame=tail)))
        before = _from_zero(halves[1].filter("trim", start_frame=tail))
    rest = None
    if segment.into_last_frame > overlap:
        halves = after.filter_multi_output("split", 2)
        rest = _from_zero(halves[1].filter("trim", start_frame=overlap))
        after = _from_zero(halves[0].filter("trim", end_frame=overlap))
    clock = str(1 / rate)
    first, second = (_widened(each).filter("settb", clock).filter("setpts", "N") for each in (before, after))
    length = f"{float(overlap / rate):.6f}"
    mixed = ffmpeg.filter([first, second], "xfade", transition=segment.transition.kind, duration=length, offset=0)
    parts.append(mixed.filter("scale", flags="area").filter("format", "yuv420p"))
    if rest is not None:
        parts.append(rest)
    if len(parts) == 1:
        return parts[0]
    return ffmpeg.filter(parts, "concat", n=len(parts), v=1, a=0)


def _coloured(stream: Any, target: Target) -> Any:
    """Describe the colours as the film does. Encoders take this from the frames, not from output options."""
    colour = target.colour
    described = {
        "range": "limited",
        "color_primaries": _PRIMARIES_NAMES.get(colour.primaries, "unknown"),
        "color_trc": _TRANSFER_NAMES.get(colour.transfer, "unknown"),
        "colorspace": _MATRIX_NAMES.get(colour.matrix, "unknown"),
    }
    if target.codec != "h264" and sets_chroma_location():
        # Filters differ in whether they keep it, and HEVC and AV1 pieces must have headers that are equal.
        described["chroma_location"] = "left"
    return stream.filter("setparams", **described)


def _widened(stream: Any) -> Any:
    return stream.filter("scale", flags="neighbor").filter("format", "yuv444p")


def _stamp(picture: Any, logo: Logo, target: Target) -> Any:
    width = max(2, round(target.width * logo.width_share))
    # Shares are of the width that is seen; where pixels are wide, as long a way up takes more of them.
    height = f"max(1,round(ow*ih/iw*{target.sar}))"
    beside, above = (round(target.width * share * logo.margin_share) for share in (1, target.sar))
    vertical, _, horizontal = logo.corner.partition("-")
    mark = restricted_input(logo.path, _LOGO_FORMATS).filter("scale", w=width, h=height, flags="lanczos")
    mark = mark.filter("format", "rgba").filter("colorchannelmixer", aa=logo.opacity)
    x = beside if horizontal == "left" else f"W-w-{beside}"
    y = above if vertical == "top" else f"H-h-{above}"
    return ffmpeg.filter([picture, mark], "overlay", x=x, y=y, format="yuv420", eof_action="repeat")
