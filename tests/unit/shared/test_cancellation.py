import asyncio

import anyio
import pytest

from shared.cancellation import cancellations, heeding_cancellation, outlast


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


async def test_work_that_cannot_be_called_back_is_outlasted_however_often_its_caller_is_cancelled() -> None:
    work = asyncio.get_running_loop().create_future()
    turns = 0

    async def give_up_later() -> None:
        nonlocal turns
        while turns < 10:  # with each turn of the loop AnyIO cancels again
            turns += 1
            await asyncio.sleep(0)
        work.set_result(None)

    ending = asyncio.create_task(give_up_later())
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await outlast(work)
            raise
    assert work.done()
    assert turns == 10
    await ending


async def test_how_outlasted_work_failed_is_nobodys_concern() -> None:
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    work.set_exception(OSError("disk full"))
    await outlast(work)
