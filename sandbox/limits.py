"""Rate limits as the real partners enforce them. Pure: the caller brings the time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class SlidingWindow:
    """At most `limit` events in any `window_ms`; the excess is refused, not queued.

    Attributes:
        limit: 0 = no limit.
        window_ms: Length of the window in milliseconds.
    """

    limit: int
    window_ms: float
    _events_ms: deque[float] = field(default_factory=deque)

    def admit(self, now_ms: float) -> bool:
        """Count an event and say whether it may pass. A refused event does not count."""
        if not self.limit:
            return True
        while self._events_ms and now_ms - self._events_ms[0] >= self.window_ms:
            self._events_ms.popleft()
        if len(self._events_ms) >= self.limit:
            return False
        self._events_ms.append(now_ms)
        return True


@dataclass
class PenaltyWindow:
    """A sliding window that, once exceeded, refuses everything for a while (Airtable: 30 s).

    Attributes:
        window: The limit proper.
        penalty_ms: How long everything is refused after the limit was exceeded.
    """

    window: SlidingWindow
    penalty_ms: float
    _until_ms: float = 0.0

    def admit(self, now_ms: float) -> bool:
        """Count an event and say whether it may pass."""
        if now_ms < self._until_ms:
            return False
        if self.window.admit(now_ms):
            return True
        self._until_ms = now_ms + self.penalty_ms
        return False

    def punish(self, now_ms: float) -> None:
        """Begin the penalty now."""
        self._until_ms = now_ms + self.penalty_ms
