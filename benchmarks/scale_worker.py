"""A worker as it is deployed, but with simulated clips and films: `python -m benchmarks.scale_worker <service>`.

Bus, store, artifacts, handlers, leases, metrics and the reconciler are the services' own. Simulated are the provider,
which has every task done at once, the download and the check of a clip, and the joining of a film: files of a few
bytes come of them.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from services.generator.bringing_home import BringingHome
from services.generator.file_sink import FileSink
from services.generator.handlers import routes as generator_routes
from services.generator.ordering import Ordering
from services.generator.provider.outcomes import (
    CreateOutcome,
    Liveness,
    LookOutcome,
    ModelHealth,
    ModelInput,
    Taken,
    TaskSucceeded,
)
from services.generator.reporting import JobWriter
from services.generator.results import Results
from services.generator.turns import Turns
from services.stitcher.ahead import Ahead
from services.stitcher.handlers import routes as stitcher_routes
from services.stitcher.stitching import Stitching
from services.uploader.bootstrap import build as build_uploader
from shared.bus.protocol import Subscription
from shared.bus.topology import GENERATOR, STITCHER, UPLOADER
from shared.entrypoint import run_worker
from shared.fetch import Fetcher
from shared.film import Limits, encode_ahead, stitch
from shared.job.files import film_key
from shared.job.model import Artifact, Clip, ClipRole, Film, Job
from shared.runtime import Build, Parts
from shared.service import Route
from shared.workdir import scratch

CLIP = b"a clip"
FILM = b"a film"
LOOKS_PER_S = 1_000_000


class SimulatedProvider:
    """`VideoProvider` whose tasks are all done."""

    name = "simulated"

    async def create(self, model_slug: str, model_input: ModelInput, callback_url: str | None) -> CreateOutcome:
        """Take the order."""
        return Taken(f"task-{model_slug}")

    async def look(self, task_id: str) -> LookOutcome:
        """Say that it is done."""
        return TaskSucceeded(urls=(f"https://simulated.invalid/{task_id}",), credits=30.0)

    async def credits(self) -> float:
        """Have plenty."""
        return 1e9

    async def alive(self, model_slug: str) -> ModelHealth:
        """Every model is."""
        return ModelHealth(model_slug, Liveness.ALIVE, "simulated")

    async def fresh_url(self, url: str) -> str:
        """It is fresh."""
        return url


class SimulatedResults(Results):
    """Downloads of a few bytes from nowhere."""

    async def bring(self, clip: Clip, urls: tuple[str, ...], sink: FileSink) -> None:
        """See `Results.bring`."""
        await sink.write(CLIP)


async def _checked(path: Path, artifact: Artifact, role: ClipRole) -> Artifact:
    return artifact.but(duration_s=2.0, width=1280, height=720)


class SimulatedStitching(Stitching):
    """Films of a few bytes."""

    async def _make_film(self, job: Job, owner: str) -> tuple[Film, int]:
        key = film_key(job)
        with scratch(self._work_dir, "film-") as folder:
            path = folder / "film.mp4"
            path.write_bytes(FILM)
            await self._context.artifacts.put_file(key, path)
        video = Artifact(key=key, size_bytes=len(FILM), duration_s=2.0 * len(job.clips), width=1280, height=720)
        return Film(video=video), 0


async def _build_generator(parts: Parts, stack: AsyncExitStack) -> Sequence[Route]:
    context, provider, writer = parts.context, SimulatedProvider(), JobWriter(parts.context)
    fetcher = await stack.enter_async_context(Fetcher(()))
    ordering = Ordering(
        context,
        provider,
        writer,
        parts.signer,
        models=parts.settings.video_models,
        callback_base_url=parts.settings.base_url,
        orders_per_window=LOOKS_PER_S,
    )
    turns = Turns(context.store, parts.settings.provider_looks_per_s)
    results = SimulatedResults(provider, fetcher, context.artifacts, parts.settings.max_clip_bytes)
    home = BringingHome(context, provider, writer, parts.signer, results, _checked, turns, parts.work_dir)
    return generator_routes(context, ordering, home)


async def _build_stitcher(parts: Parts, stack: AsyncExitStack) -> Sequence[Route]:
    ahead = Ahead(parts.context, encode_ahead, Limits(), parts.work_dir)
    stack.push_async_callback(ahead.close)
    return stitcher_routes(parts.context, SimulatedStitching(parts.context, stitch, ahead, Limits(), parts.work_dir))


WORKERS: Mapping[str, tuple[Sequence[Subscription], Build]] = {
    "generator": (GENERATOR, _build_generator),
    "stitcher": (STITCHER, _build_stitcher),
    "uploader": (UPLOADER, build_uploader),
}

if __name__ == "__main__":
    run_worker(sys.argv[1], *WORKERS[sys.argv[1]])
