"""Blocking work beside the event loop, stopped when its caller is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from .errors import Cancelled

T = TypeVar("T")
_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class StopFlag:
    """Tells work in a thread that it is no longer wanted."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []

    def set(self) -> None:
        """Ask the work to stop."""
        with self._lock:
            self._event.set()
            for end in self._ends:
                end()

    @contextlib.contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Have ``end`` called, in another thread, as soon as the work is not wanted: for work that cannot check."""
        with self._lock:
            if self._event.is_set():
                end()
            self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)

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


async def beside(main: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, object]) -> T:
    """Do everything at the same time and return what ``main`` does; if one fails, stop the rest and raise its error."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in others:
                group.create_task(each)
            result = group.create_task(main)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return result.result()


async def all_of(*work: Coroutine[Any, Any, object]) -> None:
    """Do everything at the same time; if one fails, stop the rest and raise its error."""
    await beside(asyncio.sleep(0), *work)


def encoder_slots() -> asyncio.Semaphore:
    """Return what all films of an event loop share: as many encoders run at a time as there are cores."""
    loop = asyncio.get_running_loop()
    if loop not in _slots:
        _slots[loop] = asyncio.Semaphore(cores())
    return _slots[loop]


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
