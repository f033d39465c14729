"""Copying a stretch of one open file into another; where the file system can, the two share it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Self

#: Stretches that begin equally far from a multiple of this in both files are shared or copied by the kernel. Btrfs
#: and XFS share blocks of a size that divides it. Elsewhere Linux copies pages, and large ones (up to this) only if
#: they lie alike: 9 MB in 3.8 ms instead of 5.0 to 10 (ext4, Linux 6.18).
ALIGNMENT_BYTES = 64 << 10
#: Small enough to stay in the processor's cache between reading and writing.
_BUFFER_BYTES = 256 << 10
#: How often a copy may be stopped.
_CHECKPOINT_BYTES = 8 << 20
#: ioctl_ficlonerange(2): the request, its argument (file, offset, length, offset in the new file), and what it and
#: its like answer where they cannot be had: another file system, files of another kind, larger blocks, an old kernel.
_FICLONERANGE, _CLONE_RANGE = 0x4020940D, struct.Struct("@qQQQ")
_NOT_HERE = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM})
#: How many files :class:`OpenFiles` keeps open.
_MOST_OPEN = 64
#: Other systems have none of this.
IS_LINUX = sys.platform == "linux"


class Copier:
    """Copies to where the open file ``output`` stands.

    Args:
        output: Descriptor.
        most_bytes: No more than this will be in the file at the end. Room for it is claimed if stretches cannot be
            shared: the file system then looks for it once, and says at once if there is none.
    """

    def __init__(self, output: int, most_bytes: int) -> None:
        self._output, self._most_bytes = output, most_bytes
        self._buffer = memoryview(b"")
        self._may_share = self._kernel_copies = IS_LINUX

    def copy(self, source: int, offset: int, count: int, checkpoint: Callable[[int], None]) -> None:
        """Copy ``count`` bytes from ``offset`` of the open file ``source``.

        What does not lie alike in both is read and written through a small buffer, which is faster then.

        Args:
            source: Descriptor.
            offset: Where in it.
            count: Bytes.
            checkpoint: Called now and then with the number of bytes so far; may raise to stop.

        Raises:
            OSError: Reading or writing failed.
            EOFError: The source is shorter than that.
        """
        done = 0
        head = min(count, -offset % ALIGNMENT_BYTES)
        whole = (count - head) // ALIGNMENT_BYTES * ALIGNMENT_BYTES
        at = position(self._output)
        if whole and not (offset - at) % ALIGNMENT_BYTES:
            if self._may_share and self._share(source, offset + head, whole, at + head):
                self._through_buffer(source, offset, head, 0, checkpoint)
                os.lseek(self._output, whole, os.SEEK_CUR)
                done = head + whole
            elif self._kernel_copies:
                done = self._by_kernel(source, offset, count, checkpoint)
        self._through_buffer(source, offset + done, count - done, done, checkpoint)

    def _share(self, source: int, offset: int, count: int, at: int) -> bool:
        """Let the output share ``count`` bytes from ``at`` on; return whether it does."""
        try:
            fcntl.ioctl(self._output, _FICLONERANGE, _CLONE_RANGE.pack(source, offset, count, at))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            self._may_share = False
            claim(self._output, self._most_bytes)
            return False
        return True

    def _by_kernel(self, source: int, offset: int, count: int, checkpoint: Callable[[int], None]) -> int:
        """Have the kernel copy; return how many bytes it did before it would not go on."""
        done = 0
        try:
            while done < count:
                checkpoint(done)
                piece = min(count - done, _CHECKPOINT_BYTES)
                moved = os.copy_file_range(source, self._output, piece, offset_src=offset + done)
                if not moved:
                    break
                done += moved
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            self._kernel_copies = False
        return done

    def _through_buffer(
        self, source: int, offset: int, count: int, before: int, checkpoint: Callable[[int], None]
    ) -> None:
        done = 0
        if len(self._buffer) < min(count, _BUFFER_BYTES):
            self._buffer = memoryview(bytearray(min(count, _BUFFER_BYTES)))
        while done < count:
            moved = os.preadv(source, [self._buffer[: count - done]], offset + done)
            if moved <= 0:
                raise EOFError("a source became shorter while it was being copied")
            write_all(self._output, self._buffer[:moved])
            done += moved
            if not done % _CHECKPOINT_BYTES:
                checkpoint(before + done)


def claim(output: int, count: int) -> None:
    """Claim room for ``count`` bytes, where the file system knows how; the file becomes that long.

    Not ``posix_fallocate``, which writes into every block where it does not.

    Raises:
        OSError: There is not that much room.
    """
    result = _c_library().fallocate(ctypes.c_int(output), ctypes.c_int(0), ctypes.c_int64(0), ctypes.c_int64(count))
    number = ctypes.get_errno()
    if result and number not in _NOT_HERE:
        raise OSError(number, os.strerror(number))


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[int]:
    """Open a file to be read at given places, and give its descriptor: a third of what a file object takes.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class OpenFiles:
    """Files that are read at given places, some of them open at a time: a film may have more clips than that."""

    def __init__(self) -> None:
        self._opened = contextlib.ExitStack()
        self._descriptors: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def descriptor(self, path: Path) -> int:
        """Return a file's descriptor, good until another file is asked for.

        Raises:
            OSError: It cannot be opened.
        """
        if path not in self._descriptors:
            if len(self._descriptors) == _MOST_OPEN:
                self._close()
            self._descriptors[path] = self._opened.enter_context(readable(path))
        return self._descriptors[path]

    def _close(self) -> None:
        self._opened.close()
        self._descriptors.clear()


def read_places(path: Path, places: Iterable[tuple[int, int]]) -> list[bytes]:
    """Return what a file holds at some places, each ``(bytes, offset)``. Blocking.

    Raises:
        OSError: It cannot be read.
    """
    with readable(path) as descriptor:
        return [os.pread(descriptor, count, offset) for count, offset in places]


def position(output: int) -> int:
    """Return where the open file stands."""
    return os.lseek(output, 0, os.SEEK_CUR)


def write_all(output: int, data: bytes | memoryview) -> None:
    """Write ``data`` whole."""
    view = memoryview(data)
    while view:
        view = view[os.write(output, view) :]
