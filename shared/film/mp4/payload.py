"""Copying the samples' bytes into a film, while some of them are still being made."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from .copying import BLOCK_BYTES, Copier, position, write_all
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


def copy_payload(output: int, sources: Sequence[Source], layout: Layout, checkpoint: Callable[[int], None]) -> None:
    """Copy every sample, in the layout's order, to where the open file ``output`` stands.

    The sizes of samples that arrive, and the gaps before aligned stretches, are filled in in ``layout``.

    Args:
        output: Descriptor.
        sources: What the layout's extents refer to.
        layout: Where everything goes.
        checkpoint: Called now and then with the number of bytes so far; may raise to stop.

    Raises:
        OSError: Reading or writing failed.
        EOFError: A source is shorter than its tables say.
    """
    with contextlib.ExitStack() as opened:
        payload = _Payload(output, sources, layout, checkpoint, opened)
        for extent in layout.extents:
            payload.copy(extent)


class _Payload:
    """One film's payload on its way."""

    def __init__(
        self, output: int, sources: Sequence[Source], layout: Layout, checkpoint: Callable[[int], None],
        opened: contextlib.ExitStack,
    ) -> None:  # fmt: skip
        self._output, self._sources, self._layout, self._checkpoint = output, sources, layout, checkpoint
        self._opened = opened
        self._copier = Copier(output)
        self._files: dict[int, int] = {}
        self._copied = 0

    def copy(self, extent: Extent) -> None:
        """Copy what lies together."""
        source, layout = self._sources[extent.source], self._layout
        count = int(layout.sizes[extent.first : extent.last].sum())
        if isinstance(source, bytes):
            write_all(self._output, source[extent.offset : extent.offset + count])
        elif isinstance(source, Path):
            if extent.aligned and self._copier.may_share:
                layout.gaps[extent.first] = self._align(extent.offset)
            self._copier.copy(self._file(extent.source), extent.offset, count, self._told)
        else:
            count = self._write_arrived(source, extent)
        self._copied += count
        self._told(0)

    def _write_arrived(self, source: Arriving, extent: Extent) -> int:
        samples = source.take(extent.offset, extent.last - extent.first, lambda: self._told(0))
        self._layout.sizes[extent.first : extent.last] = [len(sample) for sample in samples]
        joined = b"".join(samples)
        write_all(self._output, joined)
        return len(joined)

    def _align(self, offset: int) -> int:
        """Move on to where a block begins as it does at ``offset`` of the source; return how far that is."""
        gap = (offset - position(self._output)) % BLOCK_BYTES
        os.lseek(self._output, gap, os.SEEK_CUR)
        return gap

    def _file(self, index: int) -> int:
        if index not in self._files:
            source = self._sources[index]
            assert isinstance(source, Path)
            self._files[index] = self._opened.enter_context(source.open("rb", buffering=0)).fileno()
        return self._files[index]

    def _told(self, more: int) -> None:
        self._checkpoint(self._copied + more)
