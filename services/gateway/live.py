"""What live pages show: jobs as they change, for any number of readers, in every replica of the gateway.

The bus tells every replica that something happened to a job; what happened is read from the store, once for all
readers. As what the bus tells may get lost, watched jobs are read again every few seconds. Readers hold no queue: each
takes the newest state when it is ready for it, so a slow one costs nothing and misses nothing but what is outdated.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import structlog

from services.gateway.attention import LINGER_S, Attention
from services.gateway.errors import ApiError
from shared.bus.protocol import Bus
from shared.errors import DependencyDown, JobNotFound, StitcherError
from shared.events import Event, EventName
from shared.job.model import Job
from shared.store.jobs import JobStore

log = structlog.get_logger(__name__)

HEARD = tuple(EventName)
REFRESH_S = 3.0
"""How often watched jobs are read although nothing was heard of them."""
PAUSE_S = 0.1
"""The shortest time between two readings of a job: a film of a hundred clips has hundreds of events."""
KEEP_ALIVE_S = 15.0
NEWEST = 50
"""Jobs that the stream of all jobs begins with and keeps an eye on."""
KNOWN = 1_000
"""Jobs whose version is remembered for the stream of all jobs."""
PENDING = 500
"""Jobs that may have changed since a reader of all jobs last took something; a reader further behind is let go."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A `job.progress` event as it was heard."""

    job_id: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing happened for `KEEP_ALIVE_S`."""


Change = Job | Progress | Quiet


@dataclass(eq=False)
class _Feed:
    """One watched job: what is known of it, and who wants to hear."""

    job_id: str
    job: Job
    progress: Progress | None = None
    is_gone: bool = False
    readers: "set[asyncio.Event]" = field(default_factory=set)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    def wake(self) -> None:
        for reader in self.readers:
            reader.set()


@dataclass(eq=False)
class _Onlooker:
    """One reader of all jobs: the newest it has not taken yet, by job."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    pending: "dict[tuple[str, bool], Job | Progress]" = field(default_factory=dict)
    is_behind: bool = False

    def offer(self, change: Job | Progress) -> None:
        key = (change.job_id, True) if isinstance(change, Progress) else (change.id, False)
        self.pending[key] = change
        if len(self.pending) > PENDING:
            self.is_behind = True
            self.pending.clear()
        self.changed.set()


