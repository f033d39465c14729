"""Documents a process has just read or written, so that its next change of the same job need not read them again.

Only ever a guess at what the store holds: compare-and-set proves it right, and whoever is not sure reads.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from shared.job.model import Job

KEPT = 64
"""Documents; a worker handles fewer jobs at once."""
KEPT_S = 2.0
"""Older ones are not worth a try: others are likely to have written, and a store that has been rolled back by a crash
must not find its lost versions continued."""


@dataclass(slots=True)
class Known:
    """A version of a job's document as JSON text.

    Attributes:
        job: the text as it was parsed, if it was. What a process has written is parsed anew before it is changed
            again, so that every process goes on from what all others see.
    """

    version: int
    document: str
    job: Job | None = None


class Recent:
    """The newest known document of a few jobs, each for a short time."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._known: OrderedDict[str, tuple[float, Known]] = OrderedDict()

    def note(self, job_id: str, known: Known) -> None:
        """Remember what the store holds, unless a later version is known: reads and writes overlap."""
        now_s = self._clock_s()
        if job_id in self._known and self._known[job_id][1].version > known.version:
            return
        self._known[job_id] = (now_s + KEPT_S, known)
        self._known.move_to_end(job_id)
        while len(self._known) > KEPT or next(iter(self._known.values()))[0] < now_s:
            self._known.popitem(last=False)

    def take(self, job_id: str) -> Known | None:
        """Return and forget what is known of a job: if it proves wrong, nobody tries it again."""
        until_s, known = self._known.pop(job_id, (0.0, None))
        return known if until_s >= self._clock_s() else None
