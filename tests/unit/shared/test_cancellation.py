import asyncio

import pytest

from shared.cancellation import cancellations, heeding_cancellation


async def deaf(answered: asyncio.Event) -> str:
    """Be as a library that answers although it was cancelled (so does `asyncio.wait_for`, in the wrong moment)."""
    try:
        await answered.wait()
    except asyncio.CancelledError:
        return "answered"
    return "answered"


async def cancelled_while(work: "asyncio.Task[str]") -> str:
    await asyncio.sleep(0)  # let it begin
    work.cancel()
    return await work


async def test_a_cancellation_that_was_swallowed_is_raised() -> None:
    async def call() -> str:
        with heeding_cancellation():
            return await deaf(asyncio.Event())

    with pytest.raises(asyncio.CancelledError):
        await cancelled_while(asyncio.create_task(call()))


async def test_a_deadline_that_was_swallowed_is_still_a_deadline() -> None:
    async def call() -> None:
        async with asyncio.timeout(0):
            with heeding_cancellation():
                await deaf(asyncio.Event())

    with pytest.raises(TimeoutError):
        await call()


async def test_what_ends_by_itself_is_left_alone() -> None:
    answered = asyncio.Event()
    answered.set()
    with heeding_cancellation():
        assert await deaf(answered) == "answered"


async def test_who_is_being_cancelled_may_call_for_cleaning_up() -> None:
    async def call() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            with heeding_cancellation():
                await asyncio.sleep(0)
            cleaned.append(cancellations())
        return ""

    cleaned: list[int] = []
    with pytest.raises(asyncio.CancelledError):
        await cancelled_while(asyncio.create_task(call()))
    assert cleaned == [1]
