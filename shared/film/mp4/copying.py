"""Copying a stretch of one open file into another; where the file system can, the two share it."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from collections.abc import Callable

#: What Btrfs and XFS share between files: blocks of this size, or of one that it divides.
BLOCK_BYTES = 4096
#: Small enough to stay in the processor's cache between reading and writing.
_BUFFER_BYTES = 256 << 10
#: How often a copy may be stopped.
_CHECKPOINT_BYTES = 8 << 20
#: ioctl_ficlonerange(2): the request, its argument (file, offset, length, offset in the new file), and what it
#: answers where nothing can be shared: another file system, files of another kind, larger blocks.
_FICLONERANGE, _CLONE_RANGE = 0x4020940D, struct.Struct("@qQQQ")
#: The request means something else, if anything, to other systems.
SYSTEM_SHARES = sys.platform == "linux"
_NOT_SHARED = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM})


class Copier:
    """Copies to where the open file ``output`` stands.

    Attributes:
        may_share: Whether sharing may work; if not, blocks need not lie alike.
    """

    def __init__(self, output: int) -> None:
        self._output = output
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.may_share = SYSTEM_SHARES

    def copy(self, source: int, offset: int, count: int, checkpoint: Callable[[int], None]) -> None:
        """Copy ``count`` bytes from ``offset`` of the open file ``source``.

        Where ``offset`` and the output's position are equally far from a block's beginning, whole blocks are shared
        if the file system can. Otherwise they are read and written through a small buffer: ``copy_file_range`` is no
        faster where it copies, and slower by a sixth where blocks do not lie alike (measured on ext4).

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
        head = min(count, -offset % BLOCK_BYTES)
        whole = (count - head) // BLOCK_BYTES * BLOCK_BYTES
        at = position(self._output)
        if self.may_share and whole and not (offset - at) % BLOCK_BYTES:
            self.may_share = self._shared(source, offset + head, whole, at + head)
            if self.may_share:
                self._through_buffer(source, offset, head, 0, checkpoint)
                os.lseek(self._output, whole, os.SEEK_CUR)
                done = head + whole
        self._through_buffer(source, offset + done, count - done, done, checkpoint)

    def _shared(self, source: int, offset: int, count: int, at: int) -> bool:
        """Let the output share ``count`` bytes from ``at`` on; return whether it does."""
        try:
            fcntl.ioctl(self._output, _FICLONERANGE, _CLONE_RANGE.pack(source, offset, count, at))
        except OSError as error:
            if error.errno not in _NOT_SHARED:
                raise
            return False
        return True

    def _through_buffer(
        self, source: int, offset: int, count: int, before: int, checkpoint: Callable[[int], None]
    ) -> None:
        done = 0
        while done < count:
            moved = os.preadv(source, [self._buffer[: count - done]], offset + done)
            if moved <= 0:
                raise EOFError("a source became shorter while it was being copied")
            write_all(self._output, self._buffer[:moved])
            done += moved
            if not done % _CHECKPOINT_BYTES:
                checkpoint(before + done)


def position(output: int) -> int:
    """Return where the open file stands."""
    return os.lseek(output, 0, os.SEEK_CUR)


def write_all(output: int, data: bytes | memoryview) -> None:
    """Write ``data`` whole."""
    view = memoryview(data)
    while view:
        view = view[os.write(output, view) :]
