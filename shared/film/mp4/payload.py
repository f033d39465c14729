"""Copying the samples' bytes into a film, while some of them are still being made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from .copying import ALIGNMENT_BYTES, Copier, OpenFiles, position, write_all
from .layout import Extent, Layout

#: Samples that are late get room of at most this size; for more, the film waits.
_MOST_ROOM_BYTES = 32 << 10


class Arriving(Protocol):
    """Samples that are made while the film is written."""

    @property
    def most_bytes(self) -> int:
        """No sample is larger."""

    def has(self, first: int, count: int) -> bool:
        """Return whether ``count`` samples from number ``first`` on are there."""

    def take(self, first: int, count: int, still_wanted: Callable[[], None]) -> Sequence[bytes]:
        """Wait for ``count`` samples from number ``first`` on, and return them. Blocking.

        Args:
            first: Number of the first.
            count: How many.
            still_wanted: Called now and then while waiting; may raise to stop.
        """


Source = Path | bytes | Arriving


def copy_payload(
    output: int, sources: Sequence[Source], layout: Layout, most_bytes: int, checkpoint: Callable[[int], None]
) -> None:
    """Copy every sample, in the layout's order, to where the open file ``output`` stands.

    The sizes of samples that arrive, and the gaps before aligned stretches and behind the room for late samples, are
    filled in in ``layout``.

    Args:
        output: Descriptor.
        sources: What the layout's extents refer to.
        layout: Where everything goes.
        most_bytes: No more than this will be in the file at the end.
        checkpoint: Called now and then with the number of bytes so far; may raise to stop.

    Raises:
        OSError: Reading or writing failed.
        EOFError: A source is shorter than its tables say.
    """
    with OpenFiles() as files:
        payload = _Payload(output, sources, layout, Copier(output, most_bytes), checkpoint, files)
        for extent in layout.extents:
            payload.copy(extent)
        payload.put_what_was_late()


class _Payload:
    """One film's payload on its way."""

    def __init__(
        self, output: int, sources: Sequence[Source], layout: Layout, copier: Copier,
        checkpoint: Callable[[int], None], files: OpenFiles,
    ) -> None:  # fmt: skip
        self._output, self._sources, self._layout, self._checkpoint = output, sources, layout, checkpoint
        self._files = files
        self._copier = copier
        self._chunk_starts = frozenset(layout.chunk_first.tolist())
        self._late: list[tuple[Extent, Arriving, int, int]] = []
        self._copied = 0

    def copy(self, extent: Extent) -> None:
        """Copy what lies together, or leave room for it."""
        source, layout = self._sources[extent.source], self._layout
        count = int(layout.sizes[extent.first : extent.last].sum())
        if isinstance(source, bytes):
            write_all(self._output, source[extent.offset : extent.offset + count])
        elif isinstance(source, Path):
            if extent.aligned:
                layout.gaps[extent.first] = self._align(extent.offset)
            self._copier.copy(self._files.descriptor(source), extent.offset, count, self._told)
        elif room := self._room(source, extent):
            self._late.append((extent, source, position(self._output), room))
            os.lseek(self._output, room, os.SEEK_CUR)
        else:
            count = self._write_arrived(source, extent)
        self._copied += count
        self._told(0)

    def put_what_was_late(self) -> None:
        """Write into the rooms that were left, waiting for what belongs there."""
        for extent, source, at, room in self._late:
            os.lseek(self._output, at, os.SEEK_SET)
            count = self._write_arrived(source, extent)
            if count > room:
                raise ValueError(f"{count} bytes arrived where at most {room} were to be expected")
            self._layout.gaps[extent.last] += room - count
            self._copied += count
            self._told(0)

    def _room(self, source: Arriving, extent: Extent) -> int:
        """Return how many bytes to leave for samples that are not there yet; 0 to write them now."""
        count = extent.last - extent.first
        # What is left of a room becomes a gap behind it, which may be only where a chunk begins.
        if extent.last not in self._chunk_starts or source.has(extent.offset, count):
            return 0
        room = count * source.most_bytes
        return room if room <= _MOST_ROOM_BYTES else 0

    def _write_arrived(self, source: Arriving, extent: Extent) -> int:
        samples = source.take(extent.offset, extent.last - extent.first, lambda: self._told(0))
        self._layout.sizes[extent.first : extent.last] = [len(sample) for sample in samples]
        joined = b"".join(samples)
        write_all(self._output, joined)
        return len(joined)

    def _align(self, offset: int) -> int:
        """Move on to where a block begins as it does at ``offset`` of the source; return how far that is."""
        gap = (offset - position(self._output)) % ALIGNMENT_BYTES
        os.lseek(self._output, gap, os.SEEK_CUR)
        return gap

    def _told(self, more: int) -> None:
        self._checkpoint(self._copied + more)
