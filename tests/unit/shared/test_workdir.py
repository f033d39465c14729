"""Work folders: one for every process, gone with it, and never somebody else's that still lives."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.errors import ArtifactsUnavailable, ConfigurationError
from shared.workdir import own_work_dir, scratch, sweep


@contextmanager
def somebody_elses(parent: Path, name: str) -> Iterator[Path]:
    """A folder whose process lives; another open file is as good as another process to a lock."""
    (parent / name).mkdir(parents=True)
    (parent / name / "clip.mp4").write_bytes(b"half a clip")
    with (parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield parent / name


def test_a_process_has_a_folder_of_its_own_and_leaves_nothing_behind(tmp_path: Path) -> None:
    parent = tmp_path / "work"
    with own_work_dir(parent, "generator") as one, own_work_dir(parent, "generator") as two:
        assert one != two
        assert one.name.startswith(f"generator-{os.getpid()}-")
        (one / "clip.mp4").write_bytes(b"x")
    assert list(parent.iterdir()) == []


def test_nothing_is_left_behind_by_a_process_that_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with own_work_dir(tmp_path, "stitcher") as folder:
            (folder / "film.mp4").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with somebody_elses(tmp_path, "stitcher-1-abc"):
        pass  # its lock goes with it, its files stay
    assert len(list(tmp_path.iterdir())) == 2
    with own_work_dir(tmp_path, "stitcher") as own:
        assert {path.name.removesuffix(".lock") for path in tmp_path.iterdir()} == {own.name}


def test_a_living_process_keeps_its_folder_even_if_its_number_means_nothing_here(tmp_path: Path) -> None:
    """Containers that share a volume have process numbers of their own; every one may be number 1."""
    with somebody_elses(tmp_path, "stitcher-999999999-abc") as theirs, own_work_dir(tmp_path, "stitcher"):
        assert (theirs / "clip.mp4").exists()
        assert sweep(tmp_path) == 0
    assert sweep(tmp_path) == 1


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes-123").mkdir()
    (tmp_path / "readme").write_text("mine")
    assert sweep(tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"notes-123", "readme"}


def test_a_folder_that_cannot_be_made_is_said_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in its place")
    with pytest.raises(ConfigurationError, match="DATA_DIR"), own_work_dir(tmp_path / "data" / "work", "generator"):
        pass


def test_a_scratch_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with scratch(tmp_path, "clip-") as folder:
        assert folder.parent == tmp_path
        (folder / "clip.mp4").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_no_room_is_something_to_wait_for(tmp_path: Path, number: int) -> None:
    with pytest.raises(ArtifactsUnavailable, match="no room in the work folder"), scratch(tmp_path, "clip-"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [TimeoutError(), FileNotFoundError(errno.ENOENT, "x"), ValueError("x")])
def test_other_errors_pass_through(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, scratch(tmp_path, "clip-"):
        raise error
    assert caught.value is error
