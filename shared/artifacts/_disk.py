"""Blocking file-system steps, small and durable; they run in the store's threads."""

import os
import shutil
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")

COPY_BYTES = 1024 * 1024
TRIES = 100
"""Neighbours would have to remove a folder that often in the moment between its making and its first entry."""


def make_folder_and(step: Callable[[Path], R], path: Path) -> R:
    """Make the folder of `path` and return `step(path)`.

    Someone who deletes a neighbour may remove the still empty folder in between; then both are done again. `mkdir`
    says that the folder exists, too, when it is gone a moment later.
    """
    for _ in range(TRIES - 1):
        try:
            make_folder(path.parent)
            return step(path)
        except (FileNotFoundError, FileExistsError):
            continue
    make_folder(path.parent)
    return step(path)


def make_folder(folder: Path) -> None:
    """Create `folder` and what is missing above it, so that it survives a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def create_file(path: Path) -> FileIO:
    """Open a new file for writing."""
    return FileIO(path, "x")


def sync_file(path: Path) -> None:
    """Bring a file's content onto the disk."""
    with FileIO(path) as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries onto the disk; after a rename this makes the new name durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_file(source: Path, target: Path) -> None:
    """Copy into a new file, in the kernel where it can (shared blocks on XFS and Btrfs), and sync it."""
    with source.open("rb") as reader, target.open("xb") as writer:
        if not _copied_by_kernel(reader.fileno(), writer.fileno()):
            shutil.copyfileobj(reader, writer, COPY_BYTES)
        writer.flush()
        os.fsync(writer.fileno())


def _copied_by_kernel(reader: int, writer: int) -> bool:
    if not hasattr(os, "copy_file_range"):
        return False
    copied = 0
    try:
        while count := os.copy_file_range(reader, writer, 1 << 30):
            copied += count
    except OSError:
        # Not between these two file systems. Once bytes have moved, the error is a real one.
        if copied:
            raise
        return False
    return True


def prune_empty_folders(folder: Path, root: Path) -> None:
    """Remove `folder` and the folders above it, below `root`, as far as they are empty."""
    while folder != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass  # somebody else was faster, or it was never made
        except OSError:
            return  # not empty
        folder = folder.parent


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield all regular files below `folder`; folders that vanish on the way are passed over."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from walk_files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
