"""A folder of its own for every process, for files that nobody needs once it is gone."""

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import ArtifactsUnavailable, ConfigurationError

_LOCK = ".lock"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


@contextmanager
def own_work_dir(parent: Path, service: str) -> Iterator[Path]:
    """Make `parent/<service>-<pid>-<random>`, removed in the end; remove those of processes that died before.

    A process holds a lock beside its folder for as long as it lives. A process id alone would not do: containers
    that share a volume have the same ones.

    Raises:
        ConfigurationError: no folder can be made there.
    """
    path = parent / f"{service}-{os.getpid()}-{secrets.token_hex(4)}"
    lock = path.with_name(path.name + _LOCK)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent)
        held = _held(lock)
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR: cannot make a work folder in {parent}: {error.strerror}") from error
    try:
        path.mkdir()
        yield path
    finally:
        _remove(path, lock)
        os.close(held)


def sweep(parent: Path) -> int:
    """Remove the folders of processes that are not running any more; return how many."""
    removed = 0
    for lock in list(parent.glob(f"*{_LOCK}")):
        try:
            held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its process has just ended, or somebody else sweeps
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its process lives
        else:
            _remove(lock.with_name(lock.name.removesuffix(_LOCK)), lock)
            removed += 1
        finally:
            os.close(held)
    return removed


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """Give a temporary folder in a work folder.

    Raises:
        ArtifactsUnavailable: here or in the body, there is no room; waiting may help.
    """
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=prefix) as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ArtifactsUnavailable(f"no room in the work folder {parent}: {error.strerror}") from error


def _held(lock: Path) -> int:
    """Make a lock file and return its descriptor, which holds it."""
    while True:
        held = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(held), lock.stat()):
                return held
        except FileNotFoundError:
            pass  # somebody swept it away before it was held
        except OSError:
            os.close(held)
            raise
        os.close(held)


def _remove(path: Path, lock: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    lock.unlink(missing_ok=True)
