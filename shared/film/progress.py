"""From what each step reports to one percentage that never goes back."""

from __future__ import annotations

import time
from collections.abc import Callable

from .model import Stage
from .result import Progress

#: No time left is guessed before this much is done.
_ETA_FROM_PERCENT = 5.0


class Reporter:
    """Collects the progress of the film's steps and tells the caller."""

    def __init__(self, tell: Callable[[Progress], None] | None) -> None:
        self._tell = tell
        self._began = self._stage_began = time.monotonic()
        self._percent = 0.0
        self._stage: Stage = "probe"
        self._window = (0.0, 3.0)
        self.timings_s: dict[str, float] = {}

    def enter(self, stage: Stage, until_percent: float, message: str = "") -> None:
        """Begin a stage that ends at ``until_percent`` of the whole."""
        self._close()
        self._stage, self._window = stage, (self._percent, max(self._percent, until_percent))
        self.share(0.0, message)

    def share(self, done: float, message: str = "") -> None:
        """Report that ``done`` (0 to 1) of the current stage is done."""
        low, high = self._window
        self._percent = max(self._percent, low + (high - low) * min(1.0, max(0.0, done)))
        if self._tell:
            self._tell(Progress(self._stage, round(self._percent, 2), message, self._eta_s()))

    def finish(self) -> None:
        """Report the end."""
        self.enter("done", 100.0)
        self.share(1.0)
        self._close()

    def _close(self) -> None:
        now = time.monotonic()
        self.timings_s[self._stage] = round(self.timings_s.get(self._stage, 0.0) + now - self._stage_began, 4)
        self._stage_began = now

    def _eta_s(self) -> float | None:
        if self._percent < _ETA_FROM_PERCENT:
            return None
        return round((time.monotonic() - self._began) * (100 - self._percent) / self._percent, 1)


class Shares:
    """The common progress of several steps that run at the same time, weighted by their size."""

    def __init__(self, reporter: Reporter, weights: list[float]) -> None:
        self._reporter, self._weights = reporter, weights
        self._done = [0.0] * len(weights)

    def of(self, index: int) -> Callable[[float], None]:
        """Return the function by which step ``index`` reports its share (0 to 1)."""

        def report(done: float) -> None:
            self._done[index] = max(self._done[index], min(1.0, done))
            total = sum(self._weights) or 1.0
            self._reporter.share(sum(d * w for d, w in zip(self._done, self._weights, strict=True)) / total)

        return report
