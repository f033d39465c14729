"""Temporary directories that do not pile up: one left behind by a twin that was killed is removed by the next twin."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"^twin-[a-z]+-(\d+)-")


@contextlib.contextmanager
def scratch_directory(kind: str) -> Iterator[Path]:
    """Provide a private directory until the context ends.

    Args:
        kind: What it is for: lower-case letters, part of its name.
    """
    _remove_orphans(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"twin-{kind}-{os.getpid()}-") as directory:
        yield Path(directory)


def _remove_orphans(parent: Path) -> None:
    for path in parent.glob("twin-*"):
        match = _NAME.match(path.name)
        if match is not None and not _is_alive(int(match[1])):
            # Somebody else's, or just removed by another twin: not ours to worry about.
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it exists and belongs to another user
    return True
