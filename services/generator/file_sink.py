"""A local file that a download is streamed into."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.cancellation import outlast


class FileSink:
    """Sink of `shared.fetch` on a file; use as an async context manager. Disk access runs in threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0

    async def __aenter__(self) -> Self:
        """Create (or empty) the file."""
        opening = asyncio.ensure_future(asyncio.to_thread(self.path.open, "wb"))
        try:
            self._file = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await outlast(opening)
            if opening.exception() is None:
                opening.result().close()  # nobody else would
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; every write was flushed, so that there is nothing to wait for."""
        self._file.close()

    async def write(self, data: bytes) -> None:
        """Append bytes. They can be read from the file at once: it is checked while it is still open."""

        def append() -> None:
            self._file.write(data)
            self._file.flush()

        await asyncio.to_thread(append)
        self.size += len(data)

    async def rewind(self) -> None:
        """Forget what was written: the download starts over."""

        def empty() -> None:
            self._file.seek(0)
            self._file.truncate()

        await asyncio.to_thread(empty)
        self.size = 0
