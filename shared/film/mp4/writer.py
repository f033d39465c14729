"""Sample tables → MP4 file, ``moov`` first, in one pass."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .boxes import IntArray, make_box, make_full_box
from .copying import ALIGNMENT_BYTES, write_all
from .layout import Layout, lay_out, run_lengths
from .payload import Source, copy_payload
from .reader import TrackKind

_UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_FTYP = make_box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2avc1mp41")
#: Chunk offsets need 64 bits, and ``mdat`` a large size, somewhat before 4 GiB: the header comes first.
_WIDE_FROM_BYTES = 0xF000_0000


@dataclass(frozen=True, slots=True, eq=False)
class OutputTrack:
    """One track to write: per sample, where its bytes are and how it is timed.

    Attributes:
        kind: ``video`` or ``audio``.
        timescale: Ticks per second.
        entry: The one sample description.
        source: Index into the writer's list of sources.
        offsets: Byte offset in that source; in one whose samples are still being made, their number.
        sizes: Bytes; 0 for samples that are still being made.
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


def write_movie(
    path: Path,
    sources: Sequence[Source],
    tracks: Sequence[OutputTrack],
    movie_timescale: int,
    *,
    checkpoint: Callable[[int], None] = lambda _copied_bytes: None,
) -> int:
    """Write an MP4 whose samples come from ``sources``.

    How many bytes the header takes is known before it is, so the samples are copied first, each as soon as it is
    there, and the header is put before them at the end: one pass, with ``moov`` in front.

    Args:
        path: The file to create; an existing one is overwritten.
        sources: Files, blobs in memory, or samples still being made, that sample tables refer to by index.
        tracks: The tracks, in order.
        movie_timescale: Ticks per second of presented durations.
        checkpoint: Called between copies with the number of payload bytes so far; may raise to stop.

    Returns:
        Size of the file in bytes.

    Raises:
        OSError: Reading or writing failed.
    """
    arriving = {
        index: source.most_bytes for index, source in enumerate(sources) if not isinstance(source, Path | bytes)
    }
    layout = lay_out(tracks, arriving)
    rooms = sum((extent.last - extent.first) * arriving.get(extent.source, 0) for extent in layout.extents)
    gaps = sum(extent.aligned for extent in layout.extents) * ALIGNMENT_BYTES
    most = layout.payload_bytes + rooms + gaps
    wide = most > _WIDE_FROM_BYTES
    header_bytes = 16 if wide else 8
    fixed = [_fixed_tables(track, layout.chunk_rows(number)) for number, track in enumerate(tracks)]
    placed_bytes = sum(_placed_bytes(layout, number, wide=wide) for number in range(len(tracks)))
    base = len(_FTYP) + len(_moov(tracks, fixed, movie_timescale)) + placed_bytes + header_bytes
    with path.open("wb", buffering=0) as output:
        output.seek(base)
        copy_payload(output.fileno(), sources, layout, base + most, checkpoint)
        at = layout.starts()[layout.chunk_first] + base
        placed = [_placed_tables(layout, number, at, wide=wide) for number in range(len(tracks))]
        moov = _moov(tracks, [a + b for a, b in zip(fixed, placed, strict=True)], movie_timescale)
        size = layout.payload_bytes + header_bytes
        mdat = struct.pack(">I4sQ", 1, b"mdat", size) if wide else struct.pack(">I4s", size, b"mdat")
        header = _FTYP + moov + mdat
        assert len(header) == base, "the header would reach into the samples, or end before them"
        output.seek(0)
        write_all(output.fileno(), header)
        output.truncate(base + layout.payload_bytes)
    return base + layout.payload_bytes


def _table(kind: bytes, rows: IntArray, dtype: str = ">u4", version: int = 0) -> bytes:
    return make_full_box(kind, version, 0, struct.pack(">I", len(rows)), rows.astype(dtype).tobytes())


def _moov(tracks: Sequence[OutputTrack], tables: Sequence[bytes], timescale: int) -> bytes:
    traks = [_trak(number, track, tables[number]) for number, track in enumerate(tracks)]
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


def _trak(number: int, track: OutputTrack, tables: bytes) -> bytes:
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
    minf = make_box(b"minf", head, make_box(b"dinf", dref), make_box(b"stbl", tables))
    return make_box(b"trak", tkhd, edts, make_box(b"mdia", mdhd, hdlr, minf))


def _fixed_tables(track: OutputTrack, rows: IntArray) -> bytes:
    """The sample tables that do not depend on where the samples lie and how large they are."""
    tables = [
        make_full_box(b"stsd", 0, 0, struct.pack(">I", 1), track.entry),
        _table(b"stts", run_lengths(track.durations)),
    ]
    if not track.sync.all():
        tables.append(_table(b"stss", np.flatnonzero(track.sync).astype(np.int64) + 1))
    if track.composition.any():
        negative = int(track.composition.min() < 0)
        tables.append(_table(b"ctts", run_lengths(track.composition), ">i4", negative))
    return b"".join([*tables, _table(b"stsc", rows)])


def _placed_tables(layout: Layout, track: int, chunks_at: IntArray, *, wide: bool) -> bytes:
    """The sample tables that say where the samples lie and how large they are."""
    sizes, chunks = layout.sizes_of(track), chunks_at[layout.chunks_of(track)]
    stsz = make_full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(sizes)), sizes.astype(">u4").tobytes())
    return stsz + (_table(b"co64", chunks, ">u8") if wide else _table(b"stco", chunks))


def _placed_bytes(layout: Layout, track: int, *, wide: bool) -> int:
    """How long :func:`_placed_tables` will be: that depends on neither sizes nor places."""
    samples, chunks = int((layout.track_of == track).sum()), int(layout.chunks_of(track).sum())
    return 20 + 4 * samples + 16 + (8 if wide else 4) * chunks
