"""Tiny clips whose every frame says which clip and frame it is, and a reader that believes only what it decodes.

The mark is a row of black and white blocks: 4 bits of clip, 10 bits of frame, 2 bits of parity, each block
``BLOCK_PIXELS`` wide over the whole height of a band at the top, so that it survives scaling, bars, rotation (the
reader knows) and any encoder.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from shared.film import ffmpeg_exe

BITS = 16
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """How to make a clip.

    ``extra`` and ``audio_extra`` are output options of ffmpeg; ``filters`` are applied to the finished picture
    (after the mark is burnt in); ``click_s`` places a click in otherwise quiet sound.
    """

    number: int = 1
    frames: int = 30
    fps: str = "30"
    size: tuple[int, int] = (192, 108)
    gop: int = 250
    codec: str = "libx264"
    extra: tuple[str, ...] = ("-preset", "veryfast", "-crf", "23")
    pixel_format: str = "yuv420p"
    filters: str = ""
    audio: str | None = "aac"
    sample_rate: int = 48000
    channels: int = 2
    audio_extra: tuple[str, ...] = ("-b:a", "96k")
    audio_s: float | None = None
    tone_hz: float | None = None
    click_s: float | None = None
    suffix: str = ".mp4"
    first_frame: int = 0

    @property
    def seconds(self) -> float:
        return float(self.frames / Fraction(self.fps))


def marked_picture(number: int, frame: int, size: tuple[int, int]) -> Picture:
    """A luma plane: the mark in the upper third, a moving gradient below."""
    width, height = size
    value = (number & 15) << 10 | (frame & 1023)
    bits = [value >> shift & 1 for shift in range(13, -1, -1)]
    bits += [sum(bits[0::2]) & 1, sum(bits[1::2]) & 1]
    row = np.repeat(np.where(np.array(bits), 235, 16), -(-width // BITS))
    columns = np.arange(width) * BITS // width
    row = np.where(np.array(bits)[columns], 235, 16).astype(np.uint8)
    below = (np.arange(width)[None, :] * 2 + np.arange(height)[:, None] * 3 + frame * 5 + number * 40) % 160 + 40
    picture = below.astype(np.uint8)
    picture[: height // 3] = row
    return picture


def read_mark(luma: Picture, content: tuple[int, int, int, int] | None = None) -> tuple[int, int] | None:
    """Read ``(clip, frame)`` out of a picture; ``None`` when it is not a clean mark.

    Args:
        luma: The picture.
        content: Where the clip's own picture lies in it: x, y, width, height.
    """
    x, y, width, height = content or (0, 0, luma.shape[1], luma.shape[0])
    band = luma[y + height // 12 : y + height // 4, x : x + width].astype(np.float64)
    block = width / BITS
    bits: list[int] = []
    for index in range(BITS):
        low, high = round((index + 0.3) * block), round((index + 0.7) * block)
        level = float(band[:, low:high].mean())
        if 90 < level < 160:
            return None
        bits.append(int(level > 125))
    if bits[14:] != [sum(bits[0:14:2]) & 1, sum(bits[1:14:2]) & 1]:
        return None
    value = int("".join(map(str, bits[:14])), 2)
    return value >> 10, value & 1023


def _sound(clip: Clip) -> npt.NDArray[np.float32]:
    seconds = clip.seconds if clip.audio_s is None else clip.audio_s
    at = np.arange(round(seconds * clip.sample_rate)) / clip.sample_rate
    tone = 0.2 * np.sin(2 * np.pi * (clip.tone_hz or 300 + 100 * clip.number) * at)
    if clip.click_s is not None:
        tone *= 0.05
        begin = round(clip.click_s * clip.sample_rate)
        tone[begin : begin + 24] += 0.9
    return np.repeat(tone[:, None], clip.channels, axis=1).astype(np.float32)


def make_clip(path: Path, clip: Clip) -> Path:
    """Make a clip by ffmpeg; the picture comes in by a pipe, the sound by a file beside it."""
    width, height = clip.size
    pictures = b"".join(
        marked_picture(clip.number, clip.first_frame + frame, clip.size).tobytes() for frame in range(clip.frames)
    )
    command = [ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-color_range", "tv"]
    command += ["-s", f"{width}x{height}", "-r", clip.fps, "-i", "pipe:0"]
    raw = path.with_name(path.name + ".f32")
    if clip.audio:
        raw.write_bytes(_sound(clip).tobytes())
        command += ["-f", "f32le", "-ar", str(clip.sample_rate), "-ac", str(clip.channels), "-i", str(raw)]
    # Gray is full range to swscale: keep the luma values as they are.
    filters = "scale=in_range=tv:out_range=tv,format=yuv420p" + (f",{clip.filters}" if clip.filters else "")
    command += ["-map", "0:v", "-vf", filters, "-c:v", clip.codec, "-g", str(clip.gop), "-pix_fmt", clip.pixel_format]
    command += [*clip.extra, "-threads", "1"]
    if clip.audio:
        command += ["-map", "1:a", "-c:a", clip.audio, *clip.audio_extra]
    run([*command, str(path)], stdin=pictures)
    raw.unlink(missing_ok=True)
    return path


def run(command: Sequence[str], stdin: bytes = b"") -> None:
    """Run a command, and say what it said if it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def remux(source: Path, target: Path, *options: str, before: Sequence[str] = ()) -> Path:
    """Rewrap a clip by ffmpeg without touching its packets."""
    run([ffmpeg_exe(), "-v", "error", "-y", *before, "-i", str(source), "-c", "copy", *options, str(target)])
    return target


