"""Telling growth from noise in what was sampled over a long run. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 0.25
"""The share of a run that is left out: caches fill, allocators find their size."""


@dataclass(frozen=True)
class Tolerance:
    """How much the last third's median may lie above the first's before it counts as growth.

    Attributes:
        share: of the first third's median.
        least: whatever the median is, in the measure's own unit.
    """

    share: float
    least: float


@dataclass(frozen=True)
class Trend:
    """Medians of the three thirds of a run, without its warm-up."""

    name: str
    thirds: tuple[float, float, float]
    tolerance: Tolerance

    @property
    def grows(self) -> bool:
        """Whether it rose from third to third, by more than is tolerated in all.

        A step (a buffer that found its size) rises once; a leak rises all the time.
        """
        first, second, third = self.thirds
        allowed = max(self.tolerance.least, self.tolerance.share * first)
        return third - first > allowed and first < second < third and third - second > allowed / 4


def trend(name: str, samples: Sequence[float], tolerance: Tolerance) -> Trend:
    """Return the trend of samples taken at even intervals.

    Raises:
        ValueError: there are fewer than six.
    """
    kept = list(samples[int(len(samples) * WARM_UP) :])
    if len(samples) < 6 or len(kept) < 3:
        raise ValueError(f"{name}: {len(samples)} samples are too few to tell growth; run longer")
    size = len(kept) / 3
    parts = [kept[round(third * size) : round((third + 1) * size)] for third in range(3)]
    first, second, last = (statistics.median(part) for part in parts)
    return Trend(name, (first, second, last), tolerance)
