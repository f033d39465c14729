"""Sending a file to S3 in parts, so that whatever stops it midway leaves nothing behind."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from shared.artifacts._blocking import Threads
from shared.errors import StitcherError

PART_BYTES = 8 * 1024 * 1024
"""S3 takes parts of 5 MiB and more, and 10,000 of them: 80 GB."""
PARALLEL_PARTS = 3
ABORT_S = 10.0


class _Stopped(StitcherError):
    """The upload is no longer wanted."""


class FileParts:
    """A file's content part by part, until told to stop.

    An error raised by what it is given to read makes obstore abort the upload; dropping its future does not
    (measured with obstore 0.12: the upload stays listed). So a cancellation is brought to it as an error.
    """

    def __init__(self, threads: Threads, path: Path) -> None:
        self._threads = threads
        self._path = path
        self._file: FileIO | None = None
        self._stopped = False

    def stop(self) -> None:
        """Make the next part an error."""
        self._stopped = True

    def __aiter__(self) -> "FileParts":
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next part.

        Raises:
            StopAsyncIteration: the file is at its end.
            ArtifactsUnavailable: it cannot be read.
        """
        if self._stopped:
            raise _Stopped
        if self._file is None:
            self._file = await self._threads.run(FileIO, self._path)
        data = await self._threads.run(self._file.read, PART_BYTES)
        if self._stopped:
            raise _Stopped
        if not data:
            raise StopAsyncIteration
        return data

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            await self._threads.run(self._file.close)


async def to_its_end(sending: Awaitable[object], parts: FileParts) -> None:
    """Wait for an upload; when cancelled, stop it and wait until it is aborted.

    A cancellation that comes while the last request is under way may leave the artifact in place, whole.
    """
    task = asyncio.ensure_future(sending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        parts.stop()
        # The upload's own error, if there is one, no longer matters to anybody.
        with suppress(Exception):
            async with asyncio.timeout(ABORT_S):
                await task
        raise
    finally:
        await parts.close()
