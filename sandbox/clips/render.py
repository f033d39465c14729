"""Real MP4 clips, made fast: H.264 yuv420p with AAC stereo at 48 kHz, moov first.

A person sees the prompt on a gradient with a running frame counter; a test reads the bar code and the tone (see
`sandbox.clips.marks`). `render_clip` is the one entry point; `ClipStudio` (in `sandbox.clips.studio`) adds the cache
and keeps rendering off the event loop.
"""

from __future__ import annotations

import functools
import hashlib
import io
import uuid
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

from sandbox.clips.marks import paint_sound, tone_hz
from sandbox.clips.picture import Picture, frame_painter

# Half the CPU of "veryfast" for these calm pictures, with the stream features that real providers' encoders use.
_X264_PARAMS = "bframes=3:cabac=1:8x8dct=1:deblock=0,0"


class ClipError(Exception):
    """Raised when a clip cannot be rendered: the message names the clip's settings and the cause."""


AudioLayout = Literal["stereo", "mono", "none"]

_ASPECTS: dict[str, Fraction] = {
    "landscape": Fraction(16, 9),
    "portrait": Fraction(9, 16),
    "square": Fraction(1),
    "adaptive": Fraction(16, 9),
}


def clip_number(prompt: str) -> int:
    """Return the number (0 to 65535) that clips of this prompt carry in their bar code."""
    return zlib.crc32(prompt.strip().encode()) & 0xFFFF


def frame_size(aspect_ratio: str, short_side: int) -> tuple[int, int]:
    """Return width and height in pixels, both even, for a provider's aspect ratio.

    Args:
        aspect_ratio: `landscape`, `portrait`, `square`, `adaptive` or `W:H`. Anything else is taken as landscape.
        short_side: Length of the shorter side in pixels (720 gives 1280x720 for landscape).
    """
    ratio = _ASPECTS.get(aspect_ratio)
    if ratio is None:
        wide, _, high = aspect_ratio.partition(":")
        if wide.isdecimal() and high.isdecimal() and int(wide) and int(high):
            ratio = Fraction(int(wide), int(high))
        else:
            ratio = Fraction(16, 9)
    long_side = round(short_side * max(ratio, 1 / ratio) / 2) * 2
    short_side = round(short_side / 2) * 2
    return (long_side, short_side) if ratio >= 1 else (short_side, long_side)


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """Everything that a clip's bytes depend on: two equal specs are the same file.

    Attributes:
        prompt: Text on the picture.
        clip: Number in the bar code and of the tone.
        take: Which order of the same prompt this is, from 1.
        caption: Small text in the upper right corner (the model's name).
        width: Pixels, even.
        height: Pixels, even.
        fps: Frames a second.
        seconds: Length; the number of frames is `round(seconds * fps)`.
        gop: Most frames from one keyframe to the next (250 = usually one keyframe a clip, as x264 does by itself).
        crf: x264 constant rate factor.
        preset: x264 preset; B-frames, CABAC and the 8x8 transform are on with every one (High profile).
        audio: Sound layout.
        audio_rate_hz: Samples a second.
    """

    prompt: str
    clip: int
    take: int = 1
    caption: str = ""
    width: int = 1280
    height: int = 720
    fps: int = 30
    seconds: float = 2.0
    gop: int = 250
    crf: int = 23
    preset: str = "ultrafast"
    audio: AudioLayout = "stereo"
    audio_rate_hz: int = 48_000

    @property
    def frames(self) -> int:
        """Number of pictures in the clip."""
        return max(1, round(self.seconds * self.fps))

    @property
    def key(self) -> str:
        """Name of the clip in a cache."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


def render_clip(spec: ClipSpec, path: Path) -> None:
    """Render a clip to a file.

    The file appears only when it is complete (written beside, then renamed). CPU-bound for a few tenths of a second;
    PyAV releases the interpreter lock while encoding, so a thread is enough to keep an event loop free.

    Args:
        spec: What to render.
        path: Where to, ending in `.mp4`.

    Raises:
        ClipError: The encoder refuses the settings, or the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # several twins may share a cache
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            _encode(spec, container)
        partial.replace(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        partial.unlink(missing_ok=True)
        raise ClipError(f"cannot render {spec}: {error}") from error


def _encode(spec: ClipSpec, container: OutputContainer) -> None:
    video = container.add_stream("libx264", rate=spec.fps)
    video.width, video.height, video.pix_fmt = spec.width, spec.height, "yuv420p"
    video.codec_context.thread_count = 1
    video.options = {
        "preset": spec.preset,
        "crf": str(spec.crf),
        "g": str(spec.gop),
        "x264-params": _X264_PARAMS,
    }
    audio = None
    if spec.audio != "none":
        audio = _add_audio(container, spec.audio, spec.audio_rate_hz)
    paint = frame_painter(
        Picture(
            prompt=spec.prompt,
            caption=spec.caption,
            clip=spec.clip,
            take=spec.take,
            width=spec.width,
            height=spec.height,
            fps=spec.fps,
            frames=spec.frames,
        )
    )
    for index in range(spec.frames):
        frame = av.VideoFrame.from_ndarray(paint(index), format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, spec.fps)
        container.mux(video.encode(frame))
    container.mux(video.encode())
    if audio is not None:
        seconds = spec.frames / spec.fps
        for content, pts in _sound_packets(tone_hz(spec.clip), seconds, spec.audio, spec.audio_rate_hz):
            packet = av.Packet(content)
            packet.pts = packet.dts = pts
            packet.time_base, packet.stream = Fraction(1, spec.audio_rate_hz), audio
            packet.is_keyframe = True
            container.mux(packet)


def _add_audio(container: OutputContainer, layout: str, rate_hz: int) -> AudioStream:
    return container.add_stream("aac", rate=rate_hz, layout=layout, bit_rate=96_000, options={"aac_coder": "fast"})


@functools.lru_cache(maxsize=256)
def _sound_packets(frequency_hz: int, seconds: float, layout: str, rate_hz: int) -> tuple[tuple[bytes, int], ...]:
    """Return the encoded sound as (content, pts in samples).

    AAC takes as long as the picture, and there are only 200 tones: each is encoded once.
    """
    sound = paint_sound(frequency_hz, seconds, rate_hz)
    channels = np.repeat(sound[None, :], 1 if layout == "mono" else 2, axis=0)
    packets: list[tuple[bytes, int]] = []
    with av.open(io.BytesIO(), "w", format="mp4") as container:
        audio = _add_audio(container, layout, rate_hz)
        for start in range(0, len(sound), 1024):
            chunk = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(channels[:, start : start + 1024]), format="fltp", layout=layout
            )
            chunk.sample_rate, chunk.pts, chunk.time_base = rate_hz, start, Fraction(1, rate_hz)
            packets += [(bytes(packet), packet.pts or 0) for packet in audio.encode(chunk)]
        packets += [(bytes(packet), packet.pts or 0) for packet in audio.encode()]
    return tuple(packets)
