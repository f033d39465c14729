"""Holding a lease while working."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from shared.errors import JobNotFound, Refused, StoreUnavailable
from shared.leases import LeaseLost, holding

Step = Callable[[], Awaitable[None]]

SHORT_MS = 3
"""A lease that is renewed every millisecond."""
LONG_MS = 3_600_000


class Renewals:
    """Stands for the store: counts renewals and fails as told."""

    def __init__(self, fail: Callable[[int], BaseException | None] = lambda _count: None) -> None:
        self.count = 0
        self._fail = fail
        self._happened = asyncio.Condition()

    async def __call__(self) -> None:
        async with self._happened:
            self.count += 1
            self._happened.notify_all()
        if (problem := self._fail(self.count)) is not None:
            raise problem

    async def reached(self, count: int) -> None:
        """Return when there have been `count` renewals."""
        async with self._happened, asyncio.timeout(10):
            await self._happened.wait_for(lambda: self.count >= count)


async def nothing() -> None:
    pass


async def forever() -> None:
    await asyncio.Event().wait()


async def work_under(renew: Step, clean_up: Step = nothing) -> None:
    """Work for ever under a short lease."""
    async with holding(renew, lease_ms=SHORT_MS):
        try:
            await forever()
        finally:
            await clean_up()


async def test_the_lease_is_renewed_as_long_as_the_work_goes_on() -> None:
    renewals = Renewals()
    async with holding(renewals, lease_ms=SHORT_MS):
        await renewals.reached(5)
    count = renewals.count
    await asyncio.sleep(0)
    assert renewals.count == count, "and not any longer"


async def test_work_shorter_than_a_third_of_the_lease_needs_no_renewal() -> None:
    renewals = Renewals()
    async with holding(renewals, lease_ms=LONG_MS):
        pass
    assert renewals.count == 0


async def test_the_result_and_the_errors_of_the_work_pass_through() -> None:
    with pytest.raises(ZeroDivisionError):
        async with holding(Renewals(), lease_ms=LONG_MS):
            raise ZeroDivisionError


@pytest.mark.parametrize("problem", [Refused("not_owner", "it is B's now"), JobNotFound("job_1")])
async def test_a_lost_lease_stops_the_work_and_says_so(problem: Exception) -> None:
    renewals = Renewals(lambda count: problem if count == 2 else None)
    with pytest.raises(LeaseLost, match=str(problem)):
        await work_under(renewals)
    assert renewals.count == 2
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "whoever handles LeaseLost is not cancelled itself"


async def test_work_that_cleans_up_for_a_while_after_the_lease_is_lost_is_let() -> None:
    cleaned = asyncio.Event()

    async def clean_up() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        cleaned.set()

    with pytest.raises(LeaseLost):
        await work_under(Renewals(lambda _: Refused("not_owner")), clean_up)
    assert cleaned.is_set()


async def test_a_store_that_does_not_answer_does_not_stop_the_work() -> None:
    renewals = Renewals(lambda count: StoreUnavailable("down") if count < 5 else None)
    with capture_logs() as logs:
        async with holding(renewals, lease_ms=SHORT_MS):
            await renewals.reached(6)
    assert [entry["log_level"] for entry in logs[:4]] == ["warning"] * 4


async def test_cancellation_from_outside_passes_through() -> None:
    renewals = Renewals()
    task = asyncio.create_task(work_under(renewals))
    await renewals.reached(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_time_out_around_the_work_is_a_time_out() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), holding(Renewals(), lease_ms=LONG_MS):
            await forever()


async def test_cancellation_from_outside_wins_over_a_lease_lost_at_the_same_time() -> None:
    lost = asyncio.Event()

    async def renew() -> None:
        lost.set()
        raise Refused("not_owner")

    task = asyncio.create_task(work_under(renew))
    async with asyncio.timeout(10):
        await lost.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_an_error_of_the_program_in_renewing_is_not_hidden() -> None:
    failed = asyncio.Event()

    async def renew() -> None:
        failed.set()
        raise ZeroDivisionError

    with capture_logs() as logs:
        async with holding(renew, lease_ms=SHORT_MS):
            await failed.wait()
    (entry,) = logs
    assert entry["log_level"] == "error"
    assert isinstance(entry["exc_info"], ZeroDivisionError)


async def test_a_renewal_that_comes_too_late_for_the_end_of_the_work_loses_nothing() -> None:
    """The body gave the lease back itself; a renewal under way then finds it gone."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def renew() -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await may_end.wait()
        raise Refused("not_owner")

    async with holding(renew, lease_ms=SHORT_MS):
        await begun.wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
