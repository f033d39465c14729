"""Artifacts as files below a folder: a laptop's disk, or a volume that several machines share.

A file is written under a hidden temporary name beside its place, synced, and renamed: readers see all of it
or nothing, and what was reported as stored survives a power cut. Facts: rename(2) is atomic within a file
system and does nothing when both names are links to one file, so the temporary name is removed afterwards.
"""

import os
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from stat import S_ISREG

from shared.artifacts._blocking import Threads
from shared.artifacts._disk import (
    copy_file,
    create_file,
    make_folder_and,
    prune_empty_folders,
    sync_file,
    sync_folder,
    walk_files,
)
from shared.artifacts.protocol import ArtifactNotFound, ArtifactStat, checked_key, checked_prefix, delete_each

READ_BYTES = 256 * 1024
BUFFER_BYTES = 1024 * 1024
"""Data gathered before a thread writes it: a thread per network packet would cost more than the writing."""

PING_TIMEOUT_S = 5.0
TEMPORARY = ".tmp-"


class FileArtifacts:
    """`shared.artifacts.protocol.ArtifactStore` on a folder.

    Args:
        root: the folder; created when first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._threads = Threads(str(self._root))

    @asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator["FileWriter"]:
        """See `ArtifactStore.writer`.

        A cancellation that arrives while the finished file is being renamed may leave it in place, whole.
        """
        target = self._path(key)
        temporary = _temporary_beside(target)
        writer = FileWriter(self._threads, temporary)
        try:
            await writer.open()
            yield writer
            await writer.finish()
            await self._threads.run(_publish, temporary, target)
        except BaseException:
            writer.abandon()
            await self._threads.run(_discard, temporary, self._root)
            raise

    async def put_file(self, key: str, path: Path) -> ArtifactStat:
        """See `ArtifactStore.put_file`: a hard link, or a copy made by the kernel where linking is impossible."""
        target = self._path(key)
        if not await self._threads.run(path.is_file):
            raise FileNotFoundError(f"no file {path} to store as {key}")
        temporary = _temporary_beside(target)
        try:
            await self._threads.run(_link_or_copy, path, temporary)
            await self._threads.run(_publish, temporary, target)
        except BaseException:
            await self._threads.run(_discard, temporary, self._root)
            raise
        stat = await self.stat(key)
        if stat is None:
            raise ArtifactNotFound(key)  # deleted in the same moment
        return stat

    @asynccontextmanager
    async def local_path(self, key: str) -> AsyncIterator[Path | None]:
        """See `ArtifactStore.local_path`: the artifact's own file, so do not write to it."""
        path = self._path(key)
        yield path if await self._threads.run(path.is_file) else None

    async def stat(self, key: str) -> ArtifactStat | None:
        """See `ArtifactStore.stat`."""
        return await self._threads.run(_stat, self._path(key), key)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """See `ArtifactStore.read`."""
        if start < 0 or (end is not None and end < start):
            raise ValueError(f"bytes {start} to {end} are no range")
        with ExitStack() as opened:
            file = await self._threads.run(_open_at, self._path(key), start, opened)
            if file is None:
                raise ArtifactNotFound(key)
            left = None if end is None else end - start
            while left is None or left > 0:
                data = await self._threads.run(file.read, READ_BYTES if left is None else min(READ_BYTES, left))
                if not data:
                    return
                if left is not None:
                    left -= len(data)
                yield data

    async def list(self, prefix: str = "") -> AsyncIterator[ArtifactStat]:
        """See `ArtifactStore.list`."""
        for stat in await self._threads.run(self._found, checked_prefix(prefix)):
            yield stat

    async def delete(self, key: str) -> None:
        """See `ArtifactStore.delete`; folders left empty go as well."""
        await self._threads.run(_discard, self._path(key), self._root)

    async def delete_prefix(self, prefix: str) -> int:
        """See `ArtifactStore.delete_prefix`."""
        return await delete_each(self, prefix)

    async def sweep_temporary(self, older_than_s: float) -> int:
        """See `ArtifactStore.sweep_temporary`."""
        return await self._threads.run(_sweep, self._root, time.time() - older_than_s)

    async def direct_url(self, key: str, ttl_s: int) -> str | None:
        """See `ArtifactStore.direct_url`: a folder has no address."""
        return None

    async def ping(self) -> None:
        """See `ArtifactStore.ping`; a mount that hangs is told apart after `PING_TIMEOUT_S`."""
        await self._threads.run_within(PING_TIMEOUT_S, _probe, self._root / f"{TEMPORARY}{uuid.uuid4().hex}")

    async def close(self) -> None:
        """End the store's threads."""
        self._threads.close()

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _found(self, prefix: str) -> tuple[ArtifactStat, ...]:
        folder = prefix.rpartition("/")[0]
        keys = sorted(_keys(self._root, self._root / folder))
        stats = (_stat(self._root / key, key) for key in keys if key.startswith(prefix))
        return tuple(stat for stat in stats if stat is not None)


