"""Large stretches are put where file systems can share them, and copied wherever those cannot."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from shared.film.mp4 import OutputTrack, read_movie, write_movie
from shared.film.mp4 import copying as engine

LARGE = 3_000_000
SMALL = 1000


class FileSystem:
    """Stands for the kernel: as strict about sharing blocks as Btrfs and XFS are, but it copies.

    Attributes:
        sharing_fails: The error with which it answers that; so for copying and claiming.
        shared: Bytes of each stretch that was.
        copied: Likewise.
        claimed: Bytes for which room was claimed.
    """

    def __init__(self) -> None:
        self.sharing_fails = self.copying_fails = 0
        self.asked_to_share = self.asked_to_copy = 0
        self.shared: list[int] = []
        self.copied: list[int] = []
        self.claimed: list[int] = []

    def ioctl(self, output: int, request: int, argument: bytes) -> int:
        """Do what ioctl_ficlonerange(2) describes."""
        assert request == 0x4020940D
        self.asked_to_share += 1
        _fail(self.sharing_fails)
        source, offset, count, at = struct.unpack("@qQQQ", argument)
        if offset % 4096 or count % 4096 or at % 4096 or not count:
            raise OSError(errno.EINVAL, "blocks are shared whole")
        assert os.pwrite(output, os.pread(source, count, offset), at) == count
        self.shared.append(count)
        return 0

    def copy_file_range(self, source: int, output: int, count: int, *, offset_src: int) -> int:
        """Do what copy_file_range(2) describes; at most a megabyte at a time."""
        self.asked_to_copy += 1
        _fail(self.copying_fails)
        moved = os.write(output, os.pread(source, min(count, 1 << 20), offset_src))
        self.copied.append(moved)
        return moved

    def claim(self, output: int, count: int) -> None:
        """Do what fallocate(2) describes."""
        self.claimed.append(count)
        os.truncate(output, count)


def _fail(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


@pytest.fixture(autouse=True)
def system(monkeypatch: pytest.MonkeyPatch) -> FileSystem:
    """Take the way that Linux goes, whatever system this is."""
    system = FileSystem()
    monkeypatch.setattr(engine, "IS_LINUX", True)
    monkeypatch.setattr(engine, "claim", system.claim)
    monkeypatch.setattr("fcntl.ioctl", system.ioctl)
    monkeypatch.setattr("os.copy_file_range", system.copy_file_range, raising=False)
    return system


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Two files of which no two blocks are alike."""
    chance = np.random.default_rng(7)
    paths = [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        path.write_bytes(chance.bytes(2 * LARGE))
    return paths


def track(parts: list[tuple[int, int, int]]) -> OutputTrack:
    """Return a picture track of samples, each ``(source, offset, size)``, in this order."""
    source, offsets, sizes = (np.array(column, np.int64) for column in zip(*parts, strict=True))
    count = len(parts)
    return OutputTrack(
        kind="video", timescale=15360, entry=b"\0\0\0\x10avc1" + bytes(8), source=source, offsets=offsets, sizes=sizes,
        durations=np.full(count, 512, np.int64), composition=np.zeros(count, np.int64), sync=np.ones(count, np.bool_),
        group=np.arange(count, dtype=np.int64), media_time=0, duration=512 * count, width=64, height=48,
    )  # fmt: skip


PARTS = [(0, 5000, SMALL), (0, 6000, LARGE), (0, 6000 + LARGE, SMALL), (1, 77, SMALL), (1, 1_234_567, LARGE)]


def samples_of(film: Path) -> list[bytes]:
    (found,) = read_movie(film).tracks
    data = film.read_bytes()
    return [data[at : at + size] for at, size in zip(found.offsets.tolist(), found.sizes.tolist(), strict=True)]


def expected(clips: list[Path]) -> list[bytes]:
    data = [clip.read_bytes() for clip in clips]
    return [data[source][offset : offset + size] for source, offset, size in PARTS]


def test_large_stretches_are_shared_and_every_sample_is_what_it_was(
    clips: list[Path], tmp_path: Path, system: FileSystem
) -> None:
    film = tmp_path / "film.mp4"
    written = write_movie(film, clips, [track(PARTS)], 15360)
    assert samples_of(film) == expected(clips)
    assert len(system.shared) == 2
    assert sum(system.shared) > 2 * LARGE - 4 * engine.ALIGNMENT_BYTES
    assert not system.copied
    assert not system.claimed
    assert written == film.stat().st_size
    assert written < sum(size for *_, size in PARTS) + 2 * engine.ALIGNMENT_BYTES + 1024, "a gap for each clip"


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY])
def test_where_nothing_can_be_shared_the_kernel_copies_into_room_claimed_for_all(
    clips: list[Path], tmp_path: Path, system: FileSystem, number: int
) -> None:
    system.sharing_fails = number
    film = tmp_path / "film.mp4"
    written = write_movie(film, clips, [track(PARTS)], 15360)
    assert samples_of(film) == expected(clips)
    assert system.asked_to_share == 1
    assert sum(system.copied) >= 2 * LARGE
    (claimed,) = system.claimed
    assert written == film.stat().st_size <= claimed


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS])
def test_where_the_kernel_does_not_copy_we_do(
    clips: list[Path], tmp_path: Path, system: FileSystem, number: int
) -> None:
    system.sharing_fails = system.copying_fails = number
    film = tmp_path / "film.mp4"
    write_movie(film, clips, [track(PARTS)], 15360)
    assert samples_of(film) == expected(clips)
    assert system.asked_to_copy == 1


