"""Is a Matroska or WebM file all there? Its elements (RFC 8794, RFC 9559) say where they end; nothing else is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_HEAD, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
#: What may stand in a segment and in a cluster. Of anything else nobody knows that it belongs to the film at all.
_KNOWN = frozenset({
    _HEAD, _SEGMENT, _CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367,
    0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0xEC, 0xBF,
})  # fmt: skip
#: These are walked into when they do not say how long they are, as in what was recorded live.
_OPEN = frozenset({_SEGMENT, _CLUSTER})
#: A hundred hours of clusters, or an hour of blocks; a file of a million empty elements must not keep a worker busy.
_MOST_ELEMENTS = 400_000
_LONGEST_ELEMENT_HEAD = 12


def claimed_end(path: Path) -> int | None:
    """Return the byte at which a file should end by what it says of itself, if it ends before that.

    A segment that does not say its length proves nothing as such; the clusters and blocks in it may.

    Returns:
        ``None`` if nothing shows that the file is cut short: it is whole, of unknown length, or not understood.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        file_bytes = file.seek(0, os.SEEK_END)
        at = 0
        for _ in range(_MOST_ELEMENTS):
            element = _element(file, at)
            if element is None:
                return None
            kind, start, size = element
            if size is None and kind not in _OPEN:
                return None
            at = start + (size or 0)
            if at > file_bytes:
                # A head of a file that claims more than there is comes of noise as a rule.
                return None if kind == _HEAD else at
    return None


def _element(file: BinaryIO, at: int) -> tuple[int, int, int | None] | None:
    """Return what kind of element begins at a byte, where its content begins, and how long that is, if it says so."""
    file.seek(at)
    head = file.read(_LONGEST_ELEMENT_HEAD)
    kind_bytes = _length_of_number(head, 0)
    if not 1 <= kind_bytes <= 4:
        return None
    kind, size_bytes = int.from_bytes(head[:kind_bytes], "big"), _length_of_number(head, kind_bytes)
    if kind not in _KNOWN or not size_bytes or kind_bytes + size_bytes > len(head):
        return None
    most = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(head[kind_bytes : kind_bytes + size_bytes], "big") & most
    return kind, at + kind_bytes + size_bytes, None if size == most else size


def _length_of_number(data: bytes, at: int) -> int:
    """Return how many bytes the number at ``at`` takes, by the zeros before its first one; 0 if that is none."""
    return 9 - data[at].bit_length() if at < len(data) and data[at] else 0
