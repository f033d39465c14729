"""Renders clips beside the event loop and keeps what it rendered: equal orders share one file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.clips.render import ClipSpec, render_clip
from sandbox.scratch import scratch_directory


class ClipStudio:
    """A cache of rendered clips in front of a few worker threads.

    Use `open_studio` to get one that is closed properly.

    Attributes:
        rendered: How many clips were really rendered (cache misses).
    """

    def __init__(self, directory: Path, executor: ThreadPoolExecutor) -> None:
        self._directory = directory
        self._executor = executor
        self._running: dict[str, asyncio.Future[Path]] = {}
        self.rendered = 0

    async def clip(self, spec: ClipSpec) -> Path:
        """Return the file of a clip, rendering it if nobody has yet.

        Raises:
            ClipError: It cannot be rendered.
        """
        running = self._running.get(spec.key)
        if running is None or running.cancelled() or (running.done() and running.exception() is not None):
            running = asyncio.get_running_loop().run_in_executor(self._executor, self._render, spec)
            self._running[spec.key] = running
        return await asyncio.shield(running)

    def _render(self, spec: ClipSpec) -> Path:
        path = self._directory / f"{spec.key}.mp4"
        if not path.exists():
            render_clip(spec, path)
            self.rendered += 1
        return path


@contextlib.contextmanager
def _directory(cache_dir: str) -> Iterator[Path]:
    if cache_dir:
        Path(cache_dir).mkdir(parents=True, exist_ok=True)
        yield Path(cache_dir)
    else:
        with scratch_directory("clips") as private:
            yield private


@contextlib.asynccontextmanager
async def open_studio(cache_dir: str = "", workers: int = 2) -> AsyncIterator[ClipStudio]:
    """Open a studio; its threads and, unless a directory was named, its files are gone afterwards.

    Args:
        cache_dir: Keep rendered clips here for the next run; "" = in a private temporary directory.
        workers: Clips rendered at once.
    """
    with _directory(cache_dir) as directory:
        executor = ThreadPoolExecutor(workers, thread_name_prefix="twin-clips")
        try:
            yield ClipStudio(directory, executor)
        finally:
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
