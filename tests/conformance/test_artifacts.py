"""What every artifact store must do; each test runs on a folder, in memory and on a real S3 server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.artifacts.files import FileArtifacts
from shared.artifacts.memory import MemoryArtifacts
from shared.artifacts.protocol import ArtifactNotFound, ArtifactStore
from shared.clock import now_ms
from tests.support.s3 import S3Server, artifacts_in

KEY = "jobs/job_1/clip-1.mp4"
LARGE = bytes(range(256)) * 10_000  # 2.5 MB: more than one buffer and more than one read


@pytest.fixture(params=["files", "memory", "s3"])
async def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ArtifactStore]:
    store: ArtifactStore = MemoryArtifacts()
    if request.param == "files":
        store = FileArtifacts(tmp_path / "artifacts")
    elif request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        store = artifacts_in(server.url, server.new_bucket(), tmp_path / "spool")
    yield store
    await store.close()
    assert list((tmp_path / "spool").glob("*")) == []


async def put(store: ArtifactStore, key: str, content: bytes = b"content") -> None:
    async with store.writer(key) as writer:
        await writer.write(content)


async def fail_to_put(store: ArtifactStore, key: str, content: bytes) -> None:
    async with store.writer(key) as writer:
        await writer.write(content)
        raise ZeroDivisionError


async def content(store: ArtifactStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([part async for part in store.read(key, start, end)])


async def keys(store: ArtifactStore, prefix: str = "") -> list[str]:
    return [stat.key async for stat in store.list(prefix)]


class TestWriting:
    async def test_what_is_written_piece_by_piece_is_read_as_one(self, artifacts: ArtifactStore) -> None:
        async with artifacts.writer(KEY) as writer:
            for start in range(0, len(LARGE), 70_001):
                await writer.write(LARGE[start : start + 70_001])
        assert await content(artifacts, KEY) == LARGE

    async def test_size_counts_what_was_written(self, artifacts: ArtifactStore) -> None:
        async with artifacts.writer(KEY) as writer:
            assert writer.size == 0
            await writer.write(b"12345")
            assert writer.size == 5
            await writer.write(LARGE)
            assert writer.size == 5 + len(LARGE)

    async def test_an_empty_artifact_is_one(self, artifacts: ArtifactStore) -> None:
        async with artifacts.writer(KEY):
            pass
        assert await content(artifacts, KEY) == b""

    @pytest.mark.parametrize("before", [b"0123456789", LARGE])
    async def test_a_resumed_download_goes_on_from_any_point(self, artifacts: ArtifactStore, before: bytes) -> None:
        async with artifacts.writer(KEY) as writer:
            await writer.write(before)
            await writer.truncate(4)
            assert writer.size == 4
            await writer.write(b"xyz")
        assert await content(artifacts, KEY) == before[:4] + b"xyz"

    async def test_a_restarted_download_begins_anew(self, artifacts: ArtifactStore) -> None:
        async with artifacts.writer(KEY) as writer:
            await writer.write(LARGE)
            await writer.truncate()
            await writer.write(b"again")
        assert await content(artifacts, KEY) == b"again"

    async def test_truncating_to_more_than_there_is_is_refused(self, artifacts: ArtifactStore) -> None:
        async with artifacts.writer(KEY) as writer:
            await writer.write(b"123")
            with pytest.raises(ValueError, match="cannot keep 4 of 3"):
                await writer.truncate(4)
            await writer.write(b"456")
        assert await content(artifacts, KEY) == b"123456"

    async def test_nobody_sees_it_before_it_is_complete(self, artifacts: ArtifactStore) -> None:
        async with artifacts.writer(KEY) as writer:
            await writer.write(LARGE)
            assert await artifacts.stat(KEY) is None
            assert await keys(artifacts) == []

    async def test_nothing_is_left_of_a_failed_one(self, artifacts: ArtifactStore) -> None:
        with pytest.raises(ZeroDivisionError):
            await fail_to_put(artifacts, KEY, LARGE)
        assert await artifacts.stat(KEY) is None
        assert await artifacts.sweep_temporary(older_than_s=-60) == 0

    async def test_nothing_is_left_of_a_cancelled_one(self, artifacts: ArtifactStore) -> None:
        writing = asyncio.Event()

        async def download() -> None:
            async with artifacts.writer(KEY) as writer:
                await writer.write(LARGE)
                writing.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(download())
        await writing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await artifacts.stat(KEY) is None
        assert await artifacts.sweep_temporary(older_than_s=-60) == 0

    async def test_a_failed_rewrite_keeps_the_old_content(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY, b"old")
        with pytest.raises(ZeroDivisionError):
            await fail_to_put(artifacts, KEY, b"new")
        assert await content(artifacts, KEY) == b"old"

    async def test_a_rewrite_replaces_the_content(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY, b"old and long")
        await put(artifacts, KEY, b"new")
        assert await content(artifacts, KEY) == b"new"

    async def test_of_simultaneous_writers_the_artifact_is_one_whole(self, artifacts: ArtifactStore) -> None:
        contents = [bytes([n]) * 50_000 for n in range(8)]
        await asyncio.gather(*(put(artifacts, KEY, one) for one in contents))
        assert await content(artifacts, KEY) in contents

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/",
            "/etc/passwd",
            "a/../b",
            "..",
            "a/..",
            "a//b",
            "a/",
            ".hidden",
            "a/.tmp-1",
            "a\\b",
            "a\0",
            "a b",
            "ä",
        ],
    )
    async def test_a_malformed_key_is_refused(self, artifacts: ArtifactStore, key: str, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"x")
        with pytest.raises(ValueError, match="artifact key"):
            await put(artifacts, key)
        with pytest.raises(ValueError, match="artifact key"):
            await artifacts.put_file(key, source)
        with pytest.raises(ValueError, match="artifact key"):
            await artifacts.stat(key)
        with pytest.raises(ValueError, match="artifact key"):
            await content(artifacts, key)
        with pytest.raises(ValueError, match="artifact key"):
            await artifacts.delete(key)
        with pytest.raises(ValueError, match="artifact key"):
            async with artifacts.local_path(key):
                pass


class TestFiles:
    async def test_a_local_file_becomes_an_artifact_and_stays(self, artifacts: ArtifactStore, tmp_path: Path) -> None:
        source = tmp_path / "film.mp4"
        source.write_bytes(LARGE)
        stat = await artifacts.put_file(KEY, source)
        assert (stat.key, stat.size_bytes) == (KEY, len(LARGE))
        assert await content(artifacts, KEY) == LARGE
        assert source.read_bytes() == LARGE

    async def test_deleting_the_file_keeps_the_artifact(self, artifacts: ArtifactStore, tmp_path: Path) -> None:
        source = tmp_path / "film.mp4"
        source.write_bytes(b"film")
        await artifacts.put_file(KEY, source)
        source.unlink()
        assert await content(artifacts, KEY) == b"film"

    async def test_the_same_file_can_be_put_twice(self, artifacts: ArtifactStore, tmp_path: Path) -> None:
        source = tmp_path / "film.mp4"
        source.write_bytes(b"film")
        await artifacts.put_file(KEY, source)
        await artifacts.put_file(KEY, source)
        assert await content(artifacts, KEY) == b"film"
        assert await artifacts.sweep_temporary(older_than_s=-60) == 0

    async def test_a_missing_file_is_named(self, artifacts: ArtifactStore, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="nothing-here"):
            await artifacts.put_file(KEY, tmp_path / "nothing-here")
        assert await artifacts.stat(KEY) is None

    async def test_a_local_path_holds_the_content(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY, LARGE)
        async with artifacts.local_path(KEY) as path:
            assert path is not None
            assert path.read_bytes() == LARGE
            assert path.suffix == ".mp4"

    async def test_there_is_no_local_path_of_an_unknown_artifact(self, artifacts: ArtifactStore) -> None:
        async with artifacts.local_path(KEY) as path:
            assert path is None


class TestReading:
    async def test_size_and_time_are_known(self, artifacts: ArtifactStore) -> None:
        before = now_ms()
        await put(artifacts, KEY, b"12345")
        stat = await artifacts.stat(KEY)
        assert stat is not None
        assert (stat.key, stat.size_bytes) == (KEY, 5)
        # File systems keep the time of the last kernel tick, which may lie a few ms back; S3 keeps whole seconds.
        assert before - 1_100 <= stat.modified_at <= now_ms() + 100

    async def test_an_unknown_artifact_has_no_stat(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY)
        assert await artifacts.stat("jobs/job_1/clip-2.mp4") is None
        assert await artifacts.stat("jobs/job_1") is None, "a folder is no artifact"
        assert await artifacts.stat(f"{KEY}/below") is None, "nothing lies below an artifact"

    @pytest.mark.parametrize("key", ["jobs/job_1/clip-2.mp4", "jobs/job_1", f"{KEY}/below"])
    async def test_reading_an_unknown_artifact_says_so(self, artifacts: ArtifactStore, key: str) -> None:
        await put(artifacts, KEY)
        with pytest.raises(ArtifactNotFound, match=key):
            await content(artifacts, key)

    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, None), (0, 1), (5, 5), (1, 300_000), (262_144, 524_288), (2_559_999, None), (2_560_000, None)],
    )
    async def test_a_range_is_exactly_that(self, artifacts: ArtifactStore, start: int, end: int | None) -> None:
        await put(artifacts, KEY, LARGE)
        assert await content(artifacts, KEY, start, end) == LARGE[start:end]

    async def test_a_range_past_the_end_stops_there(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY, b"12345")
        assert await content(artifacts, KEY, 3, 99) == b"45"
        assert await content(artifacts, KEY, 50, 99) == b""

    @pytest.mark.parametrize(("start", "end"), [(-1, None), (3, 2)])
    async def test_a_range_that_is_none_is_refused(self, artifacts: ArtifactStore, start: int, end: int) -> None:
        await put(artifacts, KEY)
        with pytest.raises(ValueError, match="no range"):
            await content(artifacts, KEY, start, end)

    async def test_a_reader_keeps_what_it_began_with(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY, LARGE)
        reader = artifacts.read(KEY)
        first = await anext(reader)
        await put(artifacts, KEY, b"new")
        await artifacts.delete(KEY)
        assert first + b"".join([part async for part in reader]) == LARGE


class TestListing:
    async def test_all_below_a_prefix_by_key(self, artifacts: ArtifactStore) -> None:
        for key in ("jobs/b/2.mp4", "jobs/a/2.mp4", "jobs/a/1.mp4", "jobs/ab/1.mp4", "other/x"):
            await put(artifacts, key)
        assert await keys(artifacts, "jobs/a/") == ["jobs/a/1.mp4", "jobs/a/2.mp4"]
        assert await keys(artifacts, "jobs/a") == ["jobs/a/1.mp4", "jobs/a/2.mp4", "jobs/ab/1.mp4"]
        assert await keys(artifacts, "jobs/a/1") == ["jobs/a/1.mp4"]
        assert len(await keys(artifacts)) == 5

    async def test_nothing_is_an_empty_list(self, artifacts: ArtifactStore) -> None:
        assert await keys(artifacts) == []
        assert await keys(artifacts, "jobs/nobody/") == []

    async def test_sizes_are_listed(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY, b"12345")
        assert [stat.size_bytes async for stat in artifacts.list()] == [5]

    @pytest.mark.parametrize("prefix", ["/", "..", "a/../", "jobs//"])
    async def test_a_malformed_prefix_is_refused(self, artifacts: ArtifactStore, prefix: str) -> None:
        with pytest.raises(ValueError, match="artifact prefix"):
            await keys(artifacts, prefix)
        with pytest.raises(ValueError, match="artifact prefix"):
            await artifacts.delete_prefix(prefix)


class TestDeleting:
    async def test_a_deleted_artifact_is_gone(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY)
        await artifacts.delete(KEY)
        await artifacts.delete(KEY)
        assert await artifacts.stat(KEY) is None

    async def test_deleting_below_an_artifact_does_nothing(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY)
        await artifacts.delete(f"{KEY}/below")
        assert await artifacts.stat(KEY) is not None

    async def test_a_job_is_deleted_as_a_whole(self, artifacts: ArtifactStore) -> None:
        for key in ("jobs/a/1.mp4", "jobs/a/film.mp4", "jobs/ab/1.mp4"):
            await put(artifacts, key)
        assert await artifacts.delete_prefix("jobs/a/") == 2
        assert await artifacts.delete_prefix("jobs/a/") == 0
        assert await keys(artifacts) == ["jobs/ab/1.mp4"]

    async def test_everything_at_once_is_refused(self, artifacts: ArtifactStore) -> None:
        await put(artifacts, KEY)
        with pytest.raises(ValueError, match="every artifact"):
            await artifacts.delete_prefix("")
        assert await keys(artifacts) == [KEY]

    async def test_writing_and_deleting_neighbours_do_not_disturb_each_other(self, artifacts: ArtifactStore) -> None:
        async def come_and_go(n: int) -> None:
            for _ in range(15):
                await put(artifacts, f"jobs/shared/{n}")
                await artifacts.delete(f"jobs/shared/{n}")

        await asyncio.gather(*(come_and_go(n) for n in range(6)))
        assert await keys(artifacts) == []


async def test_ping_leaves_nothing_behind(artifacts: ArtifactStore) -> None:
    await artifacts.ping()
    assert await keys(artifacts) == []
    assert await artifacts.sweep_temporary(older_than_s=-60) == 0
