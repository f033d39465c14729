"""Machine-readable marks in the picture and the sound of a twin's clips.

Every frame of a generated clip carries a bar code: two rows of black and white blocks along the lower edge that
say which clip, which frame and which take it is, protected by a CRC. The blocks are large enough to survive x264
at CRF 28, scaling by half and letterboxing, so that a test can decode a finished film and say exactly which frames
arrived, in which order. The sound is a tone whose frequency names the clip, and one click at `CLICK_AT_S`.

This module holds both directions (painting and reading), so the layout has one home. It needs numpy only.
"""

from __future__ import annotations

import binascii
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Samples = NDArray[np.float32]

#: Blocks a row and rows: 56 bits = clip 16 + frame 16 + take 8 + CRC-16.
COLUMNS, ROWS = 28, 2
#: Edges of the bar code as fractions of the picture's width and height.
LEFT, RIGHT = 0.04, 0.96
TOP, BOTTOM = 0.895, 0.975
#: Luma of a one and a zero (limited range).
WHITE, BLACK = 235, 16
#: The click starts this many seconds after the clip's first sample and is this long.
CLICK_AT_S, CLICK_LENGTH_S = 0.25, 0.004

# Breaks up runs of equal blocks (small numbers are mostly zeros), so that every code has both colours.
_WHITENING = 0b10110100_10110100_01001011_01001011_10110100_01001011_10110100
_LOWEST_TONE_HZ, _TONE_STEP_HZ, _TONES = 220, 4, 200


@dataclass(frozen=True, slots=True)
class Mark:
    """What one frame says about itself.

    Attributes:
        clip: Number of the clip, 0 to 65535 (see `sandbox.clips.clip_number`).
        frame: Index of the frame within its clip, from 0.
        take: 1 for the first time a prompt was ordered, 2 for the second, up to 255.
    """

    clip: int
    frame: int
    take: int = 1


def encode_mark(mark: Mark) -> NDArray[np.bool_]:
    """Return the mark as `ROWS` x `COLUMNS` bits (True = white)."""
    payload = mark.clip.to_bytes(2) + mark.frame.to_bytes(2) + mark.take.to_bytes(1)
    word = payload + binascii.crc_hqx(payload, 0xFFFF).to_bytes(2)
    whitened = (int.from_bytes(word) ^ _WHITENING).to_bytes(len(word))
    bits = np.unpackbits(np.frombuffer(whitened, dtype=np.uint8))
    return bits.reshape(ROWS, COLUMNS).astype(bool)


def _decode_bits(bits: NDArray[np.bool_]) -> Mark | None:
    packed = np.packbits(bits.reshape(-1)).tobytes()
    word = (int.from_bytes(packed) ^ _WHITENING).to_bytes(len(packed))
    payload, crc = word[:5], int.from_bytes(word[5:])
    if binascii.crc_hqx(payload, 0xFFFF) != crc:
        return None
    return Mark(clip=int.from_bytes(payload[:2]), frame=int.from_bytes(payload[2:4]), take=payload[4])