class Live:
    """The live view of one gateway process.

    Args:
        store: where jobs are read.
        places: how many readers this process serves at once.
        bus: where events are heard while there are readers.
        refresh_s: see `REFRESH_S`.
        keep_alive_s: see `KEEP_ALIVE_S`.
        linger_s: see `services.gateway.attention`.
    """

    def __init__(
        self,
        store: JobStore,
        bus: Bus,
        *,
        places: int,
        refresh_s: float = REFRESH_S,
        keep_alive_s: float = KEEP_ALIVE_S,
        linger_s: float = LINGER_S,
    ) -> None:
        self._store = store
        self._places = places
        self._refresh_s = refresh_s
        self._keep_alive_s = keep_alive_s
        self._attention = Attention(bus, HEARD, self.hear, linger_s)
        self._stopping = False
        self._feeds: dict[str, _Feed] = {}
        self._onlookers: set[_Onlooker] = set()
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._changed_jobs: set[str] = set()
        self._something = asyncio.Event()
        self._overview: asyncio.Task[None] | None = None

    # --- readers ------------------------------------------------------------------------------------------------

    @property
    def readers(self) -> int:
        """How many places are taken."""
        return self._attention.present

    def take_place(self) -> None:
        """Count one more reader.

        Raises:
            ApiError: 503, there is no room, or this process is about to stop.
        """
        if self._stopping or self.readers >= self._places:
            why = "This process is about to stop" if self._stopping else f"All {self._places} live connections are used"
            raise ApiError(503, "too_many_streams", f"{why}; try again in 5 s", headers={"Retry-After": "5"})
        self._attention.come()

    def leave_place(self) -> None:
        """Count one reader less."""
        self._attention.go()

    async def follow(self, job: Job, seen: int = 0) -> AsyncGenerator[Change]:
        """Yield the job whenever it has changed since version `seen`, up to and with its end; and its progress."""
        feed = self._feed_of(job)
        changed = asyncio.Event()
        feed.readers.add(changed)
        progress: Progress | None = None
        try:
            while not self._stopping:
                changed.clear()
                if feed.job.version > seen:
                    seen = feed.job.version
                    yield (state := feed.job)
                    if state.status.is_final:
                        return
                    continue  # sending took its time
                if feed.progress is not None and feed.progress is not progress:
                    progress = feed.progress
                    yield progress
                    continue
                if feed.is_gone:
                    return
                if not await _within(changed, self._keep_alive_s):
                    yield Quiet()
        finally:
            feed.readers.discard(changed)
            if not feed.readers:
                self._close(feed)

    async def follow_all(self) -> AsyncGenerator[Change]:
        """Yield the newest jobs, oldest of them first, and then every job that changes."""
        onlooker = _Onlooker()
        jobs, _ = await self._store.page(limit=NEWEST)
        for job in reversed(jobs):
            self._remember(job)
            onlooker.offer(job)
        self._onlookers.add(onlooker)
        if self._overview is None:
            self._overview = asyncio.create_task(self._look_over(), name="live-overview")
        try:
            while not (self._stopping or onlooker.is_behind):
                onlooker.changed.clear()
                while onlooker.pending and not self._stopping:
                    yield onlooker.pending.pop(next(iter(onlooker.pending)))
                if not await _within(onlooker.changed, self._keep_alive_s):
                    yield Quiet()
        finally:
            self._onlookers.discard(onlooker)
            if not self._onlookers and self._overview is not None:
                self._overview.cancel()
                self._overview = None

    # --- what happens -------------------------------------------------------------------------------------------

    async def hear(self, event: Event) -> None:
        """Take note of an event; a listener of the bus."""
        job_id = event.subject
        feed = self._feeds.get(job_id)
        if event.name is EventName.JOB_PROGRESS:
            progress = Progress(job_id, event.data)
            if feed is not None:
                feed.progress = progress
                feed.wake()
            for onlooker in self._onlookers:
                onlooker.offer(progress)
            return
        if feed is not None:
            feed.heard.set()
        if self._onlookers:
            self._changed_jobs.add(job_id)
            self._something.set()

    def stop(self) -> None:
        """End all streams: readers go to another replica, or come back."""
        self._stopping = True
        for feed in self._feeds.values():
            feed.wake()
        for onlooker in self._onlookers:
            onlooker.changed.set()

    async def close(self) -> None:
        """Stop reading, too."""
        self.stop()
        tasks = [feed.task for feed in self._feeds.values()] + [self._overview]
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
        await self._attention.close()

    def _feed_of(self, job: Job) -> _Feed:
        feed = self._feeds.get(job.id)
        if feed is None:
            feed = self._feeds[job.id] = _Feed(job.id, job)
            feed.task = asyncio.create_task(self._keep_current(feed), name="live-feed")
        elif job.version > feed.job.version:
            feed.job = job
            feed.wake()
        return feed

    def _close(self, feed: _Feed) -> None:
        self._feeds.pop(feed.job_id, None)
        if feed.task is not None:
            feed.task.cancel()

    async def _keep_current(self, feed: _Feed) -> None:
        while not feed.is_gone:
            await _within(feed.heard, self._refresh_s)
            feed.heard.clear()
            job = await self._read(feed.job_id)
            if isinstance(job, Job):
                if job.version <= feed.job.version:
                    continue
                feed.job = job
            elif job is JobNotFound:
                feed.is_gone = True
            feed.wake()
            await asyncio.sleep(PAUSE_S)

    async def _look_over(self) -> None:
        clock = asyncio.get_running_loop().time
        refresh_at = clock() + self._refresh_s
        while True:
            await _within(self._something, max(0.0, refresh_at - clock()))
            self._something.clear()
            named, self._changed_jobs = self._changed_jobs, set()
            for job_id in named:
                found = await self._read(job_id)
                if isinstance(found, Job):
                    self._show(found)
            if clock() >= refresh_at:
                await self._look_at_newest()
                refresh_at = clock() + self._refresh_s
            await asyncio.sleep(PAUSE_S)

    async def _look_at_newest(self) -> None:
        try:
            jobs, _ = await self._store.page(limit=NEWEST)
        except StitcherError as problem:
            log.warning("the newest jobs cannot be read for live pages", problem=str(problem))
            return
        for job in reversed(jobs):
            self._show(job)

    def _show(self, job: Job) -> None:
        if self._versions.get(job.id, 0) >= job.version:
            return
        self._remember(job)
        for onlooker in self._onlookers:
            onlooker.offer(job)

    def _remember(self, job: Job) -> None:
        self._versions[job.id] = max(job.version, self._versions.pop(job.id, 0))
        while len(self._versions) > KNOWN:
            self._versions.popitem(last=False)

    async def _read(self, job_id: str) -> "Job | type[JobNotFound] | None":
        """Return the job; `JobNotFound` if there is none; None if nobody can say now."""
        try:
            return await self._store.get(job_id)
        except JobNotFound:
            return JobNotFound
        except DependencyDown as down:
            log.warning("a watched job cannot be read now", job=job_id, problem=str(down))
        except StitcherError as problem:
            log.error("a watched job cannot be read", job=job_id, problem=str(problem))  # noqa: TRY400 - it says it all
        return None


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for `event`; return whether it came within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
