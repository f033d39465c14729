"""Being cancelled: whether the running task was, which libraries lose and make up, and what outlasts it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio


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


async def outlast(work: asyncio.Future[Any]) -> None:
    """Return once `work` has ended, such as a call in a thread, however often the caller is cancelled meanwhile.

    For use after a cancellation was caught, before it is raised again: further ones are dropped. How `work`
    ended counts as seen.
    """
    while not work.done():
        # Shielded as well: AnyIO, and so Starlette when a reader leaves, cancels again with every turn of the loop.
        with suppress(asyncio.CancelledError), anyio.CancelScope(shield=True):
            await asyncio.wait([work])
    if not work.cancelled():
        work.exception()
