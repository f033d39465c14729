"""Telling a kept piece that is still what was written from one that is not. Blocking."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from .mp4.boxes import make_box

_AT_A_TIME_BYTES = 1 << 20
#: To readers of MP4 files, padding.
_KIND = b"free"
_SEAL_BYTES = len(make_box(_KIND, sha256().digest()))


def seal(path: Path) -> None:
    """Append a digest of a file to it, in a form that readers of MP4 files pass over.

    Raises:
        OSError: It cannot be written.
    """
    with path.open("r+b") as file:
        mark = _mark_of(file, path.stat().st_size)
        file.seek(0, 2)
        file.write(mark)


def is_sealed(path: Path) -> bool:
    """Return whether a file is, to the byte, one that was sealed; not if it cannot be read."""
    try:
        with path.open("rb") as file:
            mark = _mark_of(file, max(0, path.stat().st_size - _SEAL_BYTES))
            return file.read() == mark
    except OSError:
        return False


def _mark_of(file: BinaryIO, size: int) -> bytes:
    """Return the seal of the first ``size`` bytes of a file, and leave it behind them."""
    digest = sha256()
    while size and (data := file.read(min(size, _AT_A_TIME_BYTES))):
        digest.update(data)
        size -= len(data)
    return make_box(_KIND, digest.digest())
