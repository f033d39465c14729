"""Temporary files of one film, and where it is written before it takes its place."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self


def partial_beside(output: Path) -> Path:
    """Return where to write what is to be put in ``output``'s place when it is whole.

    A name of its own each time, for two films may be on their way to the same place; and a short one, for the
    output's may be as long as names can be.
    """
    return output.with_name(f".{secrets.token_hex(8)}.part")


class Folder(Protocol):
    """Where files may be put: a :class:`pathlib.Path`, or a :class:`WorkFolder`."""

    def __truediv__(self, name: str, /) -> Path:
        """Return the path of the file that is called ``name``."""


class WorkFolder:
    """A folder that is made when its first file is named, and removed with everything in it at the end.

    Most films are copied whole and never need one.

    Args:
        prefix: What its name begins with.
        parent: Where it is made; the system's default when omitted.
    """

    def __init__(self, prefix: str, parent: Path | None) -> None:
        self._prefix, self._parent = prefix, parent
        self._made: tempfile.TemporaryDirectory[str] | None = None

    def __truediv__(self, name: str, /) -> Path:
        """Return the path of a file in it.

        Raises:
            OSError: The folder cannot be made.
        """
        if self._made is None:
            self._made = tempfile.TemporaryDirectory(prefix=self._prefix, dir=self._parent)
        return Path(self._made.name, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._made is not None:
            self._made.cleanup()
