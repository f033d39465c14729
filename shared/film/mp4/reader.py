"""MP4 file → sample tables. Reads the header only; bounds-checked, since the file is not trusted."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from .boxes import (
    Box,
    Index,
    IntArray,
    Mp4Error,
    Mp4Fragmented,
    Mp4TooLarge,
    Mp4Truncated,
    top_level_boxes,
)

TrackKind = Literal["video", "audio", "other"]
_HANDLERS: dict[bytes, TrackKind] = {b"vide": "video", b"soun": "audio"}
#: No edit lasts for so many ticks: the sums of such numbers leave the range of 64 bits.
_LONGEST_EDIT = 1 << 60
#: The nine numbers of a track's matrix, and the whole part of its width and height (16.16).
_MATRIX = struct.Struct(">9iH2xH2x")


@dataclass(frozen=True, slots=True)
class Edit:
    """One entry of an edit list.

    Attributes:
        duration: In the movie's timescale.
        media_time: In the track's timescale; -1 is an empty edit (a pause).
        rate: 16.16 fixed point; 65536 is normal speed.
    """

    duration: int
    media_time: int
    rate: int = 0x10000


@dataclass(frozen=True, slots=True)
class Presentation:
    """What an edit list of at most one real entry says, in the track's ticks.

    Attributes:
        offset: Presentation time is media time minus this.
        end: Media time at which the presentation stops; ``None`` if it runs to the end.
        begin: Media time at which it begins.
    """

    offset: int
    end: int | None
    begin: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """What is told of a track whose samples are not told apart.

    Attributes:
        samples: How many there are.
        size_bytes: Of all of them.
        ticks: How long all of them last.
    """

    samples: int
    size_bytes: int
    ticks: int


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Sample tables of one track, one array element per sample in decoding order.

    Sound that is not AAC and has samples of one size (PCM: 48,000 of them a second) is never copied, and only its
    totals are read: its tables are empty.

    Attributes:
        kind: What the handler says it is.
        timescale: Ticks per second of ``durations`` and ``composition``.
        movie_timescale: Ticks per second of edit durations.
        entries: Sample descriptions, whole boxes.
        offsets: Byte offset in the file.
        sizes: Bytes.
        durations: Decoding duration in ticks.
        composition: Presentation minus decoding time in ticks.
        sync: Whether the sample is marked as a random access point.
        edits: The edit list; empty if there is none.
        matrix: The nine numbers of the track's transformation.
        width: From the track header, whole pixels.
        height: Likewise.
        totals: Instead of tables; ``None`` where there are tables.
    """

    kind: TrackKind
    timescale: int
    movie_timescale: int
    entries: tuple[bytes, ...]
    offsets: IntArray
    sizes: IntArray
    durations: IntArray
    composition: IntArray
    sync: npt.NDArray[np.bool_]
    edits: tuple[Edit, ...]
    matrix: tuple[int, ...]
    width: int
    height: int
    totals: Totals | None = None

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.sizes) if self.totals is None else self.totals.samples

    @property
    def size_bytes(self) -> int:
        """Size of all samples."""
        return int(self.sizes.sum()) if self.totals is None else self.totals.size_bytes

    @property
    def ticks(self) -> int:
        """How long all samples last."""
        return int(self.durations.sum()) if self.totals is None else self.totals.ticks

    @property
    def decode_times(self) -> IntArray:
        """Decoding time of each sample, in ticks."""
        times = np.zeros(len(self.durations), np.int64)
        np.cumsum(self.durations[:-1], out=times[1:])
        return times

    @property
    def presentation_times(self) -> IntArray:
        """Presentation time of each sample before edits, in ticks."""
        return self.decode_times + self.composition

    @property
    def presentation(self) -> Presentation | None:
        """How the edit list maps media time to presentation time; ``None`` if it does more than that."""
        edits, pause = list(self.edits), 0
        while edits and edits[0].media_time == -1:
            pause += edits.pop(0).duration
        if not edits:
            return Presentation(-self.media_ticks(pause), None)
        if len(edits) > 1 or edits[0].rate != 0x10000 or edits[0].media_time < 0:
            return None
        first = edits[0].media_time
        length = self.media_ticks(edits[0].duration)
        return Presentation(first - self.media_ticks(pause), first + length if length else None, first)

    def media_ticks(self, movie_ticks: int) -> int:
        """Return a time of the movie's clock, in which edits last, in the track's ticks."""
        return round(movie_ticks * self.timescale / self.movie_timescale)

    @property
    def ranks(self) -> IntArray:
        """Display position of each sample."""
        times = self.presentation_times
        ranks = np.empty(len(times), np.int64)
        ranks[np.argsort(times, kind="stable")] = np.arange(len(times))
        return ranks


@dataclass(frozen=True, slots=True, eq=False)
class Movie:
    """An MP4 file's tracks."""

    path: Path
    file_bytes: int
    brand: bytes
    tracks: tuple[Track, ...]

    def first(self, kind: TrackKind) -> Track | None:
        """Return the first track of ``kind``."""
        return next((track for track in self.tracks if track.kind == kind), None)


