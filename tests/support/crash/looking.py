"""What is looked at when a job has come to its end, killed on the way or not."""

import os
import signal
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from shared.clock import now_ms
from shared.job.files import files_of
from shared.job.model import ClipStatus, Job, JobStatus
from shared.usage import THOUSAND, day_of
from tests.support.system import SERVICES

if TYPE_CHECKING:
    from tests.support.crash.running import Run

WORDS = ("Generating", "Review", "Processing", "Stitching", "Uploading", "Completed", "Failed", "Cancelled")
"""The record's statuses in their order."""
EARLIER = "jobs/job_1704067200000_0123456789abcdef/clip-1.mp4"
"""A clip of an earlier job, for those that take it over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a scenario ends, killed or not.

    Attributes:
        status: the job's; None if the job is purged in the end.
        code: of its failure.
        orders: how many orders the provider takes, by clip.
        attached: how many attachments the record ever gets.
        word: the record's last status, or None if it cannot be written any more.
        dead: dead letters that are left; one that was written just before a kill may be there twice.
        told: events that the user's system is told, in their order; None if it is told nothing.
        reserved: clips that the day's budget was charged with; None if nobody looks.
    """

    status: JobStatus | None = JobStatus.COMPLETED
    code: str | None = None
    orders: tuple[int, ...] = (1,)
    attached: int = 1
    word: str | None = "Completed"
    dead: int = 0
    told: tuple[str, ...] | None = None
    reserved: int | None = None


class Look:
    """A look at everything that the job may have left anywhere."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._world = run.world
        self._found: list[str] = []

    async def problems(self) -> list[str]:
        """Return what is wrong."""
        run, job = self._run, self._run.job
        ends, orders = run.scenario.ends, await self._orders()
        if job is not None and run.scenario.order_may_be_cut_off:
            run.unsent |= {clip.number for clip in job.clips if clip.artifact is None}
        lost = {number for number in run.unsent if number <= len(orders) and orders[number - 1] == 0}
        if job is not None and lost:
            ends = Ending(status=JobStatus.FAILED, code="ambiguous", orders=ends.orders, attached=0, word="Failed")
        wanted = [0 if number in lost else count for number, count in enumerate(ends.orders, start=1)]
        self._same("orders that the provider took, by clip", orders, wanted)
        self._same("status", job.status if job is not None else None, ends.status)
        code = job.failure.code if job is not None and job.failure is not None else None
        self._same("code of the failure", code, ends.code)
        jobs, _ = await self._world.store.page(limit=5)
        self._same("jobs in the store", len(jobs), 0 if job is None else 1)
        if ends.reserved is not None:
            book = await self._world.store.amounts(f"budget:{day_of(now_ms())}")
            self._same("clips of the day's budget", book.get("clips", 0) / THOUSAND, ends.reserved)
        await self._look_at_files(job)
        if run.scenario.record:
            await self._look_at_record(ends)
        if job is not None:
            self._look_at_webhooks(job, ends)
        dead = sum(count for queue, count in (await self._world.messages()).items() if queue.endswith(".dead"))
        if not ends.dead <= dead <= ends.dead * (1 + len(run.kills)):
            self._found.append(f"dead letters: {dead} instead of {ends.dead}")
        return self._found

    async def _orders(self) -> list[int]:
        counts = (await self._world.around.kie.get("orders/count"))["by_prompt"]
        return [counts.get(prompt, 0) for prompt in self._run.prompts]

    async def _look_at_files(self, job: Job | None) -> None:
        named = {EARLIER} if "artifact" in self._run.scenario.sources else set()
        if job is not None:
            named |= files_of(job)
        if job is not None and job.status is JobStatus.COMPLETED:
            self._same("thrown-away files that nobody has deleted", job.discarded, ())
            missing = [clip for clip in job.clips if clip.status is ClipStatus.READY and clip.artifact is None]
            self._same("clips that are not at home", missing, [])
            self._same("whether there is a clip", any(clip.artifact for clip in job.shots), True)
        root = self._world.artifacts
        await self._sweep(root)
        kept = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        # What is still to be deleted may never have been there.
        gone = set() if job is None else set(job.discarded) - kept
        self._same("files in the artifact store", sorted(kept), sorted(named - gone))
        await self._run.until(self._work_is_gone, "the work folders of processes that died are removed")

    async def _sweep(self, root: Path) -> None:
        """Let what was left half-written grow old, and see it removed after a restart."""
        left = [path for path in root.rglob(".*") if path.is_file()]
        if not left:
            return
        for path in left:
            os.utime(path, (0, 0))
        # Whoever reconciles sweeps when it begins to; with the lock's end, that is the first to be there again.
        for service in SERVICES:
            self._world.signal(service, signal.SIGKILL)
        await self._world.forget()

        async def gone() -> bool:
            return not any(path.exists() for path in left)

        await self._run.until(gone, "what was left half-written in the artifact store is removed")

    async def _work_is_gone(self) -> bool:
        found = list((self._world.data / "work").rglob("*"))
        alive = self._world.pids
        return all(path.name.split("-")[1:2] and int(path.name.split("-")[1]) in alive for path in found)

    async def _look_at_record(self, ends: Ending) -> None:
        record = await self._world.around.airtable.get(f"records/{self._run.record_id}")
        # What Airtable could not fetch (the gateway died while it served the film) never stood in the record.
        arrived = [attachment for attachment in record["attachments"] if attachment["state"] == "ok"]
        self._same("attachments ever", len(arrived), ends.attached)
        written = [change["value"] for change in record["writes"] if change["field"] == "Status"]
        for earlier, later in pairwise(written):
            may_go_back = self._run.scenario.goes_back and later == "Generating"
            if WORDS.index(later) < WORDS.index(earlier) and not may_go_back:
                self._found.append(f"the record's Status went back: {written}")
        if ends.word is not None:
            self._same("the record's last Status", written[-1] if written else None, ends.word)

    def _look_at_webhooks(self, job: Job, ends: Ending) -> None:
        """Each event is told under one id, at least once; nothing else is told."""
        if ends.told is not None:
            self._same("events to be told", tuple(webhook.event for webhook in job.webhooks), ends.told)
        told = self._world.around.partner.told.get(self._run.hook, [])
        self._same("webhooks that arrived", sorted(set(told)), sorted(webhook.id for webhook in job.webhooks))

    def _same(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self._found.append(f"{what}: {found!r} instead of {wanted!r}")
