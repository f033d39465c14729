"""How a clip's sound meets its neighbours'. Pure; shared by the splicer and the mixer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Fade on each side of a hard cut: long enough not to click, too short to be heard as a fade.
CUT_FADE_S = 0.0025


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a clip sounds: ``[start, start + length)`` in the film's samples; neighbours may overlap."""

    start: int
    length: int

    @property
    def end(self) -> int:
        """First sample after the clip."""
        return self.start + self.length


def envelope(
    places: Sequence[Placement], index: int, first: int, last: int, sample_rate: int
) -> npt.NDArray[np.float32]:
    """Return the gain of clip ``index`` at the film's samples ``[first, last)``.

    Clips that overlap cross with equal power. At a hard cut, each clip fades within its own last or first samples,
    with a raised cosine (no kink, so no click): there is no sound beyond a clip's ends to fade into.
    """
    place = places[index]
    at = np.arange(first, last, dtype=np.float64)
    gain = np.ones(last - first, np.float64)
    short = max(1, round(CUT_FADE_S * sample_rate))
    if index:
        gain *= _rise((at - place.start), places[index - 1].end - place.start, short)
    if index < len(places) - 1:
        gain *= _rise(place.end - 1 - at, place.end - places[index + 1].start, short)
    return gain.astype(np.float32)


def _rise(distance: npt.NDArray[np.float64], overlap: int, short: int) -> npt.NDArray[np.float64]:
    """Gain by distance from a clip's end, in samples."""
    if overlap > 2 * short:
        return np.asarray(np.sin(np.clip(distance / overlap, 0, 1) * np.pi / 2))
    return np.asarray(0.5 - 0.5 * np.cos(np.clip(distance / short, 0, 1) * np.pi))
