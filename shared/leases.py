"""Holding a lease while working: renew it in the background, stop the work when it is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from shared.errors import DependencyDown, StitcherError

log = structlog.get_logger(__name__)


class LeaseLost(StitcherError):
    """Somebody else owns the step now; whatever was done since must be thrown away."""


@asynccontextmanager
async def holding(renew: Callable[[], Awaitable[object]], *, lease_ms: int) -> AsyncIterator[None]:
    """Run the body while renewing its lease at a third of its length.

    Args:
        renew: writes the renewal; raises `Refused` when the lease belongs to somebody else (and any other error
            of ours when there is nothing to hold any more, such as `JobNotFound`).
        lease_ms: the lease's length.

    Raises:
        LeaseLost: the lease was lost; the body has been cancelled. While the store does not answer the body
            goes on: if the lease lapses meanwhile, the store refuses its result.
    """
    body = asyncio.current_task()
    assert body is not None
    lost: list[StitcherError] = []
    finished = asyncio.Event()

    async def keep() -> None:
        # Not `while True`: a library that swallows our cancellation must not keep the lease alive for ever.
        while not finished.is_set():
            await asyncio.sleep(lease_ms / 3000)
            try:
                await renew()
            except DependencyDown as down:
                log.warning("lease not renewed", problem=str(down))
            except StitcherError as problem:
                if finished.is_set():  # the body gave the lease back itself, while this renewal was under way
                    return
                lost.append(problem)
                body.cancel("lease lost")
                return

    keeper = asyncio.create_task(keep())
    try:
        yield
    except asyncio.CancelledError:
        if lost and body.uncancel() == 0:
            raise LeaseLost(str(lost[0])) from None
        raise
    finally:
        finished.set()
        keeper.cancel()
        (ended,) = await asyncio.gather(keeper, return_exceptions=True)
        if isinstance(ended, Exception):  # an error of the program; the body's result is the store's to judge
            log.error("lease could not be renewed", exc_info=ended)
