"""The job store of the embedded mode: one SQLite file that survives `kill -9` and several processes.

Write-ahead log with `synchronous=FULL`: a write that was answered is on the disk. Every operation is one
transaction, run from start to end in the backend's own thread: the event loop is never blocked, and an
operation whose caller is cancelled is either done or not, never half. Several processes may open the same
file; writers take turns by `BEGIN IMMEDIATE` and wait for each other up to `busy_ms`.
Facts: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from shared.clock import Clock, now_ms
from shared.errors import StoreUnavailable
from shared.store import sqlite_books
from shared.store.cursors import Position, decode_cursor, encode_cursor
from shared.store.protocol import TOKEN_TTL_MS, Page, Row, Tally
from shared.store.tokens import is_remembered, remember

MIGRATIONS = ("schema.sql", "schema-2.sql")
"""What brings an empty file to schema 1, then 2, and so on."""
SCHEMA_VERSION = len(MIGRATIONS)

Args = TypeVarTuple("Args")
R = TypeVar("R")


class SqliteBackend:
    """`shared.store.protocol.Backend` on one SQLite file.

    Args:
        path: the database file; its folder is created when missing. Must be on a local disk: SQLite's locks
            do not work on network file systems.
        busy_ms: how long to wait for another process that is writing.
        clock: what claims and marks expire by.
    """

    def __init__(self, path: Path, *, busy_ms: int = 5_000, clock: Clock = now_ms) -> None:
        self._path = path
        self._busy_ms = busy_ms
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or create the file. Raises `StoreUnavailable`."""
        if self._thread is not None:
            return
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-store")
        try:
            self._connection = await asyncio.get_running_loop().run_in_executor(
                self._thread, connect, self._path, self._busy_ms
            )
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what runs and close the file."""
        thread, connection = self._thread, self._connection
        self._thread = self._connection = None
        if thread is None:
            return
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(thread, connection.close)
        thread.shutdown(wait=False)

    async def ping(self) -> None:
        """Write a probe row, so that a full disk or a read-only file shows."""
        await self._write(_probe, self._clock())

    async def insert(self, row: Row, token: str) -> bool:
        """See `Backend.insert`."""
        return await self._write(_insert, row, token)

    async def load(self, job_id: str) -> tuple[int, str] | None:
        """See `Backend.load`."""
        return await self._read(_load, job_id)

    async def swap(self, row: Row, expected_version: int, token: str) -> bool:
        """See `Backend.swap`."""
        return await self._write(_swap, row, expected_version, token)

    async def due(self, now_ms: int, limit: int) -> list[str]:
        """See `Backend.due`."""
        return await self._read(
            _ids, "SELECT id FROM jobs WHERE due_at <= ? ORDER BY due_at, id LIMIT ?", now_ms, limit
        )

    async def expired(self, now_ms: int, limit: int) -> list[str]:
        """See `Backend.expired`."""
        return await self._read(
            _ids, "SELECT id FROM jobs WHERE expires_at <= ? ORDER BY expires_at, id LIMIT ?", now_ms, limit
        )

    async def delete(self, job_id: str) -> None:
        """See `Backend.delete`."""
        await self._write(_delete, job_id)

    async def page(self, status: str | None, limit: int, cursor: str | None) -> Page:
        """See `Backend.page`."""
        position = None if cursor is None else decode_cursor(cursor)
        return await self._read(_page, status, limit, position)

    async def counts(self) -> dict[str, int]:
        """See `Backend.counts`."""
        return await self._read(_counts)

    async def oldest_due_created_at(self) -> int | None:
        """See `Backend.oldest_due_created_at`."""
        return await self._read(_oldest_due_created_at)

    async def claim(self, key: str, value: str, ttl_ms: int) -> str:
        """See `Backend.claim`."""
        return await self._write(_claim, key, value, self._clock(), ttl_ms)

    async def release(self, key: str, value: str) -> None:
        """See `Backend.release`."""
        await self._write(_release, key, value)

    async def put_mark(self, key: str, value: str, ttl_ms: int) -> None:
        """See `Backend.put_mark`."""
        await self._write(_put_mark, key, value, self._clock(), ttl_ms)

    async def get_mark(self, key: str) -> str | None:
        """See `Backend.get_mark`."""
        return (await self.marks(key)).get(key)

    async def marks(self, prefix: str) -> dict[str, str]:
        """See `Backend.marks`."""
        return await self._read(_marks, prefix, self._clock())

    async def take(self, bucket: str, limit: int, window_ms: int, now_ms: int, pause: str = "") -> int:
        """See `Backend.take`."""
        return await self._write(_take, bucket, limit, window_ms, now_ms, pause)

    async def tally(
        self,
        book: str,
        adds: Mapping[str, int],
        caps: Mapping[str, int],
        token: str | None,
        ttl_ms: int,
        token_ttl_ms: int = TOKEN_TTL_MS,
    ) -> Tally:
        """See `Backend.tally`."""
        return await self._write(sqlite_books.tally, book, adds, caps, token, self._clock(), ttl_ms)

    async def amounts(self, book: str) -> dict[str, int]:
        """See `Backend.amounts`."""
        return await self._read(sqlite_books.amounts, book, self._clock())

    async def _read(self, operation: Callable[[sqlite3.Connection, *Args], R], *args: *Args) -> R:
        return await self._run("BEGIN", operation, *args)

    async def _write(self, operation: Callable[[sqlite3.Connection, *Args], R], *args: *Args) -> R:
        return await self._run("BEGIN IMMEDIATE", operation, *args)

    async def _run(self, begin: str, operation: Callable[[sqlite3.Connection, *Args], R], *args: *Args) -> R:
        thread, connection = self._thread, self._connection
        if thread is None or connection is None:
            raise StoreUnavailable(f"job store {self._path}: not open")

        def transaction() -> R:
            with _errors_named(self._path):
                connection.execute(begin)
                try:
                    result = operation(connection, *args)
                    connection.execute("COMMIT")
                except BaseException:
                    # A failed statement may have ended the transaction already (disk full does).
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                return result

        return await asyncio.get_running_loop().run_in_executor(thread, transaction)


def connect(path: Path, busy_ms: int) -> sqlite3.Connection:
    """Open `path` with full durability and bring its schema up to date. Raises `StoreUnavailable`."""
    with _errors_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False)
        try:
            _use_write_ahead_log(connection, busy_ms)
            connection.execute("PRAGMA synchronous = FULL")
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _use_write_ahead_log(connection: sqlite3.Connection, busy_ms: int) -> None:
    # Unlike every other statement, the switch does not wait when several processes open a new file together.
    deadline = time.monotonic() + busy_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")  # of several processes that start at once, one makes the tables
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreUnavailable(
            f"job store {path}: written by a newer version of this program (schema {version}, "
            f"this one knows {SCHEMA_VERSION}); update, or point DATA_DIR elsewhere"
        )
    if version < SCHEMA_VERSION:
        for migration in MIGRATIONS[version:]:
            for statement in _statements((files(__package__) / migration).read_text()):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    # sqlite3's executescript would commit the transaction that guards the migration.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"job store {path}: {error}; {_advice(str(error))}") from error


def _advice(problem: str) -> str:
    for sign, advice in (
        ("disk is full", "free disk space under DATA_DIR"),
        ("readonly", "make DATA_DIR writable for this user"),
        ("unable to open", "check that DATA_DIR exists and is writable"),
        ("locked", "another process holds the file; stop it or wait"),
        ("not a database", "the file is damaged; restore it from a backup or move it away"),
        ("malformed", "the file is damaged; restore it from a backup or move it away"),
    ):
        if sign in problem:
            return advice
    return "check the disk under DATA_DIR"


def _probe(db: sqlite3.Connection, now: int) -> None:
    db.execute("INSERT OR REPLACE INTO probe VALUES (1, ?)", (now,))


def _insert(db: sqlite3.Connection, row: Row, token: str) -> bool:
    stored = db.execute("SELECT tokens FROM jobs WHERE id = ?", (row.id,)).fetchone()
    if stored is not None:
        return is_remembered(token, stored[0])
    db.execute(
        "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            row.version,
            row.status,
            row.created_at,
            row.due_at,
            row.expires_at,
            remember(token, ""),
            row.document,
        ),
    )
    return True


def _load(db: sqlite3.Connection, job_id: str) -> tuple[int, str] | None:
    found = db.execute("SELECT version, document FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return None if found is None else (found[0], found[1])


def _swap(db: sqlite3.Connection, row: Row, expected_version: int, token: str) -> bool:
    stored = db.execute("SELECT version, tokens FROM jobs WHERE id = ?", (row.id,)).fetchone()
    if stored is None:
        return False
    version, tokens = stored
    if is_remembered(token, tokens):
        return True
    if version != expected_version:
        return False
    db.execute(
        "UPDATE jobs SET version = ?, status = ?, created_at = ?, due_at = ?, expires_at = ?, tokens = ?, document = ?"
        " WHERE id = ?",
        (
            row.version,
            row.status,
            row.created_at,
            row.due_at,
            row.expires_at,
            remember(token, tokens),
            row.document,
            row.id,
        ),
    )
    return True


def _ids(db: sqlite3.Connection, query: str, now: int, limit: int) -> list[str]:
    return [job_id for (job_id,) in db.execute(query, (now, limit))]


def _delete(db: sqlite3.Connection, job_id: str) -> None:
    db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def _page(db: sqlite3.Connection, status: str | None, limit: int, position: Position | None) -> Page:
    conditions, values = ["TRUE"], list[str | int]()
    if status is not None:
        conditions.append("status = ?")
        values.append(status)
    if position is not None:
        conditions.append("(created_at, id) < (?, ?)")
        values.extend(position)
    found = db.execute(
        f"SELECT created_at, id, document FROM jobs WHERE {' AND '.join(conditions)}"  # noqa: S608  (constants)
        " ORDER BY created_at DESC, id DESC LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    shown = found[:limit]
    cursor = encode_cursor(Position(*shown[-1][:2])) if len(found) > limit else None
    return Page(tuple(document for _, _, document in shown), cursor)


def _counts(db: sqlite3.Connection) -> dict[str, int]:
    return dict(db.execute("SELECT status, jobs FROM counts WHERE jobs > 0").fetchall())


def _oldest_due_created_at(db: sqlite3.Connection) -> int | None:
    found = db.execute("SELECT created_at FROM jobs WHERE due_at IS NOT NULL ORDER BY created_at LIMIT 1").fetchone()
    return None if found is None else int(found[0])


def _claim(db: sqlite3.Connection, key: str, value: str, now: int, ttl_ms: int) -> str:
    db.execute("DELETE FROM claims WHERE expires_at <= ?", (now,))
    held = db.execute("SELECT value FROM claims WHERE key = ?", (key,)).fetchone()
    if held is not None and held[0] != value:
        return str(held[0])
    db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (key, value, now + ttl_ms))
    return value


def _release(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("DELETE FROM claims WHERE key = ? AND value = ?", (key, value))


def _put_mark(db: sqlite3.Connection, key: str, value: str, now: int, ttl_ms: int) -> None:
    db.execute("DELETE FROM marks WHERE expires_at <= ?", (now,))
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (key, value, now + ttl_ms))


def _marks(db: sqlite3.Connection, prefix: str, now: int) -> dict[str, str]:
    living = db.execute("SELECT key, value FROM marks WHERE expires_at > ?", (now,)).fetchall()
    return {key: value for key, value in living if key.startswith(prefix)}


def _take(db: sqlite3.Connection, bucket: str, limit: int, window_ms: int, now: int, pause: str) -> int:
    paused = db.execute("SELECT expires_at FROM marks WHERE key = ? AND expires_at > ?", (pause, now)).fetchone()
    if paused is not None:
        return int(paused[0]) - now
    # A permit from further ahead than a window was given out by a clock that has been set back since.
    db.execute(
        "DELETE FROM permits WHERE bucket = ? AND (at <= ? OR at > ?)", (bucket, now - window_ms, now + window_ms)
    )
    taken = db.execute(
        "SELECT at FROM permits WHERE bucket = ? ORDER BY at DESC LIMIT 1 OFFSET ?", (bucket, limit - 1)
    ).fetchone()
    if taken is not None:
        return int(taken[0]) + window_ms - now
    db.execute("INSERT INTO permits VALUES (?, ?)", (bucket, now))
    return 0
