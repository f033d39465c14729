"""What all handlers share: which endings acknowledge a message, and which make it come again."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
import structlog

from shared import tracing
from shared.airtable.errors import AirtableDown
from shared.bus.memory import MemoryBus
from shared.bus.observer import Settlement
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
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
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


class TestCounting:
    @pytest.mark.parametrize(
        ("ends", "settlement", "outcome"),
        [
            (None, "ack", "ok"),
            (Refused("finished"), "ack", "duplicate"),
            (JobNotFound("job_1"), "ack", "duplicate"),
            (LeaseLost("gone"), "ack", "duplicate"),
            (ZeroDivisionError(), "retry", "retried"),
            (Reject("no"), "dead", "dead"),
            (asyncio.CancelledError(), "abandoned", "abandoned"),
        ],
    )
    async def test_deliveries_by_how_they_end(
        self, ends: BaseException | None, settlement: Settlement, outcome: str
    ) -> None:
        before = measured("sora_stage_messages_total", outcome=outcome, **WHO)
        timed = measured("sora_stage_duration_seconds_sum", outcome=outcome, **WHO)
        await deliver(ends, settlement)
        assert measured("sora_stage_messages_total", outcome=outcome, **WHO) == before + 1
        assert measured("sora_stage_duration_seconds_sum", outcome=outcome, **WHO) == timed + 0.5

    @pytest.mark.parametrize(
        ("ends", "reason"),
        [
            (ZeroDivisionError(), "error"),
            (Retry(1, "not yet"), "asked"),
            (Retry(1, "its turn", counts=False), "waiting"),
            (StoreUnavailable("away"), "store"),
            (ArtifactsUnavailable("full"), "artifacts"),
            (PublishFailed("away"), "bus"),
            (AirtableDown("away", sent=True), "partner"),
        ],
    )
    async def test_retries_by_reason(self, ends: BaseException, reason: str) -> None:
        before = measured("sora_stage_retries_total", reason=reason, **WHO)
        await deliver(ends, "retry")
        assert measured("sora_stage_retries_total", reason=reason, **WHO) == before + 1

    @pytest.mark.parametrize(
        ("ends", "reason"), [(Reject("no"), "rejected"), (ZeroDivisionError(), "attempts"), ("never ran", "unreadable")]
    )
    async def test_dead_letters_by_reason_and_never_by_free_text(self, ends: BaseException | str, reason: str) -> None:
        before = measured("sora_stage_dead_letters_total", reason=reason, **WHO)
        observer = BusMetrics()
        if isinstance(ends, str):
            observer.delivered(READY, DELIVERY)
        else:
            await deliver(ends, "dead")
        observer.dead(READY, "free text that must not become a label")
        assert measured("sora_stage_dead_letters_total", reason=reason, **WHO) == before + 1

    async def test_slots_are_what_a_process_may_handle_at_once(self) -> None:
        bus = MemoryBus(SUBSCRIPTIONS)
        await attach(bus, STITCHER, [Route("stitcher", EventName.VIDEO_READY, doing_nothing)])
        assert measured("sora_stage_slots", **WHO) == READY.prefetch
        await bus.close()

    def test_publications(self) -> None:
        before = measured("sora_events_published_total", event="video.ready", outcome="ok")
        BusMetrics().published(EventName.VIDEO_READY, "ok")
        assert measured("sora_events_published_total", event="video.ready", outcome="ok") == before + 1


async def test_a_step_belongs_to_the_trace_of_its_event_with_a_span_of_its_own() -> None:
    seen: list[str | None] = []

    async def handler(_delivery: Delivery) -> None:
        seen.append(tracing.current())

    sent = replace(DELIVERY, event=DELIVERY.event.model_copy(update={"traceparent": TRACEPARENT}))
    await observed(READY, handler)(sent)
    [inside] = seen
    assert tracing.trace_id(inside) == tracing.trace_id(TRACEPARENT)
    assert inside != TRACEPARENT
    assert tracing.current() is None


async def doing_nothing(_delivery: Delivery) -> None:
    """Do nothing."""


async def deliver(ends: BaseException | None, settlement: Settlement) -> None:
    """Run a handler that ends like this, as a bus does."""

    async def handler(_delivery: Delivery) -> None:
        if ends is not None:
            raise ends

    observer = BusMetrics()
    observer.delivered(READY, DELIVERY)
    with contextlib.suppress(BaseException):
        await observed(READY, handler)(DELIVERY)
    observer.settled(READY, DELIVERY, settlement, 0.5)
