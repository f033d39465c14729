"""Telling our own cancellation from one that merely leaked out of a library."""

import asyncio


def cancellations() -> int:
    """Return how often the running task was asked to stop.

    aiormq lets a `CancelledError` escape when a connection dies, although nobody cancelled the caller
    (measured on 7.2). It is a real cancellation only if this number grew while waiting.
    """
    task = asyncio.current_task()
    return task.cancelling() if task else 0
