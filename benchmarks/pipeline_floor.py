"""The floor under the pipeline: the same work done by one process that calls it directly, without events or a store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.generator.clip_check import EngineClipCheck
from services.generator.file_sink import FileSink
from shared.airtable.delivery import Deliverer, DeliveryOptions, Order
from shared.airtable.delivery_plan import FilmFile
from shared.airtable.status import StatusWriter
from shared.airtable_connection import open_table
from shared.artifacts.files import FileArtifacts
from shared.fetch import Fetcher
from shared.film import Limits, Wishes, stitch
from shared.film.cell import warm_up
from shared.job.model import Artifact, ClipRole
from shared.job.wishes import FilmWishes
from shared.settings import Settings
from shared.store.memory import MemoryBackend
from shared.workdir import scratch
from tests.support.system import System

STEPS = (
    "download the last clip",
    "check it",
    "store it",
    "join and poster",
    "store film and poster",
    "into the record",
)


@dataclass
class Taken:
    """How long each of `STEPS` took in one job, in ms."""

    ms: dict[str, float] = field(default_factory=dict)

    def note(self, step: str, began: float) -> float:
        """Note a step that began then and ends now; return now."""
        now = time.perf_counter()
        self.ms[step] = 1000 * (now - began)
        return now

    @property
    def total_ms(self) -> float:
        """All steps."""
        return sum(self.ms.values())


class Bare:
    """Makes one film at a time, as directly as the services' own tools allow."""

    def __init__(self, folder: Path, fetcher: Fetcher, deliverer: Deliverer, status: StatusWriter) -> None:
        folder.mkdir()
        self._folder = folder
        self._artifacts = FileArtifacts(folder / "artifacts")
        self._fetcher = fetcher
        self._deliverer = deliverer
        self._status = status
        self._check = EngineClipCheck(Limits())
        self._made = 0

    async def make(self, urls: Sequence[str], record: str) -> Taken:
        """Make a film of these clips into a record. Only what comes after all clips but the last are home is timed."""
        self._made += 1
        taken, name = Taken(), f"jobs/{self._made}"
        with scratch(self._folder, "bare-") as work:
            *others, last = urls
            for number, url in enumerate(others):
                await self._bring(url, work / "other.mp4", f"{name}/clip-{number}.mp4", Taken())
            key = f"{name}/clip-{len(others)}.mp4"
            await self._bring(last, work / "last.mp4", key, taken)
            began = time.perf_counter()
            clips = [self._folder / "artifacts" / name / f"clip-{number}.mp4" for number in range(len(urls))]
            film = await stitch(clips, work / "film.mp4", Wishes(poster_at_s=FilmWishes().poster_at_s), work_dir=work)
            began = taken.note("join and poster", began)
            stored = await self._artifacts.put_file(f"{name}/film.mp4", film.path)
            assert film.poster is not None
            await self._artifacts.put_file(f"{name}/poster.jpg", film.poster)
            began = taken.note("store film and poster", began)
            content = film.path.read_bytes()
            await self._deliverer.deliver(_order(record, f"{self._made}.mp4", stored.size_bytes, content))
            await self._status.write(record, "Completed")
            taken.note("into the record", began)
        return taken

    async def _bring(self, url: str, path: Path, key: str, taken: Taken) -> None:
        began = time.perf_counter()
        async with FileSink(path) as sink:
            await self._fetcher.download(url, sink)
            began = taken.note("download the last clip", began)
            await self._check(path, Artifact(key=key, size_bytes=sink.size), ClipRole.CLIP)
            began = taken.note("check it", began)
            await self._artifacts.put_file(key, path)
            taken.note("store it", began)

    async def close(self) -> None:
        """End the threads."""
        await self._artifacts.close()


def _order(record: str, name: str, size_bytes: int, content: bytes) -> Order:
    async def read() -> bytes:
        return content

    async def beat() -> None:
        """Nobody's lease needs renewing."""

    film = FilmFile(filename=name, size_bytes=size_bytes)
    return Order(record_id=record, film=film, media_url=lambda _: "", read_bytes=read, heartbeat=beat)


@asynccontextmanager
async def bare(folder: Path, system: System) -> AsyncIterator[Bare]:
    """Open what the direct way needs: the services' own tools, on the same twins."""
    settings = Settings(
        _env_file=None,
        airtable_api_key=system.twins["api_keys"]["airtable"],
        airtable_base_id=system.twins["base_id"],
        airtable_table_name=system.twins["table"],
        airtable_endpoint_url=system.twins["airtable_url"],
        airtable_content_url=system.twins["airtable_content_url"],
        airtable_requests_per_s=1000,
    )
    await asyncio.to_thread(warm_up)
    async with AsyncExitStack() as stack:
        fetcher = await stack.enter_async_context(Fetcher(("127.0.0.1",)))
        table = await open_table(settings, MemoryBackend(), stack)
        assert table is not None
        options = DeliveryOptions(hosts=table.config.attachment_hosts)
        found = Bare(folder, fetcher, Deliverer(table.records, options), StatusWriter(table.records))
        stack.push_async_callback(found.close)
        yield found
