"""Artifacts in this process's memory, for tests and simulations."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.artifacts.protocol import ArtifactNotFound, ArtifactStat, checked_key, checked_prefix, delete_each
from shared.clock import Clock, now_ms


class MemoryArtifacts:
    """`shared.artifacts.protocol.ArtifactStore` on a dictionary; gone with the process."""

    def __init__(self, clock: Clock = now_ms) -> None:
        self._clock = clock
        self._contents: dict[str, tuple[bytes, int]] = {}

    @asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator["MemoryWriter"]:
        """See `ArtifactStore.writer`."""
        checked_key(key)
        writer = MemoryWriter()
        yield writer
        self._contents[key] = (writer.content, self._clock())

    async def put_file(self, key: str, path: Path) -> ArtifactStat:
        """See `ArtifactStore.put_file`."""
        checked_key(key)
        content = await asyncio.to_thread(path.read_bytes)
        self._contents[key] = (content, self._clock())
        return ArtifactStat(key, len(content), self._contents[key][1])

    @asynccontextmanager
    async def local_path(self, key: str) -> AsyncIterator[Path | None]:
        """See `ArtifactStore.local_path`."""
        found = self._contents.get(checked_key(key))
        if found is None:
            yield None
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(key).name
            await asyncio.to_thread(path.write_bytes, found[0])
            yield path

    async def stat(self, key: str) -> ArtifactStat | None:
        """See `ArtifactStore.stat`."""
        found = self._contents.get(checked_key(key))
        return None if found is None else ArtifactStat(key, len(found[0]), found[1])

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """See `ArtifactStore.read`."""
        if start < 0 or (end is not None and end < start):
            raise ValueError(f"bytes {start} to {end} are no range")
        found = self._contents.get(checked_key(key))
        if found is None:
            raise ArtifactNotFound(key)
        if part := found[0][start:end]:
            yield part

    async def list(self, prefix: str = "") -> AsyncIterator[ArtifactStat]:
        """See `ArtifactStore.list`."""
        checked_prefix(prefix)
        for key, (content, modified_at) in sorted(self._contents.items()):
            if key.startswith(prefix):
                yield ArtifactStat(key, len(content), modified_at)

    async def delete(self, key: str) -> None:
        """See `ArtifactStore.delete`."""
        self._contents.pop(checked_key(key), None)

    async def delete_prefix(self, prefix: str) -> int:
        """See `ArtifactStore.delete_prefix`."""
        return await delete_each(self, prefix)

    async def sweep_temporary(self, older_than_s: float) -> int:
        """Nothing outlives a killed process here."""
        return 0

    async def direct_url(self, key: str, ttl_s: int) -> str | None:
        """See `ArtifactStore.direct_url`: memory has no address."""
        return None

    async def ping(self) -> None:
        """Memory always answers."""

    async def close(self) -> None:
        """Keep everything: a simulation may go on after a restart."""


class MemoryWriter:
    """`shared.artifacts.protocol.ArtifactWriter` on a byte string."""

    def __init__(self) -> None:
        self._content = bytearray()

    @property
    def content(self) -> bytes:
        """All bytes written so far."""
        return bytes(self._content)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return len(self._content)

    async def write(self, data: bytes) -> None:
        """Append `data`."""
        self._content += data

    async def truncate(self, size: int = 0) -> None:
        """See `ArtifactWriter.truncate`."""
        if not 0 <= size <= self.size:
            raise ValueError(f"cannot keep {size} of {self.size} bytes")
        del self._content[size:]
