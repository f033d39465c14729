"""Looking into containers that the MP4 table reader does not read, by libav in a process of its own.

Run as a script: ``python -I odd_container.py FILE FORMAT MAX_STREAMS MAX_PACKETS MEMORY_BYTES CPU_S WHOLE``; prints one
JSON object. It is kept apart from the engine because it parses untrusted bytes in C: whatever happens, only this
process dies, within the limits it puts on itself first.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
from typing import Any

#: A clip may be cut out of a stream in the midst of a group of pictures, which are ten seconds at most as a rule; and a
#: decoder holds some pictures back before it gives the first.
_FIRST_WITHIN_PACKETS = 320
#: Times of a packet and of its picture that differ by less are the same.
_SAME_TIME_S = 0.0005


def _restrict(memory_bytes: int, cpu_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def inspect(path: str, container: str, max_streams: int, max_packets: int, *, whole: bool = True) -> dict[str, Any]:
    """Demux the whole file and describe its first picture and first sound track.

    If not ``whole``, the file is left behind its first picture, and only what that tells is of use.

    Returns:
        ``{"error": code}`` or ``{"streams", "video", "audio", "declared_s", "seen_s"}``; times in seconds on the
        file's own clock, which may begin anywhere.
    """
    import av

    av.logging.set_level(None)
    allowed = {"protocol_whitelist": "file", "format_whitelist": "mov,matroska,mpegts"}
    with av.open(f"file:{path}", format=container, options=allowed) as source:
        if len(source.streams) > max_streams:
            return {"error": "too_many_streams"}
        picture = next(iter(source.streams.video), None)
        sound = next(iter(source.streams.audio), None)
        if picture is None:
            return {"error": "no_video"}
        times: list[float] = []
        first: dict[str, Any] = {}
        size, heard, heard_bytes, seen = 0, [float("inf"), float("-inf")], 0, 0
        for packet in source.demux(*[stream for stream in (picture, sound) if stream is not None]):
            if packet.size == 0 or packet.pts is None:
                continue
            seen += 1
            if seen > max_packets:
                return {"error": "too_many_packets"}
            at = float(packet.pts * packet.time_base)
            if packet.stream is picture:
                times.append(at)
                size += packet.size
                if not first and len(times) <= _FIRST_WITHIN_PACKETS:
                    first = _first_picture(packet)
                if not whole and (first or len(times) > _FIRST_WITHIN_PACKETS):
                    break
            else:
                heard = [min(heard[0], at), max(heard[1], at + float((packet.duration or 0) * packet.time_base))]
                heard_bytes += packet.size
        declared = source.duration / 1_000_000 if source.duration else 0.0
        first_s = first.get("first_s", float("-inf")) - _SAME_TIME_S
        found = _describe(picture, sound, sorted(at for at in times if at > first_s), size, heard, heard_bytes)
        if "video" in found:
            found["video"] |= first
        seen_s = max(times, default=0.0) - min(times, default=0.0)
        return found | {"streams": len(source.streams), "declared_s": declared, "seen_s": seen_s}


def _first_picture(packet: Any) -> dict[str, Any]:
    """Say what only a decoded picture tells.

    Returns:
        When it is shown, in seconds (what comes before it refers to pictures that are not there); how it is turned,
        clockwise in degrees; and whether it is interlaced.
    """
    import av

    try:
        for frame in packet.decode():
            turned = {"rotation": -frame.rotation % 360, "interlaced": bool(frame.interlaced_frame)}
            return turned if frame.time is None else turned | {"first_s": float(frame.time)}
    except av.FFmpegError:
        pass  # Whoever makes a film of it will say so; what is asked here is what the file holds.
    return {}


def _describe(
    picture: Any, sound: Any, times: list[float], size: int, heard: list[float], heard_bytes: int
) -> dict[str, Any]:
    if not times:
        return {"error": "no_frames"}
    context = picture.codec_context
    steps = [b - a for a, b in itertools.pairwise(times)]
    step = (times[-1] - times[0]) / len(steps) if steps else 1 / float(picture.average_rate or 25)
    # Containers with millisecond clocks round every timestamp: allow for that, and for nothing more.
    constant = all(abs(times[0] + index * step - at) <= 0.0016 for index, at in enumerate(times))
    video = {
        "codec": context.name,
        "width": context.width,
        "height": context.height,
        "sar": str(picture.sample_aspect_ratio or context.sample_aspect_ratio or "1"),
        "pix_fmt": context.pix_fmt or "",
        "rgb": context.format is not None and (context.format.is_rgb or context.format.has_palette),
        "range": int(getattr(context, "color_range", 0) or 0),
        "primaries": int(getattr(context, "color_primaries", 2) or 2),
        "transfer": int(getattr(context, "color_trc", 2) or 2),
        "matrix": int(getattr(context, "colorspace", 2) or 2),
        "interlaced": False,
        "rotation": 0,
        "step_s": step,
        "constant": constant,
        "frames": len(times),
        "start_s": times[0],
        "duration_s": times[-1] - times[0] + step,
        "bytes": size,
    }
    audio = None
    if sound is not None and heard_bytes:
        context = sound.codec_context
        audio = {
            "codec": context.name,
            "sample_rate": context.sample_rate,
            "channels": context.layout.nb_channels,
            "start_s": heard[0],
            "duration_s": heard[1] - heard[0],
            "bytes": heard_bytes,
        }
    return {"video": video, "audio": audio}


def main(arguments: list[str]) -> None:
    """Run as a script."""
    path, container, *numbers = arguments
    max_streams, max_packets, memory_bytes, cpu_s, whole = map(int, numbers)
    _restrict(memory_bytes, cpu_s)
    try:
        answer = inspect(path, container, max_streams, max_packets, whole=bool(whole))
    except Exception as error:  # noqa: BLE001 - any failure of the demuxer means "not readable", said to the parent
        answer = {"error": "unreadable", "detail": f"{type(error).__name__}: {error}"[:300]}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