def mark_edges(width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the x positions of the block columns' edges and the y positions of the rows' edges, in pixels."""
    return (
        np.linspace(LEFT * width, RIGHT * width, COLUMNS + 1),
        np.linspace(TOP * height, BOTTOM * height, ROWS + 1),
    )


@functools.lru_cache(maxsize=16)
def _pixel_edges(height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    xs, ys = mark_edges(width, height)
    return np.rint(xs).astype(np.intp), np.rint(ys).astype(np.intp)


def paint_mark(luma: Pixels, mark: Mark) -> None:
    """Paint the bar code into a luma plane (height x width, limited range), in place."""
    columns, rows = _pixel_edges(*luma.shape)
    for row, bits in enumerate(encode_mark(mark)):
        line = np.repeat(np.where(bits, WHITE, BLACK).astype(np.uint8), np.diff(columns))
        luma[rows[row] : rows[row + 1], columns[0] : columns[-1]] = line


def _read_at(gray: Pixels) -> Mark | None:
    height, width = gray.shape
    xs, ys = mark_edges(width, height)
    # The middle half of every block: its edges are soft after scaling and compression.
    values = np.empty((ROWS, COLUMNS))
    for row in range(ROWS):
        top = ys[row] + 0.3 * (ys[1] - ys[0])
        lines = gray[int(top) : max(int(top) + 1, int(ys[row] + 0.7 * (ys[1] - ys[0])))].mean(axis=0)
        for column in range(COLUMNS):
            left = xs[column] + 0.3 * (xs[1] - xs[0])
            right = max(int(left) + 1, int(xs[column] + 0.7 * (xs[1] - xs[0])))
            values[row, column] = lines[int(left) : right].mean()
    darkest, brightest = values.min(), values.max()
    if brightest - darkest < 40:
        return None
    return _decode_bits(values > (darkest + brightest) / 2)


def _without_bars(gray: Pixels) -> Pixels:
    """Return the picture without black letterbox or pillarbox bars."""
    lit_rows = np.flatnonzero(gray.max(axis=1) > 40)
    lit_columns = np.flatnonzero(gray.max(axis=0) > 40)
    if not lit_rows.size or not lit_columns.size:
        return gray
    return gray[lit_rows[0] : lit_rows[-1] + 1, lit_columns[0] : lit_columns[-1] + 1]


def read_mark(frame: NDArray[Any]) -> Mark | None:
    """Read the bar code of a decoded frame.

    Args:
        frame: Gray (height x width) or RGB (height x width x 3) pixels; any size, black bars allowed.

    Returns:
        The mark, or None when the frame carries none (another picture, a cross-fade, a crop).
    """
    gray: Pixels = (frame if frame.ndim == 2 else frame.mean(axis=2)).astype(np.uint8, copy=False)
    mark = _read_at(gray)
    if mark is not None:
        return mark
    trimmed = _without_bars(gray)
    return _read_at(trimmed) if trimmed.shape != gray.shape else None


def tone_hz(clip: int) -> int:
    """Return the frequency that names a clip, 220 to 1016 Hz in steps of 4."""
    return _LOWEST_TONE_HZ + _TONE_STEP_HZ * (clip % _TONES)


def measure_tone_hz(samples: Samples, rate_hz: int) -> float:
    """Return the strongest frequency of a mono signal between 150 and 1200 Hz.

    Half a second of sound tells neighbouring clips apart.

    Args:
        samples: One channel, any scale.
        rate_hz: Samples a second.
    """
    padded = 1 << (max(len(samples), rate_hz * 2) - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), padded))
    frequencies = np.fft.rfftfreq(padded, 1 / rate_hz)
    spectrum[(frequencies < 150) | (frequencies > 1200)] = 0
    return float(frequencies[int(spectrum.argmax())])


def find_clicks_s(samples: Samples, rate_hz: int) -> list[float]:
    """Return when the clicks of a mono signal start, in seconds, each within about 2 ms.

    Args:
        samples: One channel as the clips have it (tone at a tenth of full scale, click near full scale).
        rate_hz: Samples a second.
    """
    loud = np.flatnonzero(np.abs(samples) > 0.35)
    if not loud.size:
        return []
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-rate_hz) > rate_hz // 20)]
    return [float(start) / rate_hz for start in starts]


def paint_sound(frequency_hz: float, seconds: float, rate_hz: int) -> Samples:
    """Return a clip's sound: its tone with soft ends, and the click where there is room for it."""
    count = round(seconds * rate_hz)
    time_s = np.arange(count) / rate_hz
    sound = 0.1 * np.sin(2 * np.pi * frequency_hz * time_s)
    fade = min(rate_hz // 100, count // 2)
    if fade:
        ramp = np.linspace(0, 1, fade)
        sound[:fade] *= ramp
        sound[count - fade :] *= ramp[::-1]
    start, length = round(CLICK_AT_S * rate_hz), round(CLICK_LENGTH_S * rate_hz)
    if start + length < count:
        burst = 0.85 * np.sign(np.sin(2 * np.pi * 3000 * np.arange(length) / rate_hz))
        sound[start : start + length] = burst
    return sound.astype(np.float32)
