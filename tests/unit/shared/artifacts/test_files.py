"""What only the folder store does: folders, links, leftovers, and errors of the disk."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path

import pytest

from shared.artifacts import _disk, files
from shared.artifacts.factory import open_artifacts
from shared.artifacts.files import FileArtifacts
from shared.errors import ArtifactsUnavailable, ConfigurationError

KEY = "jobs/job_1/clip-1.mp4"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
async def artifacts(root: Path) -> AsyncIterator[FileArtifacts]:
    store = FileArtifacts(root)
    yield store
    await store.close()


async def put(store: FileArtifacts, key: str, content: bytes = b"content") -> None:
    async with store.writer(key) as writer:
        await writer.write(content)


def everything_below(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


async def test_the_key_is_the_path(artifacts: FileArtifacts, root: Path) -> None:
    await put(artifacts, KEY, b"clip")
    assert (root / KEY).read_bytes() == b"clip"


async def test_folders_left_empty_go_with_their_last_artifact(artifacts: FileArtifacts, root: Path) -> None:
    await put(artifacts, KEY)
    await put(artifacts, "jobs/job_2/film.mp4")
    await artifacts.delete(KEY)
    assert everything_below(root) == ["jobs", "jobs/job_2", "jobs/job_2/film.mp4"]
    await artifacts.delete_prefix("jobs/job_2/")
    assert everything_below(root) == []


async def test_a_failed_write_leaves_no_folder(artifacts: FileArtifacts, root: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with artifacts.writer(KEY):
            raise ZeroDivisionError
    assert everything_below(root) == []


async def test_a_write_cancelled_while_it_opens_leaves_nothing(
    artifacts: FileArtifacts, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, go_on = threading.Event(), threading.Event()

    def create_late(path: Path) -> FileIO:
        opening.set()
        go_on.wait(10)
        return _disk.create_file(path)

    monkeypatch.setattr(files, "create_file", create_late)
    task = asyncio.create_task(put(artifacts, KEY))
    assert await asyncio.to_thread(opening.wait, 10)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert everything_below(root) == []


async def test_a_file_on_the_same_disk_is_linked_not_copied(
    artifacts: FileArtifacts, root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(b"film")
    await artifacts.put_file(KEY, source)
    assert (root / KEY).samefile(source)


async def test_a_symbolic_link_is_followed(artifacts: FileArtifacts, root: Path, tmp_path: Path) -> None:
    source, link = tmp_path / "film.mp4", tmp_path / "link"
    source.write_bytes(b"film")
    link.symlink_to(source)
    await artifacts.put_file(KEY, link)
    source.unlink()
    assert (root / KEY).read_bytes() == b"film"


@pytest.mark.parametrize("kernel_copies", [True, False])
async def test_a_file_that_cannot_be_linked_is_copied(
    artifacts: FileArtifacts, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_copies: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    if not kernel_copies:
        monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    content = os.urandom(3_000_000)
    source = tmp_path / "film.mp4"
    source.write_bytes(content)
    await artifacts.put_file(KEY, source)
    assert not (root / KEY).samefile(source)
    assert (root / KEY).read_bytes() == content
    assert everything_below(root) == ["jobs", "jobs/job_1", KEY]


async def test_an_old_file_counts_as_completed_now(artifacts: FileArtifacts, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(b"film")
    os.utime(source, (1, 1))
    stat = await artifacts.put_file(KEY, source)
    assert stat.modified_at > 1_000_000


async def test_leftovers_of_killed_processes_are_swept_when_old(artifacts: FileArtifacts, root: Path) -> None:
    await put(artifacts, KEY)
    old, young = root / "jobs/job_2/.tmp-old", root / "jobs/job_1/.tmp-young"
    old.parent.mkdir()
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    an_hour_ago = time.time() - 3_600
    os.utime(old, (an_hour_ago, an_hour_ago))
    assert await artifacts.sweep_temporary(older_than_s=600) == 1
    assert everything_below(root) == ["jobs", "jobs/job_1", "jobs/job_1/.tmp-young", KEY]


async def test_a_write_in_progress_survives_the_sweep_and_the_deletion_around_it(
    artifacts: FileArtifacts, root: Path
) -> None:
    await put(artifacts, "jobs/job_1/clip-2.mp4")
    async with artifacts.writer(KEY) as writer:
        await writer.write(b"half")
        assert await artifacts.sweep_temporary(older_than_s=600) == 0
        await artifacts.delete_prefix("jobs/job_1/")
        await writer.write(b" and half")
    assert (root / KEY).read_bytes() == b"half and half"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "not permitted"),
        (errno.EIO, "check the disk"),
        (errno.ELOOP, "Too many levels"),
    ],
)
async def test_an_error_of_the_disk_says_what_to_do(
    artifacts: FileArtifacts, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ArtifactsUnavailable, match=words):
        await artifacts.ping()
    with pytest.raises(ArtifactsUnavailable, match=words):
        await put(artifacts, KEY)
    monkeypatch.undo()
    assert everything_below(root) == []


async def test_a_full_disk_leaves_nothing_half_written(
    artifacts: FileArtifacts, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # /dev/full takes no byte, as a full disk does.
    monkeypatch.setattr(files, "create_file", lambda _: FileIO("/dev/full", "w"))
    with pytest.raises(ArtifactsUnavailable, match="disk full"):
        await put(artifacts, KEY, bytes(files.BUFFER_BYTES))
    assert await artifacts.stat(KEY) is None
    assert everything_below(root) == []


async def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("in the way")
    store = FileArtifacts(tmp_path / "artifacts")
    with pytest.raises(ArtifactsUnavailable, match=r"artifacts at .*: "):
        await store.ping()
    await store.close()


async def test_a_mount_that_hangs_is_told_apart(artifacts: FileArtifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    thawed = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: thawed.wait(10))
    monkeypatch.setattr(files, "PING_TIMEOUT_S", 0.05)
    with pytest.raises(ArtifactsUnavailable, match="no answer within"):
        await artifacts.ping()
    thawed.set()


class TestOpening:
    async def test_a_file_url_names_a_folder(self, tmp_path: Path) -> None:
        store = open_artifacts((tmp_path / "a folder").as_uri())
        async with store.writer(KEY) as writer:
            await writer.write(b"x")
        assert (tmp_path / "a folder" / KEY).exists()
        await store.close()

    async def test_a_relative_folder_is_below_the_current_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        store = open_artifacts("file://./data/artifacts")
        await store.ping()
        assert (tmp_path / "data/artifacts").is_dir()
        await store.close()

    @pytest.mark.parametrize("url", ["", "ftp://host/x", "/plain/folder", "file://", "file:///x?y=1"])
    def test_anything_else_names_the_setting(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="ARTIFACTS_URL"):
            open_artifacts(url)


async def test_a_reader_that_leaves_while_its_file_is_being_opened_leaves_no_handle(
    artifacts: FileArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(artifacts, KEY)
    begun, may_go_on = threading.Event(), threading.Event()
    files_opened: list[FileIO] = []

    def open_slowly(path: Path) -> FileIO:
        begun.set()
        may_go_on.wait()
        files_opened.append(FileIO(path))
        return files_opened[0]

    monkeypatch.setattr(files, "FileIO", open_slowly)
    reading = asyncio.ensure_future(anext(artifacts.read(KEY)))
    await asyncio.to_thread(begun.wait)
    for _ in range(3):  # again and again, as AnyIO does until the task has ended
        reading.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert [file.closed for file in files_opened] == [True]
