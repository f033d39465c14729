"""What all handlers share: which endings acknowledge a message, and which make it come again."""

import pytest
import structlog

from shared.bus.memory import MemoryBus
from shared.bus.protocol import Delivery, Reject, Retry
from shared.bus.topology import STITCHER, SUBSCRIPTIONS
from shared.errors import (
    ArtifactsUnavailable,
    ConfigurationError,
    JobNotFound,
    PublishFailed,
    Refused,
    StoreUnavailable,
)
from shared.events import Event, EventName, VideoReady
from shared.leases import LeaseLost
from shared.service import DEPENDENCY_PAUSE_S, BusMetrics, Route, attach, observed
from tests.support.measured import measured

READY = STITCHER[0]
WHO = {"stage": "stitcher", "event": "video.ready"}
DELIVERY = Delivery(
    Event.of("job_1", VideoReady(clip=2), source="generator", step="2:1"), attempt=3, redelivered=False, waited_s=0.0
)


async def ending(error: Exception | None) -> None:
    """Handle a delivery with a handler that ends like this."""

    async def handler(_delivery: Delivery) -> None:
        if error is not None:
            raise error

    await observed(READY, handler)(DELIVERY)


@pytest.mark.parametrize("error", [None, JobNotFound("job_1"), Refused("lease_held"), LeaseLost("taken over")])
async def test_what_is_nothing_to_repeat_is_acknowledged(error: Exception | None) -> None:
    await ending(error)


@pytest.mark.parametrize("error", [StoreUnavailable("down"), PublishFailed("down"), ArtifactsUnavailable("full")])
async def test_a_dependency_that_is_down_is_waited_for_without_counting(error: Exception) -> None:
    with pytest.raises(Retry) as caught:
        await ending(error)
    assert (caught.value.counts, caught.value.after_s) == (False, DEPENDENCY_PAUSE_S)
    assert str(error) in caught.value.reason


@pytest.mark.parametrize("error", [Retry(3.0), Reject("no use"), ValueError("a bug"), ConfigurationError("x")])
async def test_every_other_ending_reaches_the_bus_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await ending(error)
    assert caught.value is error


async def test_a_handlers_log_lines_name_job_clip_and_event() -> None:
    seen: dict[str, object] = {}

    async def handler(_delivery: Delivery) -> None:
        seen.update(structlog.contextvars.get_contextvars())
        assert measured("sora_stage_in_flight", **WHO) == 1

    await observed(READY, handler)(DELIVERY)
    assert (seen["job"], seen["clip"], seen["event_id"]) == ("job_1", 2, "job_1:video.ready:2:1")
    assert "job" not in structlog.contextvars.get_contextvars()
    assert measured("sora_stage_in_flight", **WHO) == 0


async def test_a_subscription_without_a_handler_is_a_mistake_in_the_program() -> None:
    bus = MemoryBus(SUBSCRIPTIONS)

    async def handler(_delivery: Delivery) -> None:
        """Never runs."""

    with pytest.raises(KeyError):
        await attach(bus, STITCHER, [Route("uploader", EventName.VIDEO_READY, handler)])


def test_messages_are_counted_by_service_event_and_outcome() -> None:
    retried = measured("sora_stage_messages_total", outcome="retry", **WHO)
    dead = measured("sora_stage_dead_letters_total", **WHO)
    observer = BusMetrics()
    observer.delivered(READY, DELIVERY)
    observer.settled(READY, DELIVERY, "retry", 0.5)
    observer.dead(READY, "free text that must not become a label")
    observer.published(EventName.VIDEO_READY, "ok")
    assert measured("sora_stage_messages_total", outcome="retry", **WHO) == retried + 1
    assert measured("sora_stage_dead_letters_total", **WHO) == dead + 1
