"""Counters in the SQLite store. Each function runs inside one transaction of `shared.store.sqlite`."""

import sqlite3
from collections.abc import Mapping

from shared.store.protocol import Tally


def tally(
    db: sqlite3.Connection,
    book: str,
    adds: Mapping[str, int],
    caps: Mapping[str, int],
    token: str | None,
    now: int,
    ttl_ms: int,
) -> Tally:
    """See `Backend.tally`."""
    _forget_old(db, now)
    before = dict.fromkeys(adds, 0) | {name: n for name, n in _counters(db, book).items() if name in adds}
    if token is not None and db.execute("SELECT 1 FROM seen WHERE book = ? AND token = ?", (book, token)).fetchone():
        return Tally(None, before)
    after = {name: before[name] + amount for name, amount in adds.items()}
    for name, amount in adds.items():
        if name in caps and amount > 0 and after[name] > caps[name]:
            return Tally(name, before)
    db.execute("INSERT OR REPLACE INTO books VALUES (?, ?)", (book, now + ttl_ms))
    db.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?, ?)", [(book, *item) for item in after.items()])
    if token is not None:
        db.execute("INSERT INTO seen VALUES (?, ?)", (book, token))
    return Tally(None, after)


def amounts(db: sqlite3.Connection, book: str, now: int) -> dict[str, int]:
    """See `Backend.amounts`."""
    living = db.execute("SELECT 1 FROM books WHERE book = ? AND expires_at > ?", (book, now)).fetchone()
    return _counters(db, book) if living else {}


def _counters(db: sqlite3.Connection, book: str) -> dict[str, int]:
    return dict(db.execute("SELECT name, amount FROM counters WHERE book = ?", (book,)).fetchall())


def _forget_old(db: sqlite3.Connection, now: int) -> None:
    for (book,) in db.execute("SELECT book FROM books WHERE expires_at <= ?", (now,)).fetchall():
        db.execute("DELETE FROM counters WHERE book = ?", (book,))
        db.execute("DELETE FROM seen WHERE book = ?", (book,))
        db.execute("DELETE FROM books WHERE book = ?", (book,))
