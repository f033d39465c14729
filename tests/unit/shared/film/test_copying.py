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

LARGE = 300_000
SMALL = 1000


class FileSystem:
    """Stands for one that shares blocks: as strict as Btrfs and XFS are about them, but it copies."""

    def __init__(self) -> None:
        self.shared: list[int] = []

    def ioctl(self, output: int, request: int, argument: bytes) -> int:
        """Do what ioctl_ficlonerange(2) describes."""
        assert request == 0x4020940D
        source, offset, count, at = struct.unpack("@qQQQ", argument)
        if offset % 4096 or count % 4096 or at % 4096 or not count:
            raise OSError(errno.EINVAL, "blocks are shared whole")
        assert os.pwrite(output, os.pread(source, count, offset), at) == count
        self.shared.append(count)
        return 0


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the way that Linux goes, whatever system this is."""
    monkeypatch.setattr(engine, "SYSTEM_SHARES", True)


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> FileSystem:
    system = FileSystem()
    monkeypatch.setattr("fcntl.ioctl", system.ioctl)
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


PARTS = [(0, 5000, SMALL), (0, 6000, LARGE), (0, 6000 + LARGE, SMALL), (1, 77, SMALL), (1, 123_457, LARGE)]


def samples_of(film: Path) -> list[bytes]:
    (found,) = read_movie(film).tracks
    data = film.read_bytes()
    return [data[at : at + size] for at, size in zip(found.offsets.tolist(), found.sizes.tolist(), strict=True)]


def expected(clips: list[Path]) -> list[bytes]:
    data = [clip.read_bytes() for clip in clips]
    return [data[source][offset : offset + size] for source, offset, size in PARTS]


def test_large_stretches_are_shared_and_every_sample_is_what_it_was(
    clips: list[Path], tmp_path: Path, sharing: FileSystem
) -> None:
    film = tmp_path / "film.mp4"
    written = write_movie(film, clips, [track(PARTS)], 15360)
    assert samples_of(film) == expected(clips)
    assert len(sharing.shared) == 2
    assert sum(sharing.shared) > 2 * LARGE - 4 * engine.BLOCK_BYTES
    assert written == film.stat().st_size
    assert written < sum(size for *_, size in PARTS) + 2 * engine.BLOCK_BYTES + 1024, "a block of gap for each clip"


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY])
def test_what_cannot_be_shared_is_copied_and_not_tried_again(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    tried: list[int] = []

    def refuse(output: int, _request: int, _argument: bytes) -> int:
        tried.append(output)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.ioctl", refuse)
    film = tmp_path / "film.mp4"
    write_movie(film, clips, [track(PARTS)], 15360)
    assert samples_of(film) == expected(clips)
    assert len(tried) == 1


def test_a_full_disk_is_no_reason_to_copy(clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_output: int, _request: int, _argument: bytes) -> int:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("fcntl.ioctl", full)
    with pytest.raises(OSError, match="no room"):
        write_movie(tmp_path / "film.mp4", clips, [track(PARTS)], 15360)


def test_what_is_small_is_copied(clips: list[Path], tmp_path: Path, sharing: FileSystem) -> None:
    film = tmp_path / "film.mp4"
    write_movie(film, clips, [track([(0, 1, SMALL), (1, 2, SMALL)])], 15360)
    assert not sharing.shared
    assert samples_of(film) == [clips[0].read_bytes()[1 : 1 + SMALL], clips[1].read_bytes()[2 : 2 + SMALL]]


def test_a_gap_lies_between_chunks(clips: list[Path], tmp_path: Path, sharing: FileSystem) -> None:
    """Also where a stretch begins within one clip's pictures, of which some are left out."""
    parts = [(0, 0, SMALL), (0, 50_000, LARGE), (0, 400_000, SMALL)]
    film = tmp_path / "film.mp4"
    write_movie(film, clips, [track(parts)], 15360)
    data = clips[0].read_bytes()
    assert samples_of(film) == [data[offset : offset + size] for _, offset, size in parts]
    assert len(sharing.shared) == 1


def test_a_system_that_shares_nothing_is_not_asked(
    clips: list[Path], tmp_path: Path, sharing: FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SYSTEM_SHARES", False)
    film = tmp_path / "film.mp4"
    write_movie(film, clips, [track(PARTS)], 15360)
    assert not sharing.shared
    assert samples_of(film) == expected(clips)


def test_copying_can_be_stopped(clips: list[Path], tmp_path: Path, sharing: FileSystem) -> None:
    def stop(done: int) -> None:
        if done > LARGE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(tmp_path / "film.mp4", clips, [track(PARTS)], 15360, checkpoint=stop)
