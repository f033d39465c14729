"""Walking and building MP4 boxes. Every read is bounds-checked: the bytes are not trusted."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

#: A real film has a handful; a file of a million empty boxes must not keep a worker busy.
MAX_TOP_LEVEL_BOXES = 4096
#: A sample table, the richest of boxes, has some fifteen; a header of millions must not fill a worker's memory.
_MAX_KINDS = 64
_HEAD, _WIDE_SIZE = struct.Struct(">I4s"), struct.Struct(">Q")


class Mp4Error(Exception):
    """The file is not an MP4 this reader understands, or contradicts itself."""


class Mp4Truncated(Mp4Error):
    """The file ends before its own structure says it should."""


class Mp4Fragmented(Mp4Error):
    """The samples are described by fragments (``moof``), not by the ``moov`` tables."""


class Mp4TooLarge(Mp4Error):
    """A table or header is larger than the limits allow."""


class Box(NamedTuple):
    """The payload of one box inside ``data``: ``data[start:end]``."""

    kind: bytes
    data: bytes
    start: int
    end: int

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """Return ``count`` payload bytes from ``offset`` (to the end when omitted)."""
        _, data, start, end = self
        first = start + offset
        last = end if count is None else first + count
        if offset < 0 or last > end or last < first:
            raise Mp4Error(f"box {self.name} is too short")
        return data[first:last]

    def u8(self, offset: int) -> int:
        """Read an unsigned byte."""
        return self.read(offset, 1)[0]

    def u16(self, offset: int) -> int:
        """Read a big-endian unsigned 16-bit number."""
        return int.from_bytes(self.read(offset, 2), "big")

    def u32(self, offset: int) -> int:
        """Read a big-endian unsigned 32-bit number."""
        return int.from_bytes(self.read(offset, 4), "big")

    def i32(self, offset: int) -> int:
        """Read a big-endian signed 32-bit number."""
        return int.from_bytes(self.read(offset, 4), "big", signed=True)

    def u64(self, offset: int) -> int:
        """Read a big-endian unsigned 64-bit number."""
        return int.from_bytes(self.read(offset, 8), "big")

    def i64(self, offset: int) -> int:
        """Read a big-endian signed 64-bit number."""
        return int.from_bytes(self.read(offset, 8), "big", signed=True)

    def table(self, offset: int, count: int, columns: int = 1, dtype: str = ">u4") -> IntArray:
        """Return ``count`` rows of ``columns`` numbers as an int64 array of shape (count, columns)."""
        item_bytes = np.dtype(dtype).itemsize
        raw = self.read(offset, count * columns * item_bytes)
        return np.frombuffer(raw, dtype).astype(np.int64).reshape(count, columns)

    @property
    def name(self) -> str:
        """The four-character code, printable."""
        return self.kind.decode("latin-1").encode("unicode_escape").decode()

    def children(self, offset: int = 0) -> Iterator[Box]:
        """Yield the boxes inside this one, starting ``offset`` bytes into the payload."""
        return iter_boxes(self.data, self.start + offset, self.end)

    def by_kind(self) -> Index:
        """Return the boxes inside this one by kind; of several of a kind, the first.

        Raises:
            Mp4Error: There are more kinds than in any honest file.
        """
        found: dict[bytes, Box] = {}
        for box in self.children():
            found.setdefault(box.kind, box)
            if len(found) > _MAX_KINDS:
                raise Mp4Error(f"box {self.name} holds boxes of more than {_MAX_KINDS} kinds")
        return Index(self, found)

    def child(self, kind: bytes, *, offset: int = 0) -> Box | None:
        """Return the first child of ``kind``, or ``None``."""
        for box in self.children(offset):
            if box.kind == kind:
                return box
        return None


class Index(NamedTuple):
    """The boxes inside ``parent``, by kind."""

    parent: Box
    boxes: dict[bytes, Box]

    def get(self, kind: bytes) -> Box | None:
        """Return the box of this kind, if there is one."""
        return self.boxes.get(kind)

    def require(self, kind: bytes) -> Box:
        """Return the box of this kind.

        Raises:
            Mp4Error: There is none.
        """
        found = self.boxes.get(kind)
        if found is None:
            raise Mp4Error(f"box {self.parent.name} has no {kind.decode('latin-1')}")
        return found


def iter_boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes in ``data[start:end]``."""
    position = start
    while position + 8 <= end:
        size, kind = _HEAD.unpack_from(data, position)
        header = 8
        if size == 1 and position + 16 <= end:
            (size,), header = _WIDE_SIZE.unpack_from(data, position + 8), 16
        elif size == 0:
            size = end - position
        if size < header or position + size > end:
            raise Mp4Error(f"a box at {position} does not fit into its parent")
        yield Box(kind, data, position + header, position + size)
        position += size


def top_level_boxes(file: BinaryIO, file_bytes: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield ``(kind, payload offset, payload end, file end of box)`` of each top-level box.

    Raises:
        Mp4Truncated: A box claims to reach beyond the end of the file.
        Mp4Error: The structure is not that of an MP4.
    """
    position = 0
    for _ in range(MAX_TOP_LEVEL_BOXES):
        if position + 8 > file_bytes:
            return
        file.seek(position)
        head = file.read(16)
        size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1 and len(head) == 16:
            size, header = int.from_bytes(head[8:], "big"), 16
        elif size == 0:
            size = file_bytes - position
        if size < header:
            raise Mp4Error(f"a box at {position} has an impossible size")
        end = position + size
        yield kind, position + header, min(end, file_bytes), end
        if end > file_bytes:
            raise Mp4Truncated(f"box {kind.decode('latin-1')!r} should end at byte {end}, the file at {file_bytes}")
        position = end
    raise Mp4Error("too many boxes")


def make_box(kind: bytes, *parts: bytes) -> bytes:
    """Build a box."""
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def make_full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Build a box with version and flags."""
    return make_box(kind, struct.pack(">I", version << 24 | flags), *parts)
