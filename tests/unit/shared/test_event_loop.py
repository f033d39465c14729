"""How a long-lived process runs."""

import asyncio
import gc
import signal
from collections.abc import Iterator

import pytest

from shared import event_loop


@pytest.fixture
def collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_coroutines_run_on_uvloop_and_their_result_comes_back() -> None:
    async def kind() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert event_loop.run_fast(kind()) == "uvloop"


def test_an_interrupt_cancels_them_as_it_does_with_asyncio() -> None:
    cleaned_up = False

    async def interrupted() -> None:
        nonlocal cleaned_up
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up = True

    with pytest.raises(KeyboardInterrupt):
        event_loop.run_fast(interrupted())
    assert cleaned_up


@pytest.mark.usefixtures("collector")
def test_what_was_loaded_at_the_start_is_not_looked_through_again() -> None:
    event_loop.settle()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] == event_loop.FEW_OBJECTS
    kept = [[number] for number in range(10)]
    assert any(kept is found for found in gc.get_objects()), "what comes later is collected as ever"
