"""Watching the table: records that people queue become jobs, and jobs whose record says `Approved` go on.

In the gateway, because it makes jobs of records already and Airtable's ping arrives here. One process watches at a
time. A record becomes one job for as long as it stays queued; what tells is a mark beside the job, and the claim by
which all ways of processing a record share one job.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Literal

import structlog

from services.gateway.accepting import Accepting, Order
from services.gateway.airtable_hook import AirtableHook
from services.gateway.caller import Caller
from services.gateway.controlling import Controlling
from services.gateway.errors import ApiError
from shared.airtable.errors import AirtableError, UnreadableCell
from shared.airtable.fields import FieldNames, text_of
from shared.airtable.protocol import Record
from shared.airtable.status import StatusWriter
from shared.airtable.watch import PAGE, Watch
from shared.context import Context
from shared.errors import DependencyDown, JobNotFound, Refused
from shared.job.mirror import NAMES, has_moved
from shared.job.model import Job, JobStatus
from shared.store.jobs import DocumentUnreadable

log = structlog.get_logger(__name__)

QUEUED, APPROVED = "Queued", "Approved"
LOCK = "airtable:watching"
LOCK_TTL_MS = 30_000
MADE = "airtable:made:"
MADE_TTL_MS = 90 * 86_400_000
LOOKED, LOOKED_APPROVALS, RENEWED = "airtable:looked", "airtable:looked-approvals", "airtable:renewed"
RENEW_EVERY_S = 86_400.0
LOOKED_TTL_MS = 7 * 86_400_000
APPROVAL_EVERY_MAX_S = 3_600
SWEEP_S = 21_600
"""With pings, how often the table is looked at all the same: they may get lost."""
TICK_S = 5.0
FAILED_MAX_S = 3_600.0
CALLER = Caller(name="airtable")


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What is watched, and how.

    Attributes:
        queued: the Status of records that are to be made, in the table's own word.
        approved: the Status by which people approve.
        ours: the Statuses that we write, likewise.
        trigger: how records that are to be made are noticed.
        view: look at this view instead of `Status = Queued`.
        poll_s: how often to look when there are no pings.
        approval_s: how often to look for approvals at first; 0 never looks.
    """

    queued: str = QUEUED
    approved: str = APPROVED
    ours: frozenset[str] = frozenset(NAMES.values())
    trigger: Literal["off", "webhook", "poll"] = "off"
    view: str | None = None
    poll_s: int = 3_600
    approval_s: int = 60

    @property
    def look_every_s(self) -> int:
        """How often to look for queued records without being told to."""
        return max(self.poll_s, SWEEP_S) if self.trigger == "webhook" else self.poll_s


def approval_every_s(waiting_s: float, first_s: int) -> float:
    """Return the pause between two looks for approvals: a tenth of the time people have taken so far.

    A review of a week costs about 220 calls, however short the first pauses are.
    """
    return max(float(first_s), min(waiting_s / 10, APPROVAL_EVERY_MAX_S))


