"""Reads a finished film back: which frames of which clips it shows, and what it sounds like."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from sandbox.clips.marks import Mark, Samples, read_mark


@dataclass(frozen=True, slots=True)
class Film:
    """What decoding a film gave.

    Attributes:
        marks: One entry a frame, in order of display; None where a frame carries no mark.
        times_s: When each frame is shown.
        width: Pixels.
        height: Pixels.
        sound: The first channel, or an empty array where there is no sound.
        rate_hz: Samples a second; 0 where there is no sound.
    """

    marks: list[Mark | None]
    times_s: list[float]
    width: int
    height: int
    sound: Samples
    rate_hz: int

    @property
    def clips(self) -> list[int]:
        """Numbers of the clips in the order in which they are shown."""
        numbers = [mark.clip for mark in self.marks if mark is not None]
        return [n for i, n in enumerate(numbers) if i == 0 or numbers[i - 1] != n]

    @property
    def sound_s(self) -> float:
        """Length of the sound in seconds, by its samples."""
        return len(self.sound) / self.rate_hz if self.rate_hz else 0.0


def read_film(source: Path | bytes) -> Film:
    """Decode a film completely.

    Args:
        source: The file, or its bytes.

    Raises:
        av.FFmpegError: It does not decode.
    """
    opened = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    marks: list[Mark | None] = []
    times_s: list[float] = []
    chunks: list[Samples] = []
    with av.open(opened, "r") as container:
        video = container.streams.video[0]
        audio = container.streams.audio[0] if container.streams.audio else None
        rate_hz = audio.rate if audio is not None else 0
        for frame in container.decode(*(s for s in (video, audio) if s is not None)):
            if isinstance(frame, av.VideoFrame):
                marks.append(read_mark(frame.to_ndarray(format="gray")))
                times_s.append(float(frame.time or 0.0))
            elif isinstance(frame, av.AudioFrame):
                chunks.append(frame.to_ndarray()[0].astype(np.float32))
        return Film(
            marks=marks,
            times_s=times_s,
            width=video.width,
            height=video.height,
            sound=np.concatenate(chunks) if chunks else np.zeros(0, np.float32),
            rate_hz=rate_hz,
        )
