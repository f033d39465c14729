"""Time as the project uses it: whole milliseconds since the Unix epoch, read in one place."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Anything that tells the time in milliseconds since the epoch; tests hand in their own."""


def now_ms() -> int:
    """Return the wall clock in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def iso(ms: int) -> str:
    """Return `ms` as an ISO 8601 UTC time with milliseconds and a `Z`, as the HTTP API and events print it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
