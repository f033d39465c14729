"""Copying the samples' bytes into a film, while some of them are still being made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from .layout import Extent, Layout


class Arriving(Protocol):
    """Samples that are made while the film is written."""

    def take(self, first: int, count: int, still_wanted: Callable[[], None]) -> Sequence[bytes]:
        """Wait for ``count`` samples from number ``first`` on, and return them. Blocking.

        Args:
            first: Number of the first.
            count: How many.
            still_wanted: Called now and then while waiting; may raise to stop.
        """


Source = Path | bytes | Arriving
#: Small enough to stay in the processor's cache between reading and writing.
_COPY_STEP_BYTES = 256 << 10
#: How often a copy may be stopped.
_CHECKPOINT_BYTES = 8 << 20


def copy_payload(output: int, sources: Sequence[Source], layout: Layout, checkpoint: Callable[[int], None]) -> None:
    """Copy every sample, in the layout's order, to where the open file ``output`` stands.

    The sizes of samples that arrive are filled in in ``layout``.

    Raises:
        OSError: Reading or writing failed.
        EOFError: A source is shorter than its tables say.
    """
    files: dict[int, int] = {}
    copied = 0
    buffer = memoryview(bytearray(_COPY_STEP_BYTES))
    try:
        for extent in layout.extents:
            source = sources[extent.source]
            count = int(layout.sizes[extent.first : extent.last].sum())
            if isinstance(source, bytes):
                write_all(output, source[extent.offset : extent.offset + count])
            elif isinstance(source, Path):
                if extent.source not in files:
                    files[extent.source] = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
                _copy_range(files[extent.source], output, extent.offset, count, copied, checkpoint, buffer)
            else:
                count = _copy_arrived(output, source, extent, layout, lambda: checkpoint(copied))  # noqa: B023
            copied += count
            checkpoint(copied)
    finally:
        for descriptor in files.values():
            os.close(descriptor)


def write_all(output: int, data: bytes | memoryview) -> None:
    """Write ``data`` whole."""
    view = memoryview(data)
    while view:
        view = view[os.write(output, view) :]


def _copy_arrived(
    output: int, source: Arriving, extent: Extent, layout: Layout, still_wanted: Callable[[], None]
) -> int:
    samples = source.take(extent.offset, extent.last - extent.first, still_wanted)
    layout.sizes[extent.first : extent.last] = [len(sample) for sample in samples]
    joined = b"".join(samples)
    write_all(output, joined)
    return len(joined)


def _copy_range(
    source: int,
    output: int,
    offset: int,
    count: int,
    copied: int,
    checkpoint: Callable[[int], None],
    buffer: memoryview,
) -> None:
    """Copy through a small buffer.

    ``copy_file_range`` and ``sendfile`` are slower here (by a third, measured on ext4): neither offset is aligned to
    a page, so the kernel handles every page twice, and no file system can share unaligned blocks.
    """
    done = 0
    while done < count:
        moved = os.preadv(source, [buffer[: count - done]], offset + done)
        if moved <= 0:
            raise EOFError("a source became shorter while it was being copied")
        write_all(output, buffer[:moved])
        done += moved
        if not done % _CHECKPOINT_BYTES:
            checkpoint(copied + done)
