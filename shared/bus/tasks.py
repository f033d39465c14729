"""Ending tasks within a time limit."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

STOP_S = 5.0
"""How long a cancelled task may take to stop before it is left alone."""

logger = logging.getLogger(__name__)


async def finish(tasks: Iterable[asyncio.Task[Any]], grace_s: float) -> int:
    """Wait up to `grace_s` seconds for `tasks`, then cancel those that remain; return how many those were."""
    waiting = set(tasks)
    if waiting and grace_s > 0:
        _, waiting = await asyncio.wait(waiting, timeout=grace_s)
    for task in waiting:
        task.cancel()
    if waiting:
        _, stuck = await asyncio.wait(waiting, timeout=STOP_S)
        if stuck:
            logger.error("%d tasks did not stop within %.0f s of being cancelled", len(stuck), STOP_S)
    return len(waiting)
