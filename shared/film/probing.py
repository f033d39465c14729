"""What is this file? Magic bytes, then our own MP4 table reader, then libav in a restricted process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from . import odd_container
from .ebml import claimed_end
from .entries import VIDEO_CODECS, parse_visual_entry
from .errors import ClipError, Damaged, NotAVideo, TimedOut, TooLarge, TooLong, Truncated, Unsupported
from .limits import Limits
from .model import AudioInfo, Colour, Probe, VideoInfo
from .mp4 import Mp4Error, Mp4Fragmented, Mp4Truncated, read_movie
from .mp4.boxes import Mp4TooLarge
from .rates import snap_rate
from .threads import StopFlag
from .tracks import audio_info, rotation_notes, video_info

_MP4_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
#: Codecs of which we read what the stream itself says of its colours.
_TELL_COLOURS = frozenset({"h264", "vp9"})
#: Of all others we know nothing but what libav says: they may be RGB, or of more than eight bits.
_TELL_SAMPLES = frozenset(VIDEO_CODECS.values())
_LIBAV_FORMATS = {"mp4": "mov", "fmp4": "mov", "matroska": "matroska", "mpegts": "mpegts"}


def probe(path: Path, limits: Limits = Limits(), *, flag: StopFlag | None = None) -> Probe:  # noqa: B008 - frozen
    """Look at a clip without decoding it. Blocking; about a millisecond for an MP4 of H.264.

    Args:
        path: A local file.
        limits: What is acceptable.
        flag: Ends it, from another thread.

    Returns:
        Everything :func:`plan` needs to know.

    Raises:
        ClipError: The file cannot be used; the subclass and the message say why.
        Cancelled: The flag was set.
    """
    path, flag = Path(path), flag or StopFlag()
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(1024)
        container = _container(path.name, head) if size <= limits.clip_bytes else ""
        should_end = claimed_end(path) if container == "matroska" else None
    except OSError as error:
        raise NotAVideo(f"{path.name} cannot be read: {error.strerror}") from error
    if size > limits.clip_bytes:
        raise TooLarge(f"{path.name} has {size} bytes; the limit is {limits.clip_bytes}")
    if should_end is not None:
        raise Truncated(f"{path.name} is cut short: it should end at byte {should_end}, but does at {size}")
    found = _probe_mp4(path, limits, flag) if container == "mp4" else _by_libav(path, container, size, limits, flag)
    check_limits(found, limits)
    return found


def check_limits(found: Probe, limits: Limits) -> None:
    """Refuse what is too long, too large or too strange.

    Raises:
        ClipError: It is.
    """
    video, name = found.video, found.path.name
    if video.width * video.height > limits.pixels or max(video.width, video.height) > 16384:
        raise TooLarge(f"{name} is {video.width}x{video.height}; the limit is {limits.pixels} pixels")
    if max(video.display_size) > 16384:
        raise TooLarge(f"{name} is shown as {video.display_size[0]}x{video.display_size[1]}")
    if min(video.width, video.height) < 2:
        raise Damaged(f"{name} claims a picture of {video.width}x{video.height}")
    if found.duration_s > limits.clip_duration_s:
        raise TooLong(f"{name} lasts {found.duration_s:.0f} s; the limit is {limits.clip_duration_s:.0f} s")
    if video.frames < 1:
        raise NotAVideo(f"{name} holds no frames")
    if video.fps > limits.fps:
        raise TooLarge(f"{name} claims {float(video.fps):.0f} frames per second; the limit is {limits.fps:.0f}")
    if not Fraction(1, 16) <= video.sar <= 16:
        raise Unsupported(f"{name} claims a pixel aspect ratio of {video.sar}")


def _container(name: str, head: bytes) -> str:
    if not head:
        raise NotAVideo(f"{name} is empty")
    if head[4:8] in _MP4_FIRST_BOXES:
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head[0] == 0x47 and (len(head) <= 188 or head[188] == 0x47):
        return "mpegts"
    raise NotAVideo(f"{name} is not an MP4, Matroska/WebM or MPEG-TS file; it looks like {_guess(head)}")


def _guess(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    known = {
        b"#extm3u": "an HLS playlist",
        b"ffconcat": "an FFmpeg concat script",
        b"<!doctype html": "a web page",
        b"<html": "a web page",
        b"<svg": "an SVG drawing",
        b"<mpd": "a DASH manifest",
        b"<?xml": "an XML document",
        b"{": "a JSON document",
        b"gif8": "a GIF image",
        b"\x89png": "a PNG image",
        b"\xff\xd8\xff": "a JPEG image",
        b"riff": "a RIFF (AVI, WAV, WebP) file",
        b"pk\x03\x04": "a ZIP archive",
        b"id3": "an MP3 file",
    }
    return next((what for magic, what in known.items() if text.startswith(magic)), "something else")


def _probe_mp4(path: Path, limits: Limits, flag: StopFlag) -> Probe:
    name = path.name
    try:
        movie = read_movie(path, max_moov_bytes=limits.moov_bytes, max_samples=limits.samples)
        if len(movie.tracks) > limits.streams:
            raise TooLarge(f"{name} has {len(movie.tracks)} tracks; the limit is {limits.streams}")
        picture, sound = movie.first("video"), movie.first("audio")
        if picture is None:
            raise NotAVideo(f"{name} has no picture track")
        video = video_info(path, picture, limits)
        has_range = parse_visual_entry(picture.entries[0]).has_range
        begins_late = 0 not in video.idr_frames
        untold = video.codec not in _TELL_SAMPLES or (video.codec not in _TELL_COLOURS and not has_range)
        seen = _seen_by_libav(path, limits, flag) if begins_late or untold else None
        if begins_late and seen is not None and (first_s := seen.get("first_s")) is not None:
            video = video_info(path, picture, limits, first_s=first_s)
        if untold and seen is not None:
            video = _completed(video, seen, has_range=has_range)
        audio = audio_info(sound) if sound is not None and sound.samples else None
    except Mp4Truncated as error:
        raise Truncated(f"{name} is cut short: {error}") from error
    except Mp4TooLarge as error:
        raise TooLarge(f"{name} is too large to read: {error}") from error
    except Mp4Fragmented:
        return _by_libav(path, "fmp4", path.stat().st_size, limits, flag)
    except Mp4Error as error:
        try:
            return _by_libav(path, "mp4", path.stat().st_size, limits, flag)
        except ClipError as second:
            if isinstance(second, Damaged | NotAVideo):
                raise Damaged(f"{name} is damaged: {error}") from error
            raise
    return Probe(path, "mp4", movie.file_bytes, video.duration_s, video, audio)


def _seen_by_libav(path: Path, limits: Limits, flag: StopFlag) -> dict[str, Any] | None:
    """Ask libav what the beginning of the picture track tells; ``None`` if that takes too long or there is none."""
    try:
        seen: dict[str, Any] | None = _ask_libav(path, "mp4", limits, flag, whole=False).get("video")
    except TimedOut:
        return None
    return seen


def _completed(video: VideoInfo, seen: dict[str, Any], *, has_range: bool) -> VideoInfo:
    """Add colours and kinds of samples that stand in headers of the stream that we do not read."""
    chroma, bit_depth = _samples_seen(seen)
    if video.codec in _TELL_SAMPLES and not seen["rgb"]:
        chroma, bit_depth = video.chroma, video.bit_depth
    return replace(video, chroma=chroma, bit_depth=bit_depth, colour=video.colour if has_range else _colour_seen(seen))


def _samples_seen(seen: dict[str, Any]) -> tuple[str, int]:
    """Return chroma and bit depth as :class:`VideoInfo` has them."""
    pixel_format = seen["pix_fmt"]
    chroma = next((f"{d[0]}:{d[1]}:{d[2]}" for d in ("420", "422", "444", "440") if d in pixel_format), "?")
    chroma = "4:2:0" if pixel_format.startswith(("nv12", "p010")) else chroma
    depth = next((bits for bits in (16, 14, 12, 10, 9) if f"{bits}le" in pixel_format), 8)
    return "RGB" if seen["rgb"] else chroma, depth


def _colour_seen(seen: dict[str, Any]) -> Colour:
    full_range = seen["range"] == 2 or seen["pix_fmt"].startswith("yuvj")
    return Colour(seen["primaries"], seen["transfer"], seen["matrix"], full_range)


def _by_libav(path: Path, container: str, size: int, limits: Limits, flag: StopFlag) -> Probe:
    name = path.name
    answer = _ask_libav(path, container, limits, flag)
    match answer.get("error"):
        case None:
            pass
        case "no_video":
            raise NotAVideo(f"{name} has no picture track")
        case "no_frames":
            raise Damaged(f"{name} holds no frames")
        case "too_many_streams" | "too_many_packets":
            raise TooLarge(f"{name} has too many streams or packets")
        case _:
            raise Damaged(f"{name} cannot be read as {container}", detail=str(answer.get("detail", "")))
    video = _video_from_libav(answer["video"], container)
    heard = answer["audio"]
    audio = None
    if heard:
        audio = AudioInfo(
            heard["codec"], 0, heard["sample_rate"], heard["channels"], heard["start_s"], heard["duration_s"],
            heard["bytes"], (f"the container is {container}",),
        )  # fmt: skip
    declared_s, seen_s = answer["declared_s"], answer["seen_s"]
    if declared_s > 1.0 and seen_s < 0.5 * declared_s and container == "matroska":
        raise Truncated(f"{name} is cut short: {seen_s:.1f} s of {declared_s:.1f} s are there")
    return Probe(path, container, size, video.duration_s, video, audio)


def _video_from_libav(seen: dict[str, Any], container: str) -> VideoInfo:
    rate = snap_rate(1 / seen["step_s"] if seen["step_s"] > 0 else 0.0, seen["frames"])
    chroma, depth = _samples_seen(seen)
    sar = Fraction(seen["sar"]) or Fraction(1)
    rotation = seen["rotation"] if seen["rotation"] in {0, 90, 180, 270} else -1
    return VideoInfo(
        codec=seen["codec"].removeprefix("lib").replace("dav1d", "av1"), profile=-1, level=-1,
        width=seen["width"], height=seen["height"], sar=sar, rotation=rotation, chroma=chroma, bit_depth=depth,
        interlaced=seen["interlaced"], colour=_colour_seen(seen), fps=rate, constant_rate=seen["constant"],
        frames=seen["frames"], start_s=seen["start_s"], duration_s=seen["duration_s"], size_bytes=seen["bytes"],
        odd=(f"the container is {container}", *rotation_notes(rotation)),
    )  # fmt: skip


def _ask_libav(path: Path, container: str, limits: Limits, flag: StopFlag, *, whole: bool = True) -> dict[str, Any]:
    command = [
        sys.executable, "-I", str(Path(odd_container.__file__)), str(path.resolve()), _LIBAV_FORMATS[container],
        str(limits.streams), str(limits.samples), str(limits.memory_bytes), str(int(limits.inspect_timeout_s) + 1),
        str(int(whole)),
    ]  # fmt: skip
    environment = {"PATH": os.defpath, "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        start_new_session=True,
    ) as reader:  # fmt: skip
        try:
            with flag.ending(reader.kill):
                said, complaints = reader.communicate(timeout=limits.inspect_timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"{path.name} took longer than {limits.inspect_timeout_s:.0f} s to read") from error
        finally:
            reader.kill()  # one that has ended is past it
    flag.check()
    if reader.returncode:
        return {"error": "crashed", "detail": complaints[-300:].decode(errors="replace")}
    answer: dict[str, Any] = json.loads(said)
    return answer
