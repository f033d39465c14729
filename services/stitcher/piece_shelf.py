"""Where pieces of a film lie between being encoded ahead and being joined: the artifact store, under their names."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from shared import metrics
from shared.artifacts.protocol import ArtifactStore
from shared.context import Context
from shared.errors import DependencyDown, JobNotFound, StitcherError
from shared.film import Encode, EngineError
from shared.job.files import piece_key, pieces_prefix
from shared.job.model import Job

log = structlog.get_logger(__name__)

PATIENCE_S = 60.0
"""How long a film waits for a piece that is being encoded, rather than to encode it itself. Meanwhile it tells of no
progress, so this must stay far below the time that a job may do so."""


class Errand:
    """One job's pieces being encoded; a `shared.film.Shelf`.

    Attributes:
        job: as it was last seen.
        rests_on: the files that pieces are being made of.
        is_over: the film is being joined in this process: nothing more is begun.
        under_way: the pieces that are being encoded; each is set when it is there, or will not be.
    """

    def __init__(self, context: Context, job: Job) -> None:
        self._context = context
        self.job = job
        self.rests_on: frozenset[str] = frozenset()
        self.is_over = False
        self.under_way: dict[str, asyncio.Event] = {}

    def see(self, job: Job) -> None:
        """Take note of how the job stands."""
        if job.version > self.job.version:
            self.job = job

    async def fill(self, key: str, encode: Encode) -> None:
        """See `shared.film.Shelf.fill`."""
        name = piece_key(self.job.id, key)
        if await self._context.artifacts.stat(name) is not None or self.is_over:
            return
        self.under_way[key] = asyncio.Event()
        try:
            await self._context.artifacts.put_file(name, await encode())
        except (EngineError, StitcherError, OSError):
            metrics.PIECES_AHEAD.labels("failed").inc()
            raise
        except asyncio.CancelledError:
            metrics.PIECES_AHEAD.labels("stopped").inc()
            raise
        else:
            metrics.PIECES_AHEAD.labels("made").inc()
        finally:
            self.under_way.pop(key).set()
        if not self.is_over:
            await self._take_back_if_late(name)

    async def _take_back_if_late(self, name: str) -> None:
        """Delete a piece that came too late to be deleted with the others: its film stands, or its job is over."""
        try:
            self.see(await self._context.store.get(self.job.id))
            late = self.job.film is not None or self.job.status.is_final
        except JobNotFound:
            late = True
        if late:
            await self._context.artifacts.delete(name)


class Pieces:
    """The pieces of one film while it is being joined; a `shared.film.Prepared`."""

    def __init__(self, artifacts: ArtifactStore, job_id: str, errand: Errand | None, opened: AsyncExitStack) -> None:
        self._artifacts = artifacts
        self._job_id = job_id
        # Complete: nothing more is begun once its film is being joined.
        self._coming = dict(errand.under_way) if errand is not None else {}
        self._opened = opened
        self._looking = asyncio.Lock()
        self._there: frozenset[str] | None = None

    async def get(self, key: str) -> Path | None:
        """See `shared.film.Prepared.get`."""
        coming, name = self._coming.get(key), piece_key(self._job_id, key)
        try:
            if coming is not None:
                async with asyncio.timeout(PATIENCE_S):
                    await coming.wait()
            elif name not in await self._names():
                return None
            return await self._opened.enter_async_context(self._artifacts.local_path(name))
        except (DependencyDown, TimeoutError) as problem:
            log.warning("a piece that was encoded ahead is encoded again", problem=str(problem) or "it takes too long")
            return None

    async def _names(self) -> frozenset[str]:
        """Return which pieces were there when the first one was asked for: one question for all of a film."""
        async with self._looking:
            if self._there is None:
                found = self._artifacts.list(pieces_prefix(self._job_id))
                self._there = frozenset([stat.key async for stat in found])
        return self._there
