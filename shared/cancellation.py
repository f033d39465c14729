"""Whether the running task was cancelled: libraries lose that, and make it up."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


def cancellations() -> int:
    """Return how often the running task was asked to stop.

    aiormq lets a `CancelledError` escape when a connection dies, although nobody cancelled the caller
    (measured on 7.2). It is a real cancellation only if this number grew while waiting.
    """
    task = asyncio.current_task()
    return task.cancelling() if task else 0


@contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Wrap calls of a library that may swallow a cancellation: it is raised when the call returns as if nothing were.

    `asyncio.wait_for` does so before Python 3.12 if what it waits for ends in the same moment
    (https://github.com/python/cpython/issues/81839); redis-py and aio-pika use it. The task would go on for ever, and
    whoever cancelled it would wait for ever.

    Raises:
        asyncio.CancelledError: the task was cancelled.
    """
    before = cancellations()
    yield
    if cancellations() > before:
        raise asyncio.CancelledError
