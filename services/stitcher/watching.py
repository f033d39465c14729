"""What goes on beside the joining: its lease, its job being cancelled, and telling how far it is."""

import asyncio
import time
from functools import partial

from shared.context import Context
from shared.events import JobProgress
from shared.film import Progress
from shared.job.fencing import require_owner
from shared.job.film import renew_step
from shared.job.model import Job, Stage

LOOK_S = 0.5
"""How often it is looked whether the job was cancelled, and how often at most it is told how far it is."""
FROM_PERCENT, TO_PERCENT = 85.0, 90.0
"""The part of the whole job that joining its clips is."""


class Watch:
    """Keeps the right to join the clips of one job, as long as nobody stops it.

    `check` is to be called every `LOOK_S`. It renews the lease when a third of it is over; in between it only
    reads, so that a job which is cancelled does not keep its encoder busy for the rest of the lease.
    """

    def __init__(self, context: Context, job: Job, owner: str) -> None:
        self._context = context
        self._job = job
        self._owner = owner
        self._renew_at_s = 0.0
        self._progress: Progress | None = None
        self._told: Progress | None = None
        self._renewed_percent = 0.0

    @property
    def period_ms(self) -> int:
        """The length of a lease that is renewed as often as `check` is to be called."""
        return min(self._context.policy.lease_ms, round(LOOK_S * 3000))

    def note(self, progress: Progress) -> None:
        """Take note of how far the engine is."""
        self._progress = progress

    async def check(self) -> None:
        """Renew the lease if it is time to, else see that it is still ours.

        Raises:
            Refused: it is not.
        """
        if time.monotonic() >= self._renew_at_s:
            await self.renew()
            return
        job = await self._context.store.get(self._job.id)
        require_owner(job.lease, self._owner)

    async def renew(self) -> None:
        """Renew the lease. Raises `Refused` if it is not ours any more."""
        context = self._context
        percent = self._progress.percent if self._progress is not None else 0.0
        moved, self._renewed_percent = percent > self._renewed_percent, percent
        keep = partial(renew_step, owner=self._owner, now=context.clock(), policy=context.policy)
        await context.store.update(self._job.id, partial(keep, progress=moved))
        self._renew_at_s = time.monotonic() + context.policy.lease_ms / 3000

    async def tell(self) -> None:
        """Tell live pages how far the engine is, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            progress = self._progress
            if progress is None or progress == self._told:
                continue
            self._told = progress
            news = JobProgress(
                percent=round(FROM_PERCENT + (TO_PERCENT - FROM_PERCENT) * progress.percent / 100, 1),
                stage=Stage.STITCHING,
                message=progress.message or str(progress.stage),
                eta_s=progress.eta_s,
            )
            await self._context.emitter.emit(self._job, news, f"{progress.percent:.1f}", transient=True)
