"""Jobs that nothing can be done for at present, so that they do not stand in the way of those behind them."""

import heapq
from collections.abc import Sequence

from shared.clock import Clock

PAUSE_MS = 60_000
AGAIN = 20
"""Of those put aside, so many at most are tried again in one round, beside the others."""
MOST = 5_000
"""Remembered at most; those beyond are tried in every round."""


class Aside:
    """Remembers which jobs of an ordered index could not be dealt with; in this process only.

    Args:
        clock: ms.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._until)

    def chosen(self, ids: Sequence[str], limit: int) -> list[str]:
        """Return which of `ids` to deal with now: `limit` at most that are not aside, and some whose pause is over.

        Args:
            ids: the head of the index, longer than `limit` by as many as are aside. What is not in it is forgotten.
            limit: how many.
        """
        self._until = {job_id: self._until[job_id] for job_id in ids if job_id in self._until}
        others = [job_id for job_id in ids if job_id not in self._until]
        now = self._clock()
        rested = (job_id for job_id, until in self._until.items() if until <= now)
        return others[:limit] + heapq.nsmallest(AGAIN, rested, key=self._until.__getitem__)

    def put(self, job_id: str) -> None:
        """Leave the job alone for a while."""
        if job_id in self._until or len(self._until) < MOST:
            self._until[job_id] = self._clock() + PAUSE_MS

    def take_back(self, job_id: str) -> None:
        """Treat the job as any other: it could be dealt with."""
        self._until.pop(job_id, None)
