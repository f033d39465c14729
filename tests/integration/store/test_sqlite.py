"""The SQLite store on a real disk: killed processes, several processes at once, disks that fail."""

import asyncio
import sqlite3
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import IO

import pytest

from shared.errors import JobExists, StoreUnavailable
from shared.store.protocol import Row
from shared.store.sqlite import MIGRATIONS, SCHEMA_VERSION, SqliteBackend
from tests.support.store_writer import a_job, store_at

ROOT = Path(__file__).parents[3]
WRITERS = 3
WRITES_BEFORE_THE_KILL = 15


class Writer:
    """A process of `tests.support.store_writer`."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.store_writer", str(path), name], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._output: IO[bytes] = self._process.stdout

    def wait_for_writes(self, count: int) -> int:
        for _ in range(count):
            assert self._output.readline(), f"{self.name} ended by itself"
        return count

    def kill(self) -> int:
        """Kill it at once and return how many more writes it had reported."""
        self._process.kill()
        more = self._output.read().count(b"\n")
        self._output.close()
        self._process.wait()
        return more


async def test_no_acknowledged_write_is_lost_when_writers_are_killed(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    acknowledged: dict[str, int] = {}
    for round_ in range(2):
        writers = [Writer(path, f"w{round_}{n}") for n in range(WRITERS)]
        for writer in writers:
            acknowledged[writer.name] = writer.wait_for_writes(WRITES_BEFORE_THE_KILL)
        for writer in writers:
            acknowledged[writer.name] += writer.kill()

    store = store_at(path)
    await store.open()
    for name, count in acknowledged.items():
        for n in range(count):
            assert (await store.get(f"{name}_{n}")).version == 1
    increments = (await store.get("counter")).nudges
    # A writer killed between its write and its report has written one more than it said.
    assert sum(acknowledged.values()) <= increments <= sum(acknowledged.values()) + len(acknowledged)
    due = await store.due(limit=10_000)
    counts = await store.counts()
    assert len(due) == sum(counts.values())
    await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (len(due),)
    connection.close()


async def test_stores_that_open_a_new_file_together_all_work(tmp_path: Path) -> None:
    for n in range(20):  # SQLite refused about one in a hundred of such openings before they were repeated
        stores = [store_at(tmp_path / str(n) / "jobs.db") for _ in range(6)]
        await asyncio.gather(*(store.open() for store in stores))
        created = await asyncio.gather(*(store.create(a_job("job_1")) for store in stores), return_exceptions=True)
        assert sum(isinstance(one, JobExists) for one in created) == len(stores) - 1
        await asyncio.gather(*(store.close() for store in stores))


async def test_a_file_locked_for_too_long_is_unavailable_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    backend = SqliteBackend(path, busy_ms=20)
    await backend.open()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process holds the file"):
            await backend.insert(Row("job_1", 1, "pending", 1, None, None, "{}"), "t1")
        assert await backend.load("job_1") is None, "reading goes on meanwhile"
        other.execute("ROLLBACK")
    other.close()
    assert await backend.insert(Row("job_1", 1, "pending", 1, None, None, "{}"), "t1")
    await backend.close()


async def test_a_full_disk_is_named_and_nothing_is_half_done(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "jobs.db")
    await backend.open()
    assert await backend.insert(Row("job_1", 1, "pending", 1, 5, None, "{}"), "t1")
    connection = backend._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="free disk space"):
        await backend.swap(Row("job_1", 2, "failed", 1, None, 9, "x" * 1_000_000), 1, "t2")
    assert await backend.load("job_1") == (1, "{}")
    assert await backend.counts() == {"pending": 1}
    connection.execute("PRAGMA max_page_count = 1000000")
    assert await backend.swap(Row("job_1", 2, "failed", 1, None, 9, "x" * 1_000_000), 1, "t2")
    await backend.close()


async def test_a_cancelled_caller_leaves_the_write_whole(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "jobs.db")
    await backend.open()
    for n in range(20):
        task = asyncio.create_task(backend.insert(Row(f"job_{n}", 1, "pending", n, n, None, "{}"), f"t{n}"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    written = [n for n in range(20) if await backend.load(f"job_{n}") is not None]
    assert await backend.due(100, 100) == [f"job_{n}" for n in written]
    assert (await backend.counts()).get("pending", 0) == len(written)
    await backend.close()


async def test_a_file_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        await SqliteBackend(path).open()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(b"certainly not a database" * 100)
    with pytest.raises(StoreUnavailable, match=r"jobs\.db: file is not a database; .*backup"):
        await SqliteBackend(path).open()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="data"):
        await SqliteBackend(tmp_path / "data" / "jobs.db").open()


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "jobs.db")
    with pytest.raises(StoreUnavailable, match="not open"):
        await backend.ping()
    await backend.open()
    await backend.open()
    await backend.ping()
    await backend.close()
    await backend.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        await backend.load("job_1")


async def test_what_was_stored_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    first = SqliteBackend(path)
    await first.open()
    await first.insert(Row("job_1", 1, "pending", 1, None, None, "document"), "t1")
    await first.close()
    second = SqliteBackend(path)
    await second.open()
    assert await second.load("job_1") == (1, "document")
    assert await second.insert(Row("job_1", 1, "pending", 1, None, None, "document"), "t1"), "tokens are kept too"
    await second.close()
    assert [file.name for file in tmp_path.iterdir()] == ["jobs.db"], "the log was folded into the file"


async def test_a_file_of_an_older_program_is_brought_up_to_date_and_keeps_its_jobs(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    schema = resources.files("shared.store").joinpath(MIGRATIONS[0]).read_text()
    with sqlite3.connect(path) as connection:
        connection.executescript(schema)
        connection.execute("INSERT INTO jobs VALUES ('job_1', 1, 'pending', 5, NULL, NULL, 't', '{}')")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    for _ in range(2):
        backend = SqliteBackend(path)
        await backend.open()
        assert await backend.load("job_1") == (1, "{}")
        assert (await backend.tally("book", {"a": 1}, {}, "once", 60_000)).amounts == {"a": 1}
        await backend.close()
