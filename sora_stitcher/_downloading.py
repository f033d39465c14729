"""Files that come home whole or not at all."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PIECE_BYTES = 1 << 18

OnBytes = Callable[[int, int | None], None]
"""Told how many bytes have arrived, and of how many where that is known."""


def ignore(_arrived: int, _total: int | None) -> None:
    """An `on_bytes` for whoever does not look."""


@contextmanager
def arriving(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that becomes `path` when all went well, and nothing otherwise."""
    # Not the name with something added: it may be as long as names can be.
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
