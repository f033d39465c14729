"""Where every sample goes inside ``mdat``, decided before the sizes of all of them are known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .boxes import IntArray

#: From this many bytes on, a stretch of a file is put where its blocks begin as they do in its source. The gap before
#: it is half of :data:`.copying.ALIGNMENT_BYTES` on average: of such a stretch, at most a sixtieth.
_ALIGNED_FROM_BYTES = 2 << 20


class Placed(Protocol):
    """What the layout depends on of a track (see :class:`.writer.OutputTrack`)."""

    @property
    def source(self) -> IntArray:
        """Index of each sample's source."""

    @property
    def offsets(self) -> IntArray:
        """Byte offset in it, or number within an arriving one."""

    @property
    def sizes(self) -> IntArray:
        """Bytes; 0 while a sample has not arrived."""

    @property
    def group(self) -> IntArray:
        """Interleaving key."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Samples that lie one after the other in their source and in the film.

    Attributes:
        source: Index of the source.
        offset: Byte offset in it, or number of the first sample within an arriving one.
        first: First sample, in the order of the film's bytes.
        last: End (exclusive).
        aligned: Whether it is worth a gap before it, so that its blocks lie as they do in its source.
    """

    source: int
    offset: int
    first: int
    last: int
    aligned: bool


@dataclass(slots=True)
class Layout:
    """The order of all samples' bytes.

    Attributes:
        track_of: Which track each sample belongs to, in the order of the film's bytes.
        sizes: Their bytes; those of arriving samples are filled in when they are there.
        gaps: Unused bytes before each of them; filled in while they are written, where a chunk begins.
        chunk_first: The samples with which chunks begin.
        extents: What is copied in one go.
    """

    track_of: IntArray
    sizes: IntArray
    gaps: IntArray
    chunk_first: IntArray
    extents: list[Extent]

    def starts(self) -> IntArray:
        """Return where each sample begins within the payload."""
        starts: IntArray = np.cumsum(self.sizes + self.gaps) - self.sizes
        return starts

    @property
    def payload_bytes(self) -> int:
        """From the first sample, or the gap before it, to the end of the last."""
        return int(self.sizes.sum() + self.gaps.sum())

    def chunks_of(self, track: int) -> npt.NDArray[np.bool_]:
        """Return which chunks belong to a track."""
        mine: npt.NDArray[np.bool_] = self.track_of[self.chunk_first] == track
        return mine

    def chunk_rows(self, track: int) -> IntArray:
        """Return a track's rows of ``stsc``."""
        samples = np.diff(self.chunk_first, append=len(self.sizes))[self.chunks_of(track)]
        changes = _run_starts(np.diff(samples) != 0, len(samples))
        return np.stack([changes + 1, samples[changes], np.ones_like(changes)], axis=1)

    def sizes_of(self, track: int) -> IntArray:
        """Return the sizes of a track's samples, in the track's order."""
        sizes: IntArray = self.sizes[self.track_of == track]
        return sizes


def lay_out(tracks: Sequence[Placed], arriving: Collection[int] = ()) -> Layout:
    """Decide in which order the samples of all tracks are written. Pure.

    Args:
        tracks: The tracks.
        arriving: Sources whose samples' sizes are not known yet.
    """
    track_of = np.concatenate([np.full(len(t.sizes), i, np.int64) for i, t in enumerate(tracks)])
    number = np.concatenate([np.arange(len(t.sizes), dtype=np.int64) for t in tracks])
    group = np.concatenate([t.group for t in tracks])
    source = np.concatenate([t.source for t in tracks])
    offset = np.concatenate([t.offsets for t in tracks])
    size = np.concatenate([t.sizes for t in tracks])
    order = np.lexsort((offset, source, group))
    if any((np.diff(number[order][track_of[order] == index]) != 1).any() for index in range(len(tracks))):
        # The sources' own order is not the track's (a muxer wrote samples out of order): keep tracks whole.
        order = np.lexsort((number, track_of, group))
    track_of, source, offset, size = (a[order] for a in (track_of, source, offset, size))
    step = size.copy()
    for index in arriving:
        step[source == index] = 1
    joined = (source[1:] == source[:-1]) & (offset[1:] == offset[:-1] + step[:-1])
    first = _run_starts(~joined, len(size))
    aligned = np.add.reduceat(size, first) >= _ALIGNED_FROM_BYTES
    columns = (source[first], offset[first], first, np.append(first[1:], len(size)), aligned)
    extents = [Extent(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    begins_chunk = np.ones(len(size), np.bool_)
    begins_chunk[1:] = (track_of[1:] != track_of[:-1]) | (source[1:] != source[:-1])
    begins_chunk[first[aligned]] = True  # a gap may be only between chunks
    chunk_first = np.flatnonzero(begins_chunk)
    return Layout(track_of, size, np.zeros_like(size), chunk_first, extents)


def _run_starts(breaks: npt.NDArray[np.bool_], total: int) -> IntArray:
    first = np.zeros(1 if total else 0, np.int64)
    return np.concatenate([first, np.flatnonzero(breaks).astype(np.int64) + 1])


def run_lengths(values: IntArray) -> IntArray:
    """Return rows of ``(count, value)``."""
    first = _run_starts(np.diff(values) != 0, len(values))
    return np.stack([np.diff(first, append=len(values)), values[first]], axis=1)