class FileWriter:
    """`shared.artifacts.protocol.ArtifactWriter` on a temporary file."""

    def __init__(self, threads: Threads, path: Path) -> None:
        self._threads = threads
        self._path = path
        self._opened: FileIO | None = None
        self._buffer = bytearray()
        self._flushed = 0

    async def open(self) -> None:
        """Create the file."""
        await self._threads.run(self._open)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._flushed + len(self._buffer)

    async def write(self, data: bytes) -> None:
        """Append `data`."""
        self._buffer += data
        if len(self._buffer) >= BUFFER_BYTES:
            await self._flush()

    async def truncate(self, size: int = 0) -> None:
        """See `ArtifactWriter.truncate`."""
        if not 0 <= size <= self.size:
            raise ValueError(f"cannot keep {size} of {self.size} bytes")
        await self._flush()
        await self._threads.run(_cut, self._file, size)
        self._flushed = size

    async def finish(self) -> None:
        """Bring everything onto the disk and close the file."""
        await self._flush()
        await self._threads.run(_sync_and_close, self._file)

    def abandon(self) -> None:
        """Close the file; what was not flushed is dropped."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _file(self) -> FileIO:
        assert self._opened is not None, "the writer was not opened"
        return self._opened

    def _open(self) -> None:
        # Kept here, in the thread: a caller cancelled meanwhile gets no result, and could not close the file.
        self._opened = make_folder_and(create_file, self._path)

    async def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        self._flushed += len(data)
        if data:
            await self._threads.run(_write_all, self._file, data)


def _temporary_beside(target: Path) -> Path:
    return target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")


def _write_all(file: FileIO, data: bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _cut(file: FileIO, size: int) -> None:
    file.truncate(size)
    file.seek(size)


def _sync_and_close(file: FileIO) -> None:
    with file:
        os.fsync(file.fileno())


def _link_or_copy(path: Path, temporary: Path) -> None:
    source = path.resolve()  # link(2) would link a symbolic link itself
    sync_file(source)
    try:
        make_folder_and(partial(os.link, source), temporary)
    except OSError:
        # Another file system, or one without links, or not our file: the copy tells if it is something else.
        make_folder_and(partial(copy_file, source), temporary)
    # The time of completion; and a fresh one, so that no sweep takes the link for an old leftover.
    os.utime(temporary)


def _publish(temporary: Path, target: Path) -> None:
    temporary.replace(target)
    temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def _discard(path: Path, root: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return  # a part of the key is an artifact itself, so there is none below it
    prune_empty_folders(path.parent, root)


def _stat(path: Path, key: str) -> ArtifactStat | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not S_ISREG(found.st_mode):
        return None
    return ArtifactStat(key, found.st_size, found.st_mtime_ns // 1_000_000)


def _open_at(path: Path, start: int, opened: ExitStack) -> FileIO | None:
    # Kept here, in the thread: a reader cancelled meanwhile gets no result, and could not close the file.
    try:
        file = opened.enter_context(FileIO(path))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    file.seek(start)
    return file


def _keys(root: Path, folder: Path) -> Iterator[str]:
    for path in walk_files(folder):
        if not path.name.startswith("."):
            yield path.relative_to(root).as_posix()


def _sweep(root: Path, before_s: float) -> int:
    swept = 0
    for path in list(walk_files(root)):
        if not path.name.startswith(TEMPORARY):
            continue
        try:
            if path.stat().st_mtime >= before_s:
                continue
        except FileNotFoundError:
            continue  # finished or discarded in the meantime
        _discard(path, root)
        swept += 1
    return swept


def _probe(path: Path) -> None:
    with make_folder_and(create_file, path) as file:
        try:
            file.write(b"probe")
            os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)