def read_movie(path: Path, *, max_moov_bytes: int = 64 << 20, max_samples: int = 2_000_000) -> Movie:
    """Read the sample tables of an MP4 file.

    Args:
        path: The file.
        max_moov_bytes: Largest header accepted.
        max_samples: Most samples of one track, or chunks where samples are not told apart.

    Raises:
        Mp4Truncated: The file ends too early.
        Mp4Fragmented: The samples are in fragments.
        Mp4Error: Anything else that is not right (see its subclasses).
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        file_bytes = file.seek(0, 2)
        moov, brand = _find_moov(file, file_bytes, max_moov_bytes)
    movie_timescale = _timescale(moov.by_kind().require(b"mvhd"))
    traks = (box.by_kind() for box in moov.children() if box.kind == b"trak")
    tracks = tuple(_read_track(trak, movie_timescale, file_bytes, max_samples) for trak in traks)
    return Movie(path, file_bytes, brand, tracks)


def _find_moov(file: BinaryIO, file_bytes: int, max_bytes: int) -> tuple[Box, bytes]:
    brand = b""
    moov: Box | None = None
    fragmented = False
    cut: Mp4Truncated | None = None
    try:
        for kind, start, end, box_end in top_level_boxes(file, file_bytes):
            if kind == b"ftyp":
                file.seek(start)
                brand = file.read(4)
            elif kind == b"moov" and moov is None and box_end <= file_bytes:
                if end - start > max_bytes:
                    raise Mp4TooLarge(f"the header has {end - start} bytes")
                file.seek(start)
                data = file.read(end - start)
                moov = Box(b"moov", data, 0, len(data))
            fragmented = fragmented or kind == b"moof"
    except Mp4Truncated as error:
        cut = error
    if moov is None:
        raise cut or Mp4Error("there is no moov box")
    if cut is not None:
        raise cut
    if fragmented or moov.child(b"mvex") is not None:
        raise Mp4Fragmented("the file is fragmented")
    return moov, brand


def _timescale(header: Box) -> int:
    timescale = header.u32(20 if header.u8(0) else 12)
    if not timescale:
        raise Mp4Error(f"box {header.name} has no timescale")
    return timescale


def _read_track(trak: Index, movie_timescale: int, file_bytes: int, max_samples: int) -> Track:
    media = trak.require(b"mdia").by_kind()
    kind = _HANDLERS.get(media.require(b"hdlr").read(8, 4), "other")
    header = trak.require(b"tkhd")
    *turned, width, height = _MATRIX.unpack(header.read(52 if header.u8(0) else 40, _MATRIX.size))
    matrix = tuple(turned)
    tables = media.require(b"minf").by_kind().require(b"stbl").by_kind()
    if kind == "other":
        none = np.zeros(0, np.int64)
        return Track(kind, _timescale(media.require(b"mdhd")), movie_timescale, (), none, none, none, none,
                     np.zeros(0, np.bool_), (), matrix, width, height)  # fmt: skip
    entries = tuple(_whole(box) for box in tables.require(b"stsd").children(8))
    if not entries:
        raise Mp4Error("a track has no sample description")
    if kind == "audio" and entries[0][4:8] != b"mp4a" and tables.require(b"stsz").u32(4):
        none = np.zeros(0, np.int64)
        return Track(kind, _timescale(media.require(b"mdhd")), movie_timescale, entries, none, none, none, none,
                     np.zeros(0, np.bool_), _read_edits(trak), matrix, width, height,
                     _read_totals(tables, file_bytes, max_samples))  # fmt: skip
    reordered = tables.get(b"ctts")
    sizes = _read_sizes(tables.require(b"stsz"), max_samples)
    offsets = _read_offsets(tables, sizes)
    if len(sizes) and offsets.min() < 0:
        raise Mp4Error("a sample lies before the file's first byte")
    # First without the sizes: a sum may leave the range of numbers.
    if len(sizes) and (int(offsets.max()) > file_bytes or int((offsets + sizes).max()) > file_bytes):
        raise Mp4Truncated("some samples lie beyond the end of the file")
    if int(sizes.sum()) > file_bytes:
        raise Mp4Error("its samples overlap")
    return Track(
        kind=kind,
        timescale=_timescale(media.require(b"mdhd")),
        movie_timescale=movie_timescale,
        entries=entries,
        offsets=offsets,
        sizes=sizes,
        durations=_read_runs(tables.require(b"stts"), len(sizes), ">u4"),
        composition=np.zeros_like(sizes) if reordered is None else _read_runs(reordered, len(sizes), ">i4"),
        sync=_read_sync(tables.get(b"stss"), len(sizes)),
        edits=_read_edits(trak),
        matrix=matrix,
        width=width,
        height=height,
    )


def _read_totals(tables: Index, file_bytes: int, max_chunks: int) -> Totals:
    """Count what lies in a track of samples of one size, chunk by chunk."""
    size, total = tables.require(b"stsz").u32(4), tables.require(b"stsz").u32(8)
    if not total:
        return Totals(0, 0, 0)
    every, held = _read_chunks(tables, total, max_chunks)
    chunks, held = every[held > 0], held[held > 0]
    if chunks.min() < 0:
        raise Mp4Error("a sample lies before the file's first byte")
    # What is more than the file is cut down to that, lest the sums leave the range of numbers.
    reach = np.minimum(held, file_bytes // size + 1) * size
    if int(chunks.max()) > file_bytes or int((chunks + reach).max()) > file_bytes:
        raise Mp4Truncated("some samples lie beyond the end of the file")
    if total * size > file_bytes:
        raise Mp4Error("its samples overlap")
    clock = tables.require(b"stts")
    rows = clock.table(8, clock.u32(4), 2)
    shares = _share_out(rows[:, 0], total)
    # In two halves, since a whole product may leave the range of numbers.
    high, low = (int((shares * part).sum()) for part in (rows[:, 1] >> 16, rows[:, 1] & 0xFFFF))
    return Totals(total, total * size, (high << 16) + low)


def _whole(box: Box) -> bytes:
    """Return a box with its header, as it stands in the file."""
    payload = box.read()
    return (len(payload) + 8).to_bytes(4, "big") + box.kind + payload


def _read_sizes(box: Box, max_samples: int) -> IntArray:
    fixed, count = box.u32(4), box.u32(8)
    if count > max_samples:
        raise Mp4TooLarge(f"a track has {count} samples")
    return np.full(count, fixed, np.int64) if fixed else box.table(12, count)[:, 0]


def _share_out(counts: IntArray, total: int) -> IntArray:
    """Return counts, none of them negative, cut down to exactly ``total`` in all, whatever they claim."""
    if int(counts.sum()) == total:
        return counts
    ends = np.minimum(np.cumsum(counts), total)
    if total and (not len(ends) or ends[-1] < total):
        raise Mp4Error("a table describes fewer samples than there are")
    return np.diff(ends, prepend=0)


def _read_runs(box: Box, total: int, value_type: str) -> IntArray:
    rows = box.table(8, box.u32(4), 2, value_type)
    # A count is unsigned in either kind of table; one beyond any track's is cut down to its samples anyway.
    return np.repeat(rows[:, 1], _share_out(rows[:, 0] & 0xFFFF_FFFF, total))


def _read_sync(box: Box | None, total: int) -> npt.NDArray[np.bool_]:
    if box is None:
        return np.ones(total, np.bool_)
    numbers = box.table(8, box.u32(4))[:, 0] - 1
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= total):
        raise Mp4Error("a sync sample does not exist")
    sync = np.zeros(total, np.bool_)
    sync[numbers] = True
    return sync


def _read_offsets(tables: Index, sizes: IntArray) -> IntArray:
    total = len(sizes)
    if not total:
        return np.zeros(0, np.int64)
    chunks, held = _read_chunks(tables, total)
    starts = np.zeros(total + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    first_in_chunk = np.cumsum(held) - held
    offsets: IntArray = starts[:total] + np.repeat(chunks - starts[first_in_chunk], held)
    return offsets


def _read_chunks(tables: Index, total: int, max_chunks: int | None = None) -> tuple[IntArray, IntArray]:
    """Return where each chunk begins, and how many of ``total`` samples it holds."""
    wide = tables.get(b"co64")
    table = wide or tables.get(b"stco")
    if table is None:
        raise Mp4Error("a track has no chunk offsets")
    if max_chunks is not None and table.u32(4) > max_chunks:
        raise Mp4TooLarge(f"a track has {table.u32(4)} chunks")
    chunks = table.table(8, table.u32(4), 1, ">u8" if wide else ">u4")[:, 0]
    chunk_runs = tables.require(b"stsc")
    rows = chunk_runs.table(8, chunk_runs.u32(4), 3)
    first = rows[:, 0]
    if not len(chunks) or not len(rows) or first[0] != 1 or (first[1:] <= first[:-1]).any() or first[-1] > len(chunks):
        raise Mp4Error("the chunk table contradicts itself")
    if (rows[:, 2] != 1).any():
        raise Mp4Error("samples of different descriptions are mixed in one track")
    per_chunk = np.repeat(rows[:, 1], np.append(first[1:], len(chunks) + 1) - first)
    return chunks, _share_out(per_chunk, total)


def _read_edits(trak: Index) -> tuple[Edit, ...]:
    container = trak.get(b"edts")
    box = container.child(b"elst") if container else None
    if box is None:
        return ()
    count, wide = box.u32(4), box.u8(0) == 1
    if count > 4096:
        raise Mp4TooLarge(f"an edit list has {count} entries")
    if wide and any(box.u64(8 + 20 * i) >= _LONGEST_EDIT for i in range(count)):
        raise Mp4Error("an edit list claims to last for ages")
    if wide:
        return tuple(Edit(box.u64(8 + 20 * i), box.i64(16 + 20 * i), box.u32(24 + 20 * i)) for i in range(count))
    return tuple(Edit(box.u32(8 + 12 * i), box.i32(12 + 12 * i), box.u32(16 + 12 * i)) for i in range(count))
