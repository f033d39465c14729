"""How near a film is to the ideal one: its clips' decoded pictures, blended linearly in 4:2:0 where they overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
_BLOCK = 8


@dataclass(frozen=True)
class Quality:
    """Means over pictures; ``exact`` is the share that is bit-identical outside transitions."""

    frames: int
    exact: float
    blend_psnr_db: float
    rest_psnr_db: float
    blend_ssim: float

    def __str__(self) -> str:
        return f"{self.exact:.0%} exact; {self.blend_psnr_db:.1f} / {self.rest_psnr_db:.1f} dB; {self.blend_ssim:.4f}"


def compare(film: Path, clips: Sequence[Path], overlap: int) -> Quality:
    """Compare a film, frame by frame, with the ideal one; extra or missing frames at its end are ignored."""
    blended: list[tuple[float, float]] = []
    rest: list[float] = []
    for (inside, ideal), seen in zip(_ideal(clips, overlap), _pictures(film), strict=False):
        if inside:
            blended.append((psnr_db(ideal, seen), ssim(ideal, seen)))
        else:
            rest.append(psnr_db(ideal, seen))
    inexact = [each for each in rest if each < 99]
    return Quality(
        len(blended) + len(rest),
        1 - len(inexact) / max(1, len(rest)),
        float(np.mean([each for each, _ in blended])) if blended else 99.0,
        float(np.mean(inexact)) if inexact else 99.0,
        float(np.mean([each for _, each in blended])) if blended else 1.0,
    )


def _pictures(path: Path) -> Iterator[Picture]:
    with av.open(str(path)) as film:
        film.streams.video[0].thread_type = "AUTO"
        for frame in film.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)


def _ideal(clips: Sequence[Path], overlap: int) -> Iterator[tuple[bool, Picture]]:
    held: list[Picture] = []
    for number, clip in enumerate(clips):
        ending: deque[Picture] = deque()
        for index, picture in enumerate(_pictures(clip)):
            if index < len(held):
                share = index / overlap
                yield True, np.floor(held[index] * (1 - share) + picture * share).astype(np.uint8)
                continue
            ending.append(picture)
            if number == len(clips) - 1 or len(ending) > overlap:
                yield False, ending.popleft()
        held = list(ending)


def psnr_db(one: Picture, other: Picture) -> float:
    """Peak signal-to-noise ratio over all planes; 100 dB when identical."""
    error = float(np.mean((one.astype(np.int16) - other).astype(np.float32) ** 2))
    return 100.0 if not error else float(10 * np.log10(255**2 / error))


def ssim(one: Picture, other: Picture) -> float:
    """Structural similarity of the luma planes, over blocks of 8 by 8."""
    height, width = one.shape[0] * 2 // 3 // _BLOCK * _BLOCK, one.shape[1] // _BLOCK * _BLOCK
    first, second = (
        each[:height, :width].astype(np.float32).reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
        for each in (one, other)
    )
    axes = (1, 3)
    means = first.mean(axes), second.mean(axes)
    spreads = first.var(axes), second.var(axes)
    together = (first * second).mean(axes) - means[0] * means[1]
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * means[0] * means[1] + low) * (2 * together + high)
    below = (means[0] ** 2 + means[1] ** 2 + low) * (spreads[0] + spreads[1] + high)
    return float(np.mean(above / below))