def test_a_source_that_the_kernel_finds_too_short_is_an_error(
    clips: list[Path], tmp_path: Path, system: FileSystem
) -> None:
    system.sharing_fails = errno.EOPNOTSUPP
    os.truncate(clips[1], LARGE)
    with pytest.raises(EOFError):
        write_movie(tmp_path / "film.mp4", clips, [track(PARTS)], 15360)


@pytest.mark.parametrize("step", ["sharing_fails", "copying_fails"])
def test_a_full_disk_is_no_reason_to_go_another_way(
    clips: list[Path], tmp_path: Path, system: FileSystem, step: str
) -> None:
    system.sharing_fails = errno.EOPNOTSUPP
    setattr(system, step, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        write_movie(tmp_path / "film.mp4", clips, [track(PARTS)], 15360)


def test_what_is_small_is_copied(clips: list[Path], tmp_path: Path, system: FileSystem) -> None:
    film = tmp_path / "film.mp4"
    write_movie(film, clips, [track([(0, 1, SMALL), (1, 2, SMALL)])], 15360)
    assert not system.asked_to_share
    assert not system.asked_to_copy
    assert samples_of(film) == [clips[0].read_bytes()[1 : 1 + SMALL], clips[1].read_bytes()[2 : 2 + SMALL]]


def test_a_gap_lies_between_chunks(clips: list[Path], tmp_path: Path, system: FileSystem) -> None:
    """Also where a stretch begins within one clip's pictures, of which some are left out."""
    parts = [(0, 0, SMALL), (0, 50_000, LARGE), (0, 4_000_000, SMALL)]
    film = tmp_path / "film.mp4"
    write_movie(film, clips, [track(parts)], 15360)
    data = clips[0].read_bytes()
    assert samples_of(film) == [data[offset : offset + size] for _, offset, size in parts]
    assert len(system.shared) == 1


def test_another_system_is_asked_for_none_of_it(
    clips: list[Path], tmp_path: Path, system: FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "IS_LINUX", False)
    film = tmp_path / "film.mp4"
    write_movie(film, clips, [track(PARTS)], 15360)
    assert not system.asked_to_share
    assert not system.asked_to_copy
    assert samples_of(film) == expected(clips)


def test_copying_can_be_stopped(clips: list[Path], tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done > LARGE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(tmp_path / "film.mp4", clips, [track(PARTS)], 15360, checkpoint=stop)


def test_the_kernel_is_stopped_in_the_midst_of_a_stretch(clips: list[Path], tmp_path: Path, system: FileSystem) -> None:
    system.sharing_fails = errno.EOPNOTSUPP

    def stop(done: int) -> None:
        if done > LARGE // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(tmp_path / "film.mp4", clips, [track(PARTS)], 15360, checkpoint=stop)
    assert sum(system.copied) < LARGE