@dataclass(frozen=True)
class Watched:
    """What a viewer of a film sees and hears.

    ``marks`` has one entry per frame; ``times_s`` their presentation times; ``sound`` is mono samples as counted;
    ``complaints`` is whatever a strict decoder printed.
    """

    marks: list[tuple[int, int] | None]
    times_s: list[float]
    luma: list[Picture]
    sound: npt.NDArray[np.float32]
    sample_rate: int
    sound_start_s: float
    sound_end_s: float
    complaints: str

    @property
    def video_end_s(self) -> float:
        step = self.times_s[1] - self.times_s[0] if len(self.times_s) > 1 else 0.0
        return self.times_s[-1] + step


def _at_s(frame: av.VideoFrame | av.AudioFrame) -> float:
    assert frame.pts is not None
    assert frame.time_base is not None
    return float(frame.pts * frame.time_base)


def watch(path: Path, content: tuple[int, int, int, int] | None = None) -> Watched:
    """Decode a whole film, by PyAV for the pictures and by ffmpeg with every warning counted."""
    lumas: list[Picture] = []
    times: list[float] = []
    sound: list[npt.NDArray[np.float32]] = []
    rate, sound_start, sound_end = 0, 0.0, 0.0
    with av.open(str(path)) as film:
        for frame in film.decode(film.streams.video[0]):
            width = frame.width
            plane = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(frame.height, -1)[:, :width]
            lumas.append(plane.copy())
            times.append(_at_s(frame))
    with av.open(str(path)) as film:
        if film.streams.audio:
            stream = film.streams.audio[0]
            rate = stream.rate
            first: float | None = None
            for heard in film.decode(stream):
                samples = heard.to_ndarray()
                samples = samples.reshape(-1, heard.layout.nb_channels).T if heard.format.is_packed else samples
                sound.append(samples.mean(0).astype(np.float32))
                begin = _at_s(heard)
                first = begin if first is None else first
                sound_end = begin + heard.samples / rate
            sound_start = first or 0.0
    return Watched(
        marks=[read_mark(luma, content) for luma in lumas],
        times_s=times,
        luma=lumas,
        sound=np.concatenate(sound) if sound else np.zeros(0, np.float32),
        sample_rate=rate,
        sound_start_s=sound_start,
        sound_end_s=sound_end,
        complaints=complaints(path),
    )


def complaints(path: Path) -> str:
    """What ffmpeg says when it decodes a film with warnings shown and errors fatal; empty is good."""
    command = [ffmpeg_exe(), "-nostdin", "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stderr.decode() if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.decode()}"


def pictures(path: Path) -> list[bytes]:
    """The coded pictures of a film, in their order, as they lie in it."""
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(film.streams.video[0]) if packet.size]


def dominant_hz(samples: npt.NDArray[np.float32], rate: int) -> float:
    """The strongest frequency in a stretch of sound."""
    spectrum: Any = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def click_times_s(watched: Watched, expected_s: Sequence[float], window_s: float = 0.15) -> list[float]:
    """Where the loudest click near each expected time begins, by counting samples."""
    found = []
    for expected in expected_s:
        low = max(0, round((expected - window_s) * watched.sample_rate))
        part = np.abs(watched.sound[low : round((expected + window_s) * watched.sample_rate)])
        found.append((low + int(np.argmax(part > 0.5 * part.max()))) / watched.sample_rate)
    return found
