"""Waiting for a condition instead of sleeping and hoping."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.1
"""Asking costs the machine that is to do the work, and most conditions ask a service."""


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float = 10.0) -> None:
    """Return as soon as `condition()` is true; fail with `what` was awaited after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        await asyncio.sleep(pause_s)
        pause_s = min(1.3 * pause_s, LONGEST_PAUSE_S)


def until_serves(
    name: str, process: subprocess.Popen[bytes], serves: Callable[[], bool], log: Path, timeout_s: float
) -> None:
    """Return as soon as a server that was just started serves; fail if it ends or takes longer."""
    deadline = time.monotonic() + timeout_s
    while not serves():
        assert process.poll() is None, f"{name} ended: {log.read_text(errors='replace')[-3000:]}"
        assert time.monotonic() < deadline, f"{name} does not answer"
        time.sleep(0.05)
