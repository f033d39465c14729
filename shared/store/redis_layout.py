"""How jobs lie in a Redis keyspace, and the contract's operations on it, whatever carries the commands.

`RedisBackend` (TCP) and `UpstashBackend` (HTTP) differ only in `_execute`; keys, scripts and cursors are the
same, so a deployment can move from one to the other and keep its jobs.

| key                          | type       | holds                                                              |
| ---------------------------- | ---------- | ------------------------------------------------------------------ |
| `sora:{jobs}:job:<id>`       | string     | header line (version, status, created_at, write tokens), document  |
| `sora:{jobs}:listing`        | sorted set | `*:<created_at>:<id>` and `<status>:<created_at>:<id>`, score 0    |
| `sora:{jobs}:due`            | sorted set | id by due_at                                                       |
| `sora:{jobs}:expiry`         | sorted set | id by expires_at                                                   |
| `sora:{jobs}:outstanding`    | sorted set | `<created_at>:<id>` of rows with a due_at, score 0                 |
| `sora:{jobs}:counts`         | hash       | number of rows by status                                           |
| `sora:{jobs}:claim:<key>`    | string     | holder of a lock or an idempotency key, with a time to live        |
| `sora:{jobs}:marks`          | hash       | mark by key, as `<expires_at> <value>`                             |
| `sora:{jobs}:permits:<name>` | sorted set | permits of a sliding window by the time they were granted          |
| `sora:{jobs}:book:<name>`    | hash       | counters, with a time to live                                      |
| `sora:{jobs}:seen:<name>`    | set        | tokens that a book has seen, with the same                         |

The listings are ordered by member, not by score: one declared key serves all statuses, so the write script
need not know beforehand which status a row had. Scripts touch only the KEYS they are given, and all keys have
one hash tag, which is what Redis Cluster and Upstash ask of scripts.
"""

import hashlib
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from shared.clock import Clock, now_ms
from shared.store.cursors import Position, decode_cursor, encode_cursor
from shared.store.protocol import TOKEN_TTL_MS, Page, Row, Tally
from shared.store.tokens import KEPT

Argument = str | int

DIGITS = 15
"""Width of a time inside a member, so that members sort by time; milliseconds reach it in the year 33658."""

BUCKET_TTL_MS = 60_000
"""A bucket outlives its window by this much, so that clocks which differ a little do not lose permits."""

PROBE_TTL_MS = 10_000


class CommandRefused(Exception):
    """The server understood the command and answered with an error; `str()` is the server's text."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the SHA-1 by which a server that has seen it knows it."""

    source: str
    sha1: str

    @classmethod
    def load(cls, name: str) -> "Script":
        """Read `lua/<name>.lua`."""
        source = (files(__package__) / "lua" / f"{name}.lua").read_text()
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


WRITE = Script.load("write")
DELETE = Script.load("delete")
CLAIM = Script.load("claim")
RELEASE = Script.load("release")
MARK = Script.load("mark")
TAKE = Script.load("take")
TALLY = Script.load("tally")


class Keys:
    """The names of all keys; see the module's docstring.

    Raises:
        ValueError: the prefix holds braces, which would move the hash tag.
    """

    def __init__(self, prefix: str) -> None:
        if "{" in prefix or "}" in prefix:
            raise ValueError(f"prefix {prefix!r}: braces are taken by the hash tag")
        self._base = f"{prefix}{{jobs}}:"
        self.listing = self._base + "listing"
        self.due = self._base + "due"
        self.expiry = self._base + "expiry"
        self.outstanding = self._base + "outstanding"
        self.counts = self._base + "counts"
        self.marks = self._base + "marks"
        self.probe = self._base + "probe"

    def row(self, job_id: str) -> str:
        """Key of a job's row."""
        return f"{self._base}job:{job_id}"

    def row_and_indexes(self, job_id: str) -> tuple[str, ...]:
        """KEYS of the scripts that write rows."""
        return (self.row(job_id), self.listing, self.due, self.expiry, self.outstanding, self.counts)

    def claim(self, key: str) -> str:
        """Key of a claim."""
        return f"{self._base}claim:{key}"

    def permits(self, bucket: str) -> str:
        """Key of a sliding window's permits."""
        return f"{self._base}permits:{bucket}"

    def book(self, book: str) -> str:
        """Key of a book's counters."""
        return f"{self._base}book:{book}"

    def seen(self, book: str) -> str:
        """Key of the tokens a book has seen."""
        return f"{self._base}seen:{book}"


