"""Encoding what of a film is settled while its other clips are still being made.

All of it is best effort: a message is acknowledged at once, a crash loses nothing, and a film is the same without its
pieces. One job is worked on at a time, behind the films that can be joined: at a lower priority, on half the cores.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from services.stitcher.outlook import Outlook, goes_on, may_have_pieces, outlook_of
from services.stitcher.piece_shelf import Errand, Pieces
from services.stitcher.watching import LOOK_S
from shared import metrics
from shared.context import Context
from shared.errors import DependencyDown, JobNotFound, StitcherError
from shared.film import EngineError, Limits, Prepared, Probe
from shared.job.model import Job
from shared.tidying import delete_pieces
from shared.workdir import scratch

log = structlog.get_logger(__name__)

NICENESS = 10
CLAIM_MS = 30_000
"""For so long after its last sign of life no other process takes over what a process encodes ahead."""

REMEMBERED_JOBS = 256
"""Of so many jobs a process knows what it has encoded; of others it asks the artifact store."""

Encoder = Callable[..., Awaitable[None]]
"""`shared.film.encode_ahead`, or a test's."""


class Ahead:
    """Encodes pieces of one film at a time before its turn has come, and hands them to whoever joins it."""

    def __init__(
        self, context: Context, encode: Encoder, limits: Limits, work_dir: Path, *, enabled: bool = True
    ) -> None:
        self._context = context
        self._encode = encode
        self._limits = replace(limits, niceness=NICENESS)
        self._work_dir = work_dir
        self._enabled = enabled
        self._errand: Errand | None = None
        self._task: asyncio.Task[None] | None = None
        self._done: dict[str, frozenset[str]] = {}

    def consider(self, job: Job) -> None:
        """Begin to encode what is settled of a job's film, if there is anything and nothing else is being encoded."""
        try:
            outlook = outlook_of(job) if self._enabled else None
        except Exception as problem:
            log.warning("nothing is encoded ahead", exc_info=problem)
            return
        if outlook is None or outlook.pieces <= self._done.get(job.id, frozenset()):
            return
        if self._errand is None:
            self._errand = Errand(self._context, job)
            self._task = asyncio.create_task(self._run(self._errand), name="encode-ahead")
            self._task.add_done_callback(_report)
        elif self._errand.job.id == job.id:
            self._errand.see(job)
        else:
            metrics.PIECES_AHEAD.labels("busy").inc(len(outlook.foresight.settled))

    @asynccontextmanager
    async def pieces_for(self, job: Job) -> AsyncIterator[Prepared]:
        """Give the pieces of a film that is about to be joined. Nothing more of it is begun ahead from now on."""
        errand = self._errand if self._errand is not None and self._errand.job.id == job.id else None
        if errand is not None:
            errand.is_over = True
        try:
            async with AsyncExitStack() as opened:
                yield Pieces(self._context.artifacts, job.id, errand, opened)
        finally:
            if errand is not None and errand is self._errand:
                await self.close()

    async def film_is_made(self, job: Job, used: int) -> None:
        """Delete a joined film's pieces, and count how many it took."""
        metrics.PIECES_AHEAD.labels("used").inc(used)
        metrics.PIECES_AHEAD.labels("unused").inc(max(0, await self.tidy(job) - used))

    async def tidy(self, job: Job) -> int:
        """Delete what is left of pieces that nobody needs any more; return how many there were."""
        return await delete_pieces(self._context, job.id) if may_have_pieces(job) else 0

    async def close(self) -> None:
        """Stop encoding ahead, and return when every process is gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, errand: Errand) -> None:
        """Do an errand to its end; whatever goes wrong, the film will be made without it."""
        try:
            await self._do(errand)
        except (EngineError, StitcherError) as problem:
            log.warning("not encoded ahead", job=errand.job.id, problem=str(problem))
        finally:
            self._errand = None

    async def _do(self, errand: Errand) -> None:
        store, claim, process = self._context.store, f"ahead:{errand.job.id}", self._context.process
        if await store.claim(claim, process, CLAIM_MS) != process:
            return  # who is at it will see the new clip
        try:
            await _until_first(self._rounds(errand), self._watch(errand, claim))
        finally:
            await store.release(claim, process)
        if errand.job.status.is_final:
            await delete_pieces(self._context, errand.job.id)

    async def _rounds(self, errand: Errand) -> None:
        """Encode what is settled, and again when clips that have come home meanwhile settle more."""
        job_id, done = errand.job.id, self._done.pop(errand.job.id, frozenset())
        while not errand.is_over and (outlook := outlook_of(errand.job)) is not None and outlook.pieces - done:
            errand.rests_on = outlook.rests_on
            await self._round(errand, outlook)
            self._done[job_id] = done = done | outlook.pieces
        while len(self._done) > REMEMBERED_JOBS:
            del self._done[next(iter(self._done))]

    async def _round(self, errand: Errand, outlook: Outlook) -> None:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(scratch(self._work_dir, "ahead-"))

            async def local(key: Path) -> Path:
                path = await stack.enter_async_context(self._context.artifacts.local_path(key.as_posix()))
                return path if path is not None else key

            found: list[Probe | None] = list(outlook.found)
            for index in outlook.foresight.clips:
                if (each := found[index]) is not None:
                    found[index] = replace(each, path=await local(each.path))
            wishes, logo = outlook.wishes, outlook.wishes.logo
            if logo is not None:
                wishes = replace(wishes, logo=replace(logo, path=await local(logo.path)))
            await self._encode(found, wishes, errand, like=outlook.like, limits=self._limits, work_dir=folder)

    async def _watch(self, errand: Errand, claim: str) -> None:
        """Return when the pieces are not worth encoding any more; until then, keep others from encoding them, too."""
        store, claimed_at_s = self._context.store, time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            if errand.is_over:
                continue  # whoever joins the film looks after it
            try:
                errand.see(await store.get(errand.job.id))
                if time.monotonic() - claimed_at_s > CLAIM_MS / 3000:
                    await store.claim(claim, self._context.process, CLAIM_MS)
                    claimed_at_s = time.monotonic()
            except DependencyDown as down:
                log.info("it is not known whether pieces are still wanted", job=errand.job.id, problem=str(down))
            except JobNotFound:
                return
            if not goes_on(errand.job, errand.rests_on, self._context.process):
                return


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:  # an error of the program
        log.error("encoding ahead ended", exc_info=problem)


async def _until_first(*work: Coroutine[Any, Any, None]) -> None:
    """Do everything at the same time until one of them is done; stop the rest, and raise what was raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for problem in ended:
        if isinstance(problem, Exception):
            raise problem