class Watching:
    """The watcher of one process."""

    def __init__(
        self,
        context: Context,
        accepting: Accepting,
        controlling: Controlling,
        watch: Watch,
        hook: AirtableHook,
        status_writer: StatusWriter,
        plan: WatchPlan,
        *,
        tick_s: float = TICK_S,
    ) -> None:
        self._context = context
        self._accepting = accepting
        self._controlling = controlling
        self._watch = watch
        self._status_writer = status_writer
        self._plan = plan
        self._tick_s = tick_s
        self._woken = asyncio.Event()
        self.hook = hook

    def wake(self) -> None:
        """Look soon: Airtable has pinged."""
        self._woken.set()

    async def run(self) -> None:
        """Watch until cancelled. Whatever goes wrong, it goes on: nobody would notice that it had ended."""
        failures = 0
        while True:
            try:
                async with asyncio.timeout(self._tick_s):
                    await self._woken.wait()
            except TimeoutError:
                pass  # time for the usual round
            try:
                await self.round()
                failures = 0
                continue
            except (AirtableError, DependencyDown) as problem:
                failures += 1
                pause_s = self._pause_s(failures)
                log.warning("the Airtable table cannot be watched now", problem=str(problem), again_in_s=pause_s)
            except Exception:
                failures += 1
                pause_s = self._pause_s(failures)
                log.exception("watching the Airtable table failed unexpectedly", again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    def _pause_s(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row.

        Each try costs calls of the month's quota, so a token without the right to watch must not cost many.
        """
        return min(self._tick_s * 2.0 ** min(failures, 16), FAILED_MAX_S)

    async def round(self) -> None:
        """Do what is due, if no other process is at it."""
        store, me = self._context.store, self._context.process
        if await store.claim(LOCK, me, LOCK_TTL_MS) != me:
            await asyncio.sleep(min(1.0, self._tick_s))  # a ping waits until the other is done
            return
        try:
            pinged = self._woken.is_set()
            self._woken.clear()
            try:
                await self._trigger(pinged=pinged)
                await self._approvals(pinged=pinged)
            except BaseException:
                if pinged:
                    self._woken.set()
                raise
        finally:
            await store.release(LOCK, me)

    # --- records become jobs ------------------------------------------------------------------------------------

    async def _trigger(self, *, pinged: bool) -> None:
        if self._plan.trigger == "off":
            return
        is_due = await self._is_due(LOOKED, self._plan.look_every_s)
        if self._plan.trigger == "poll":
            if is_due:
                await self._look()
            return
        kept = await self.hook.ensure()
        if not (pinged or is_due):
            return
        if is_due:
            kept = await self.hook.refresh(kept)
        changes, read = await self.hook.read(kept)
        if changes or is_due:
            await self._look()
        await self.hook.keep(read)

    async def _look(self) -> None:
        """Make jobs of all queued records."""
        store = self._context.store
        made = {key.removeprefix(MADE): job_id for key, job_id in (await store.marks(MADE)).items()}
        # Judged before the table is looked at: a Status that is written in between must not look like a new wish.
        again = {record_id for record_id, job_id in made.items() if await self._may_be_wished_again(job_id)}
        while True:
            records = await self._queued()
            await self._note_looked(LOOKED)
            fresh = [each for each in records if each.id not in made or (each.id in again and self._is_wish(each))]
            for record in fresh:
                made[record.id] = await self._make_safely(record)
                again.discard(record.id)
            if len(records) < PAGE:
                break
            if not fresh:
                return
        listed = {record.id for record in records}
        for record_id in made.keys() - listed:
            await store.put_mark(MADE + record_id, "", 1)  # it has left the queue: queued again, it is a new wish
        if await self._is_due(RENEWED, RENEW_EVERY_S):
            for record_id in listed & made.keys():
                if made[record_id]:
                    await store.put_mark(MADE + record_id, made[record_id], MADE_TTL_MS)
            await self._note_looked(RENEWED)

    async def _queued(self) -> list[Record]:
        if self._plan.view is not None:
            return await self._watch.in_view(self._plan.view)
        return await self._watch.with_status(self._plan.queued)

    async def _may_be_wished_again(self, job_id: str) -> bool:
        """Whether a record that is queued now must have left the queue since this job was made of it."""
        try:
            job = await self._context.store.get(job_id)
        except (JobNotFound, DocumentUnreadable):
            return False
        return job.status.is_final and has_moved(job) and job.mirror.problem is None

    def _is_wish(self, record: Record) -> bool:
        """Whether somebody has written into the record's Status since we did.

        A view that goes on showing records that we have begun would have films made of them for ever.
        """
        name = FieldNames().status
        try:
            return text_of(name, record.fields.get(name)) not in self._plan.ours
        except UnreadableCell:
            return False

    async def _make_safely(self, record: Record) -> str:
        """Do `_make`; a record that it fails for does not hold up the others. It is tried again at the next look."""
        try:
            return await self._make(record)
        except (AirtableError, DependencyDown):
            raise  # the others would fail, too
        except Exception:
            log.exception("making a job of a queued record failed unexpectedly", record=record.id)
            return ""

    async def _make(self, record: Record) -> str:
        """Make a job of a record, or say in the record why not; return the job's id, or nothing."""
        order = Order(
            wish=partial(self._accepting.records.read, record.id, None, CALLER.name),
            endpoint="airtable-trigger",
            caller=CALLER,
            record_id=record.id,
        )
        try:
            job = await self._accepting.accept(order)
        except ApiError as refusal:
            await self._refused(record, refusal)
            return ""
        await self._context.store.put_mark(MADE + record.id, job.id, MADE_TTL_MS)
        log.info("a queued record became a job", record=record.id, job=job.id)
        return job.id

    async def _refused(self, record: Record, refusal: ApiError) -> None:
        log.warning("a queued record cannot become a job", record=record.id, code=refusal.code, problem=refusal.message)
        if refusal.status in (400, 404):  # waiting does not help; whoever queued it has to change something
            await self._status_writer.write(record.id, NAMES[JobStatus.FAILED], error=refusal.message)

    # --- approvals ----------------------------------------------------------------------------------------------

    async def _approvals(self, *, pinged: bool) -> None:
        waiting = await self._waiting()
        if not waiting or self._plan.approval_s == 0:
            return
        newest = max(job.passages[-1].at for job in waiting)
        waiting_s = (self._context.clock() - newest) / 1000
        if not pinged and not await self._is_due(LOOKED_APPROVALS, approval_every_s(waiting_s, self._plan.approval_s)):
            return
        approved = {record.id for record in await self._watch.with_status(self._plan.approved)}
        await self._note_looked(LOOKED_APPROVALS)
        for job in waiting:
            if job.record_id in approved:
                try:
                    await self._controlling.approve(job.id, CALLER)
                except (Refused, JobNotFound) as moved_on:
                    log.info("a job was not approved", job=job.id, problem=str(moved_on))

    async def _waiting(self) -> list[Job]:
        """Return the jobs that wait for approval and whose record says so: what it says next, a person has said."""
        jobs, _ = await self._context.store.page(JobStatus.REVIEW, 200)
        return [job for job in jobs if job.record_id is not None and job.mirror.written >= len(job.passages)]

    async def _is_due(self, mark: str, every_s: float) -> bool:
        last = await self._context.store.get_mark(mark)
        return not last or self._context.clock() - int(last) >= every_s * 1000

    async def _note_looked(self, mark: str) -> None:
        await self._context.store.put_mark(mark, str(self._context.clock()), LOOKED_TTL_MS)
