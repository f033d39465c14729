"""Sample tables → MP4 file, ``moov`` first, in one pass."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .boxes import IntArray, make_box, make_full_box
from .reader import TrackKind

Source = Path | bytes
_UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_FTYP = make_box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2avc1mp41")
#: Chunk offsets need 64 bits, and ``mdat`` a large size, somewhat before 4 GiB: the header comes first.
_WIDE_FROM_BYTES = 0xF000_0000
#: Small enough to stay in the processor's cache between reading and writing.
_COPY_STEP_BYTES = 256 << 10
#: How often a copy may be stopped.
_CHECKPOINT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, eq=False)
class OutputTrack:
    """One track to write: per sample, where its bytes are and how it is timed.

    Attributes:
        kind: ``video`` or ``audio``.
        timescale: Ticks per second.
        entry: The one sample description.
        source: Index into the writer's list of sources.
        offsets: Byte offset in that source.
        sizes: Bytes.
        durations: Ticks.
        composition: Presentation minus decoding time, ticks.
        sync: Random access points.
        group: Samples are interleaved by ascending group, in file order within a group.
        media_time: Where the presentation starts, in ticks (edit list).
        duration: Presented duration, in the movie's timescale.
        width: Display width in pixels; 0 for audio.
        height: Likewise.
    """

    kind: TrackKind
    timescale: int
    entry: bytes
    source: IntArray
    offsets: IntArray
    sizes: IntArray
    durations: IntArray
    composition: IntArray
    sync: npt.NDArray[np.bool_]
    group: IntArray
    media_time: int
    duration: int
    width: int = 0
    height: int = 0


@dataclass(slots=True)
class _Layout:
    """Where everything goes inside ``mdat``."""

    chunk_offsets: list[IntArray] = field(default_factory=list)
    chunk_rows: list[IntArray] = field(default_factory=list)
    extents: list[tuple[int, int, int]] = field(default_factory=list)
    payload_bytes: int = 0


def write_movie(
    path: Path,
    sources: Sequence[Source],
    tracks: Sequence[OutputTrack],
    movie_timescale: int,
    *,
    checkpoint: Callable[[int], None] = lambda _copied_bytes: None,
) -> int:
    """Write an MP4 whose samples come from ``sources``.

    Args:
        path: The file to create; an existing one is overwritten.
        sources: Files, or blobs in memory, that sample tables refer to by index.
        tracks: The tracks, in order.
        movie_timescale: Ticks per second of presented durations.
        checkpoint: Called between copies with the number of payload bytes so far; may raise to stop.

    Returns:
        Size of the file in bytes.

    Raises:
        OSError: Reading or writing failed.
    """
    layout = _lay_out(tracks)
    wide = layout.payload_bytes > _WIDE_FROM_BYTES
    header_bytes = 16 if wide else 8
    measured = len(_moov(tracks, layout, movie_timescale, 0, wide=wide))
    base = len(_FTYP) + measured + header_bytes
    moov = _moov(tracks, layout, movie_timescale, base, wide=wide)
    mdat_bytes = layout.payload_bytes + header_bytes
    mdat = struct.pack(">I4sQ", 1, b"mdat", mdat_bytes) if wide else struct.pack(">I4s", mdat_bytes, b"mdat")
    with path.open("wb", buffering=0) as output:
        _write_all(output.fileno(), _FTYP + moov + mdat)
        _copy_extents(output.fileno(), sources, layout.extents, checkpoint)
    return base + layout.payload_bytes


def _lay_out(tracks: Sequence[OutputTrack]) -> _Layout:
    track_of = np.concatenate([np.full(len(t.sizes), i, np.int64) for i, t in enumerate(tracks)])
    number = np.concatenate([np.arange(len(t.sizes), dtype=np.int64) for t in tracks])
    group = np.concatenate([t.group for t in tracks])
    source = np.concatenate([t.source for t in tracks])
    offset = np.concatenate([t.offsets for t in tracks])
    size = np.concatenate([t.sizes for t in tracks])
    order = np.lexsort((offset, source, group))
    track_of, number, source, offset, size = (a[order] for a in (track_of, number, source, offset, size))
    for index in range(len(tracks)):
        if (np.diff(number[track_of == index]) != 1).any():
            # The sources' own order is not the track's (a muxer wrote samples out of order): keep tracks whole.
            order = np.lexsort((number, track_of, group[order]))
            track_of, number, source, offset, size = (a[order] for a in (track_of, number, source, offset, size))
            break
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])
    layout = _Layout(payload_bytes=int(starts[-1]))
    chunk_first = _run_starts((np.diff(track_of) != 0) | (np.diff(source) != 0), len(size))
    chunk_samples = np.diff(chunk_first, append=len(size))
    for index in range(len(tracks)):
        mine = track_of[chunk_first] == index
        layout.chunk_offsets.append(starts[chunk_first[mine]])
        layout.chunk_rows.append(_chunk_rows(chunk_samples[mine]))
    joined = (source[1:] == source[:-1]) & (offset[1:] == offset[:-1] + size[:-1])
    extent_first = _run_starts(~joined, len(size))
    extent_end = np.append(extent_first[1:], len(size))
    layout.extents = [
        (int(source[a]), int(offset[a]), int(starts[b] - starts[a]))
        for a, b in zip(extent_first.tolist(), extent_end.tolist(), strict=True)
    ]
    return layout


def _run_starts(breaks: npt.NDArray[np.bool_], total: int) -> IntArray:
    first = np.zeros(1 if total else 0, np.int64)
    return np.concatenate([first, np.flatnonzero(breaks).astype(np.int64) + 1])


def _chunk_rows(samples_per_chunk: IntArray) -> IntArray:
    changes = _run_starts(np.diff(samples_per_chunk) != 0, len(samples_per_chunk))
    return np.stack([changes + 1, samples_per_chunk[changes], np.ones_like(changes)], axis=1)


def run_lengths(values: IntArray) -> IntArray:
    """Return rows of ``(count, value)``."""
    first = _run_starts(np.diff(values) != 0, len(values))
    return np.stack([np.diff(first, append=len(values)), values[first]], axis=1)


def _table(kind: bytes, rows: IntArray, dtype: str = ">u4", version: int = 0) -> bytes:
    return make_full_box(kind, version, 0, struct.pack(">I", len(rows)), rows.astype(dtype).tobytes())


def _moov(tracks: Sequence[OutputTrack], layout: _Layout, timescale: int, base: int, *, wide: bool) -> bytes:
    traks = [
        _trak(number, track, layout.chunk_offsets[number] + base, layout.chunk_rows[number], wide=wide)
        for number, track in enumerate(tracks)
    ]
    duration = max(track.duration for track in tracks)
    version, dates = _dated(duration)
    mvhd = make_full_box(
        b"mvhd", version, 0, dates.pack(0, 0, timescale, duration), struct.pack(">IH", 0x10000, 0x100), bytes(10),
        _UNITY, bytes(24), struct.pack(">I", len(tracks) + 1),
    )  # fmt: skip
    return make_box(b"moov", mvhd, *traks)


def _dated(duration: int) -> tuple[int, struct.Struct]:
    """Version and layout of the dates, timescale and duration of ``mvhd`` and ``mdhd``."""
    return (1, struct.Struct(">QQIQ")) if duration >= 1 << 32 else (0, struct.Struct(">IIII"))


def _trak(number: int, track: OutputTrack, chunks: IntArray, rows: IntArray, *, wide: bool) -> bytes:
    is_video = track.kind == "video"
    long = track.duration >= 1 << 32
    tkhd = make_full_box(
        b"tkhd", int(long), 3,
        struct.pack(">QQIIQ" if long else ">IIIII", 0, 0, number + 1, 0, track.duration), bytes(8),
        struct.pack(">HHHH", 0, 0 if is_video else 1, 0 if is_video else 0x100, 0), _UNITY,
        struct.pack(">II", track.width << 16, track.height << 16),
    )  # fmt: skip
    edit = struct.pack(">QqI" if long else ">IiI", track.duration, track.media_time, 0x10000)
    edts = make_box(b"edts", make_full_box(b"elst", int(long), 0, struct.pack(">I", 1), edit))
    media_duration = int(track.durations.sum())
    version, dates = _dated(media_duration)
    undetermined = 0x55C4
    mdhd = make_full_box(
        b"mdhd", version, 0, dates.pack(0, 0, track.timescale, media_duration), struct.pack(">HH", undetermined, 0)
    )
    name = b"VideoHandler\0" if is_video else b"SoundHandler\0"
    hdlr = make_full_box(b"hdlr", 0, 0, bytes(4), b"vide" if is_video else b"soun", bytes(12), name)
    head = make_full_box(b"vmhd", 0, 1, bytes(8)) if is_video else make_full_box(b"smhd", 0, 0, bytes(4))
    dref = make_full_box(b"dref", 0, 0, struct.pack(">I", 1), make_full_box(b"url ", 0, 1))
    stbl = make_box(b"stbl", *_sample_tables(track, chunks, rows, wide=wide))
    minf = make_box(b"minf", head, make_box(b"dinf", dref), stbl)
    return make_box(b"trak", tkhd, edts, make_box(b"mdia", mdhd, hdlr, minf))


def _sample_tables(track: OutputTrack, chunks: IntArray, rows: IntArray, *, wide: bool) -> list[bytes]:
    tables = [
        make_full_box(b"stsd", 0, 0, struct.pack(">I", 1), track.entry),
        _table(b"stts", run_lengths(track.durations)),
    ]
    if not track.sync.all():
        tables.append(_table(b"stss", np.flatnonzero(track.sync).astype(np.int64) + 1))
    if track.composition.any():
        negative = int(track.composition.min() < 0)
        tables.append(_table(b"ctts", run_lengths(track.composition), ">i4", negative))
    tables.append(_table(b"stsc", rows))
    sizes = track.sizes.astype(">u4").tobytes()
    tables.append(make_full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(track.sizes)), sizes))
    tables.append(_table(b"co64", chunks, ">u8") if wide else _table(b"stco", chunks))
    return tables


def _write_all(output: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(output, view) :]


def _copy_extents(
    output: int,
    sources: Sequence[Source],
    extents: Sequence[tuple[int, int, int]],
    checkpoint: Callable[[int], None],
) -> None:
    files: dict[int, int] = {}
    copied = 0
    try:
        for index, offset, count in extents:
            source = sources[index]
            if isinstance(source, bytes):
                _write_all(output, source[offset : offset + count])
            else:
                if index not in files:
                    files[index] = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
                _copy_range(files[index], output, offset, count, copied, checkpoint)
            copied += count
            checkpoint(copied)
    finally:
        for descriptor in files.values():
            os.close(descriptor)


def _copy_range(
    source: int, output: int, offset: int, count: int, copied: int, checkpoint: Callable[[int], None]
) -> None:
    """Copy through a small buffer.

    ``copy_file_range`` and ``sendfile`` are slower here (by a third, measured on ext4): neither offset is aligned to
    a page, so the kernel handles every page twice, and no file system can share unaligned blocks.
    """
    buffer = bytearray(min(count, _COPY_STEP_BYTES))
    view = memoryview(buffer)
    done = 0
    while done < count:
        moved = os.preadv(source, [view[: count - done]], offset + done)
        if moved <= 0:
            raise EOFError("a source became shorter while it was being copied")
        _write_all(output, view[:moved])
        done += moved
        if not done % _CHECKPOINT_BYTES:
            checkpoint(copied + done)
