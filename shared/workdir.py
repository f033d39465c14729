"""A folder of its own for every process, for files that nobody needs once it is gone."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_work_dir(parent: Path, service: str) -> Iterator[Path]:
    """Make `parent/<service>-<pid>`, removed in the end; remove those of processes that died before."""
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    path = parent / f"{service}-{os.getpid()}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sweep(parent: Path) -> int:
    """Remove the folders of processes that are not running any more; return how many."""
    removed = 0
    for path in parent.iterdir():
        pid = path.name.rpartition("-")[2]
        if pid.isdigit() and int(pid) != os.getpid() and not _is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