class RedisLayoutBackend(ABC):
    """`shared.store.protocol.Backend` on the layout above; subclasses carry commands to a server."""

    def __init__(self, prefix: str, clock: Clock = now_ms) -> None:
        self._keys = Keys(prefix)
        self._clock = clock

    @abstractmethod
    async def _execute(self, *command: Argument) -> Any:
        """Send one command and return the server's reply: texts, integers, None, or (nested) lists of them.

        A map may come as a dictionary.

        Raises:
            CommandRefused: the server answered NOSCRIPT.
            StoreUnavailable: it answered any other error, or not at all.
        """

    @abstractmethod
    async def open(self) -> None:
        """See `Backend.open`."""

    @abstractmethod
    async def close(self) -> None:
        """See `Backend.close`."""

    async def ping(self) -> None:
        """Write a probe key, so that a read-only replica, a full memory or a failing disk shows."""
        await self._execute("SET", self._keys.probe, "1", "PX", PROBE_TTL_MS)

    async def insert(self, row: Row, token: str) -> bool:
        """See `Backend.insert`."""
        return await self._write(row, 0, token)

    async def load(self, job_id: str) -> tuple[int, str] | None:
        """See `Backend.load`."""
        stored = await self._execute("GET", self._keys.row(job_id))
        if stored is None:
            return None
        header, _, document = stored.partition("\n")
        return int(header.partition(" ")[0]), document

    async def swap(self, row: Row, expected_version: int, token: str) -> bool:
        """See `Backend.swap`."""
        return await self._write(row, expected_version, token)

    async def due(self, now_ms: int, limit: int) -> list[str]:
        """See `Backend.due`."""
        return list(await self._execute("ZRANGEBYSCORE", self._keys.due, "-inf", now_ms, "LIMIT", 0, limit))

    async def expired(self, now_ms: int, limit: int) -> list[str]:
        """See `Backend.expired`."""
        return list(await self._execute("ZRANGEBYSCORE", self._keys.expiry, "-inf", now_ms, "LIMIT", 0, limit))

    async def delete(self, job_id: str) -> None:
        """See `Backend.delete`."""
        await self._run(DELETE, self._keys.row_and_indexes(job_id), job_id)

    async def page(self, status: str | None, limit: int, cursor: str | None) -> Page:
        """See `Backend.page`. A row deleted while the page is read is left out of it."""
        prefix = "*:" if status is None else f"{status}:"
        # A digit follows the prefix, and ":" is the character after "9".
        below = prefix + (":" if cursor is None else _member(decode_cursor(cursor)))
        members = await self._execute(
            "ZREVRANGEBYLEX", self._keys.listing, f"({below}", f"[{prefix}0", "LIMIT", 0, limit + 1
        )
        positions = [_position(member.removeprefix(prefix)) for member in members[:limit]]
        if not positions:
            return Page((), None)
        rows = await self._execute("MGET", *(self._keys.row(position.id) for position in positions))
        documents = tuple(row.partition("\n")[2] for row in rows if row is not None)
        return Page(documents, encode_cursor(positions[-1]) if len(members) > limit else None)

    async def counts(self) -> dict[str, int]:
        """See `Backend.counts`."""
        counts = _mapping(await self._execute("HGETALL", self._keys.counts))
        return {status: int(count) for status, count in counts.items() if int(count)}

    async def oldest_due_created_at(self) -> int | None:
        """See `Backend.oldest_due_created_at`."""
        members = await self._execute("ZRANGE", self._keys.outstanding, 0, 0)
        return _position(members[0]).created_at if members else None

    async def claim(self, key: str, value: str, ttl_ms: int) -> str:
        """See `Backend.claim`. The server's clock counts the time to live."""
        return str(await self._run(CLAIM, (self._keys.claim(key),), value, ttl_ms))

    async def release(self, key: str, value: str) -> None:
        """See `Backend.release`."""
        await self._run(RELEASE, (self._keys.claim(key),), value)

    async def put_mark(self, key: str, value: str, ttl_ms: int) -> None:
        """See `Backend.put_mark`. This process's clock counts the time to live."""
        now = self._clock()
        await self._run(MARK, (self._keys.marks,), key, value, now, now + ttl_ms)

    async def get_mark(self, key: str) -> str | None:
        """See `Backend.get_mark`."""
        entry = await self._execute("HGET", self._keys.marks, key)
        return None if entry is None else self._living({key: entry}).get(key)

    async def marks(self, prefix: str) -> dict[str, str]:
        """See `Backend.marks`."""
        entries = _mapping(await self._execute("HGETALL", self._keys.marks))
        return self._living({key: entry for key, entry in entries.items() if key.startswith(prefix)})

    async def take(self, bucket: str, limit: int, window_ms: int, now_ms: int, pause: str = "") -> int:
        """See `Backend.take`. A repeated command takes one permit only, by a token of its own."""
        keys = (self._keys.permits(bucket), self._keys.marks)
        ttl_ms = window_ms + BUCKET_TTL_MS
        return int(await self._run(TAKE, keys, uuid.uuid4().hex, limit, window_ms, now_ms, ttl_ms, pause))

    async def tally(
        self,
        book: str,
        adds: Mapping[str, int],
        caps: Mapping[str, int],
        token: str | None,
        ttl_ms: int,
        token_ttl_ms: int = TOKEN_TTL_MS,
    ) -> Tally:
        """See `Backend.tally`. The server's clock counts the time to live."""
        args: list[Argument] = []
        for name, amount in adds.items():
            args += [name, amount, caps.get(name, "")]
        keys = (self._keys.book(book), self._keys.seen(book))
        refused, *amounts = await self._run(TALLY, keys, token or "", ttl_ms, min(ttl_ms, token_ttl_ms), *args)
        return Tally(str(refused) or None, dict(zip(adds, map(int, amounts), strict=True)))

    async def amounts(self, book: str) -> dict[str, int]:
        """See `Backend.amounts`."""
        found = _mapping(await self._execute("HGETALL", self._keys.book(book)))
        return {name: int(amount) for name, amount in found.items()}

    async def _write(self, row: Row, expected_version: int, token: str) -> bool:
        written = await self._run(
            WRITE,
            self._keys.row_and_indexes(row.id),
            expected_version,
            token,
            KEPT,
            row.id,
            row.version,
            row.status,
            f"{row.created_at:0{DIGITS}d}",
            "" if row.due_at is None else row.due_at,
            "" if row.expires_at is None else row.expires_at,
            row.document,
        )
        return bool(written)

    async def _run(self, script: Script, keys: tuple[str, ...], *args: Argument) -> Any:
        try:
            return await self._execute("EVALSHA", script.sha1, len(keys), *keys, *args)
        except CommandRefused:
            # The server does not know the script (yet, or any more after a restart): send it whole.
            return await self._execute("EVAL", script.source, len(keys), *keys, *args)

    def _living(self, entries: dict[str, str]) -> dict[str, str]:
        now = self._clock()
        split = ((key, *entry.split(" ", 1)) for key, entry in entries.items())
        return {key: value for key, expires_at, value in split if int(expires_at) > now}


def _member(position: Position) -> str:
    return f"{position.created_at:0{DIGITS}d}:{position.id}"


def _position(member: str) -> Position:
    return Position(int(member[:DIGITS]), member[DIGITS + 1 :])


def _mapping(reply: Any) -> dict[str, str]:
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
