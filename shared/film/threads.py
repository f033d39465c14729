"""Blocking work beside the event loop, stopped when its caller is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from .errors import Cancelled

T = TypeVar("T")


class StopFlag:
    """Tells work in a thread that it is no longer wanted."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the work to stop."""
        self._event.set()

    def check(self) -> None:
        """Raise :class:`Cancelled` if the work is no longer wanted."""
        if self._event.is_set():
            raise Cancelled("the work was cancelled")


async def in_thread(work: Callable[[StopFlag], T]) -> T:
    """Run ``work`` in a thread; on cancellation, stop it and wait until it has let go of its files.

    Args:
        work: Takes a flag that it must check often.
    """
    flag = StopFlag()
    future = asyncio.get_running_loop().run_in_executor(None, work, flag)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        flag.set()
        # Whatever it still ends with is of no interest: the caller is going away.
        with contextlib.suppress(Exception):
            await future
        raise


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
