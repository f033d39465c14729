"""What every bus promises, tried on the one in memory and on RabbitMQ."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from random import Random

import pytest

from shared.bus.letters import UnknownQueue
from shared.bus.protocol import Bus, Delivery, Reject, Retry, Subscription
from shared.errors import PublishFailed
from shared.events import Event, EventName
from tests.support.bus import (
    READY_STITCHER,
    READY_UPLOADER,
    REQUESTED,
    Diary,
    Epitaphs,
    Gate,
    Hearer,
    Script,
    created,
    ready,
    requested,
)
from tests.support.fixtures_bus import OpenBus
from tests.support.waiting import eventually


async def until_stats(bus: Bus, subscription: Subscription, **expected: int) -> None:
    """Wait for these counts: a broker publishes them a moment after they became true."""

    async def as_expected() -> bool:
        health = await bus.health(everything=True)
        assert health.ok, health.problem
        (found,) = (q for q in health.queues if q.queue == subscription.queue)
        return expected.items() <= asdict(found).items()

    await eventually(as_expected, f"{subscription.queue} with {expected}")


async def until_dead(bus: Bus, subscription: Subscription, count: int = 1) -> None:
    async def enough() -> bool:
        return len(await bus.dead_letters(subscription.queue)) >= count

    await eventually(enough, f"{count} dead letters in {subscription.queue}", 20)


async def until_idle(bus: Bus, subscription: Subscription) -> None:
    """Hand back nothing, and see that nothing is left in the queue."""
    await bus.drain(grace_s=10)
    await until_stats(bus, subscription, ready=0)


async def test_an_event_reaches_every_interested_queue_and_no_other(open_bus: OpenBus) -> None:
    bus = await open_bus(READY_STITCHER, READY_UPLOADER, REQUESTED)
    stitcher, uploader, generator = Script(), Script(), Script()
    await bus.consume(READY_STITCHER, stitcher)
    await bus.consume(READY_UPLOADER, uploader)
    await bus.consume(REQUESTED, generator)
    await bus.publish(ready())
    await stitcher.wait_for(1)
    await uploader.wait_for(1)
    await bus.publish(requested())
    await generator.wait_for(1)
    assert [len(s.deliveries) for s in (stitcher, uploader, generator)] == [1, 1, 1]


async def test_a_delivery_carries_the_event_as_it_was_published(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    script = Script()
    await bus.consume(REQUESTED, script)
    sent = requested().model_copy(update={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"})
    await bus.publish(sent)
    await script.wait_for(1)
    (delivery,) = script.deliveries
    assert delivery.event == sent
    assert (delivery.attempt, delivery.redelivered) == (1, False)
    assert 0 <= delivery.waited_s < 60


async def test_an_event_that_no_queue_wants_is_not_published_silently(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    with pytest.raises(PublishFailed, match=r"job_1:job\.created"):
        await bus.publish(created())


async def test_publishing_on_a_bus_that_was_not_started_fails(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED, start=False)
    with pytest.raises(PublishFailed):
        await bus.publish(requested())
    assert not (await bus.health(everything=True)).ok


async def test_a_message_waits_for_a_consumer(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    await bus.publish(requested())
    await until_stats(bus, REQUESTED, ready=1, consumers=0, dead=0)
    script = Script()
    await bus.consume(REQUESTED, script)
    await script.wait_for(1)
    await until_idle(bus, REQUESTED)


async def test_health_counts_the_consumers(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED, READY_STITCHER)
    await bus.consume(REQUESTED, Script())
    await until_stats(bus, REQUESTED, consumers=1)
    await until_stats(bus, READY_STITCHER, consumers=0)


async def test_a_retried_message_comes_again_later_as_the_next_attempt(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    script = Script([Retry(0.3)])
    await bus.consume(REQUESTED, script)
    began = time.monotonic()
    await bus.publish(requested())
    await script.wait_for(2)
    assert time.monotonic() - began >= 0.2
    assert [(d.attempt, d.redelivered) for d in script.deliveries] == [(1, False), (2, True)]
    assert script.deliveries[0].event == script.deliveries[1].event
    await until_idle(bus, REQUESTED)


async def test_waiting_that_is_no_failure_does_not_count(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    script = Script([Retry(0.01, counts=False)] * 5)
    await bus.consume(REQUESTED, script)
    await bus.publish(requested())
    await script.wait_for(6)
    assert [d.attempt for d in script.deliveries] == [1] * 6
    assert await bus.dead_letters() == []


@pytest.mark.parametrize("problem", [ValueError("no such clip"), Retry(0.01, "no such clip"), asyncio.CancelledError()])
async def test_what_keeps_failing_is_given_up_after_the_last_attempt(open_bus: OpenBus, problem: BaseException) -> None:
    bus = await open_bus(REQUESTED)
    script, epitaphs = Script([problem] * 9), Epitaphs()
    await bus.consume(REQUESTED, script, epitaphs)
    await bus.publish(requested())
    await until_dead(bus, REQUESTED)
    assert [d.attempt for d in script.deliveries] == [1, 2, 3]
    (letter,) = await bus.dead_letters()
    assert (letter.queue, letter.event, letter.attempts) == (REQUESTED.queue, requested_like(letter.event), 3)
    assert letter.reason.startswith("gave up after 3 attempts: ")
    assert "no such clip" in letter.reason or "CancelledError" in letter.reason
    assert [(d.attempt, reason) for d, reason in epitaphs.told] == [(3, letter.reason)]
    await until_idle(bus, REQUESTED)


def requested_like(event: Event) -> Event:
    return requested().model_copy(update={"time": event.time})


async def test_what_is_rejected_is_given_up_at_once(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    script, epitaphs = Script([Reject("the prompt is forbidden")]), Epitaphs()
    await bus.consume(REQUESTED, script, epitaphs)
    await bus.publish(requested())
    await until_dead(bus, REQUESTED)
    assert len(script.deliveries) == 1
    assert [reason for _, reason in epitaphs.told] == ["the prompt is forbidden"]
    (letter,) = await bus.dead_letters()
    assert (letter.reason, letter.attempts) == ("the prompt is forbidden", 1)
    assert abs(letter.died_at / 1000 - time.time()) < 60
    await until_stats(bus, REQUESTED, dead=1)


async def test_a_message_whose_death_cannot_be_reported_is_not_lost(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    script, epitaphs = Script([Reject("bad")] * 9), Epitaphs(failures=2)
    await bus.consume(REQUESTED, script, epitaphs)
    await bus.publish(requested())
    await until_dead(bus, REQUESTED)
    assert len(epitaphs.told) == 3
    assert [d.attempt for d in script.deliveries] == [1, 1, 1]
    assert len(await bus.dead_letters()) == 1


async def test_an_event_with_data_that_does_not_fit_is_given_up_without_its_handler(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    script, epitaphs = Script(), Epitaphs()
    await bus.consume(REQUESTED, script, epitaphs)
    await bus.publish(requested().model_copy(update={"data": {"clip": "two"}}))
    await until_dead(bus, REQUESTED)
    assert script.deliveries == []
    ((delivery, reason),) = epitaphs.told
    assert delivery.event.subject == "job_1"
    assert reason.startswith("malformed data: clip")


async def test_the_same_event_twice_is_delivered_twice(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    gate = Gate()
    await bus.consume(REQUESTED, gate)
    await asyncio.gather(bus.publish(requested()), bus.publish(requested()))
    await gate.wait_started(2)
    gate.open.set()
    await gate.wait_ended(2)
    await until_idle(bus, REQUESTED)


async def test_no_more_deliveries_run_at_once_than_prefetch_allows(open_bus: OpenBus) -> None:
    subscription = replace(REQUESTED, prefetch=2)
    bus = await open_bus(subscription, READY_STITCHER)
    gate, other = Gate(), Script()
    await bus.consume(subscription, gate)
    await bus.consume(READY_STITCHER, other)
    for number in range(6):
        await bus.publish(requested(number))
    await gate.wait_started(2)
    # Another queue is not held up, and by the time it was served a third delivery would have begun.
    await bus.publish(ready())
    await other.wait_for(1)
    assert len(gate.started) == 2
    gate.open.set()
    await gate.wait_ended(6)
    assert gate.most_at_once == 2


async def test_consumers_of_one_queue_share_its_messages(open_bus: OpenBus) -> None:
    subscription = replace(REQUESTED, prefetch=1)
    bus = await open_bus(subscription)
    one, two = Gate(), Gate()
    await bus.consume(subscription, one)
    await bus.consume(subscription, two)
    await until_stats(bus, subscription, consumers=2)
    for number in range(2):
        await bus.publish(requested(number))
    await one.wait_started(1)
    await two.wait_started(1)
    one.open.set()
    two.open.set()
    await one.wait_ended(1)
    await two.wait_ended(1)


async def test_draining_waits_for_handlers_that_run(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    gate = Gate()
    await bus.consume(REQUESTED, gate)
    await bus.publish(requested())
    await gate.wait_started(1)
    draining = asyncio.create_task(bus.drain(grace_s=20))
    await bus.publish(requested(2))
    gate.open.set()
    await draining
    assert {d.event.id for d in gate.ended} >= {requested().id}
    assert gate.cancelled == []


async def test_what_is_published_after_draining_waits_for_the_next_consumer(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    early, late = Script(), Script()
    await bus.consume(REQUESTED, early)
    await bus.drain(grace_s=1)
    await bus.publish(requested())
    await bus.consume(REQUESTED, late)
    await late.wait_for(1)
    assert early.deliveries == []


async def test_a_handler_that_draining_cancelled_leaves_its_message_to_the_next(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    gate, script = Gate(), Script()
    await bus.consume(REQUESTED, gate)
    await bus.publish(requested())
    await gate.wait_started(1)
    await bus.drain(grace_s=0.05)
    assert len(gate.cancelled) == 1
    await bus.consume(REQUESTED, script)
    await script.wait_for(1)
    assert (script.deliveries[0].attempt, script.deliveries[0].redelivered) == (1, True)


async def fill_dead_letters(bus: Bus, count: int) -> list[str]:
    script = Script([Reject("bad")])
    await bus.consume(REQUESTED, script)
    for number in range(count):
        await bus.publish(requested(number))
        await until_dead(bus, REQUESTED, number + 1)
    await bus.drain(grace_s=5)
    return [letter.id for letter in await bus.dead_letters()]


async def test_looking_at_dead_letters_does_not_change_them(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED, READY_STITCHER)
    await fill_dead_letters(bus, 3)
    seen = [await bus.dead_letters(REQUESTED.queue) for _ in range(25)]
    assert all(letters == seen[0] for letters in seen)
    assert [letter.event.id for letter in seen[0]] == [requested(n).id for n in range(3)]
    assert [letter.event.id for letter in await bus.dead_letters(limit=2)] == [requested(n).id for n in range(2)]
    assert await bus.dead_letters(READY_STITCHER.queue) == []
    assert await bus.dead_letters(f"{REQUESTED.queue}.dead") == seen[0]


async def test_a_replayed_letter_is_a_first_attempt_in_its_own_queue(open_bus: OpenBus) -> None:
    bus = await open_bus(READY_STITCHER, READY_UPLOADER)
    await bus.consume(READY_STITCHER, Script([Reject("bad")] * 9))
    await bus.publish(ready(1))
    await bus.publish(ready(2))
    await until_dead(bus, READY_STITCHER, 2)
    await bus.drain(grace_s=5)
    chosen = next(letter for letter in await bus.dead_letters() if letter.event.id == ready(2).id)

    assert await bus.replay_dead(READY_STITCHER.queue, chosen.id) == 1
    script = Script()
    await bus.consume(READY_STITCHER, script)
    await script.wait_for(1)
    assert [(d.event.id, d.attempt, d.redelivered) for d in script.deliveries] == [(ready(2).id, 1, True)]
    await until_stats(bus, READY_UPLOADER, ready=2)
    assert [letter.event.id for letter in await bus.dead_letters()] == [ready(1).id]

    assert await bus.replay_dead(READY_STITCHER.queue) == 1
    await script.wait_for(2)
    assert await bus.dead_letters() == []


async def test_dead_letters_are_dropped_one_by_one_or_all(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    ids = await fill_dead_letters(bus, 3)
    assert await bus.drop_dead(REQUESTED.queue, "no such letter") == 0
    assert await bus.drop_dead(REQUESTED.queue, ids[1]) == 1
    assert [letter.id for letter in await bus.dead_letters()] == [ids[0], ids[2]]
    assert await bus.drop_dead(REQUESTED.queue) == 2
    assert await bus.dead_letters() == []


async def test_a_queue_that_does_not_exist_is_named_as_such(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    with pytest.raises(UnknownQueue, match=REQUESTED.queue):
        await bus.dead_letters("nobody.video.requested")
    with pytest.raises(UnknownQueue):
        await bus.replay_dead("nobody.video.requested")
    with pytest.raises(UnknownQueue):
        await bus.drop_dead("nobody.video.requested")
    with pytest.raises(UnknownQueue):
        await bus.consume(READY_STITCHER, Script())


async def test_every_listener_hears_every_event_it_asked_for_and_no_other(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED, READY_STITCHER)
    one, two, other = Hearer(), Hearer(), Hearer()
    await bus.listen([EventName.VIDEO_READY], one)
    await bus.listen([EventName.VIDEO_READY, EventName.VIDEO_REQUESTED], two)
    await bus.listen([EventName.JOB_CREATED], other)
    await bus.publish(ready(1))
    await bus.publish(requested(1))
    await bus.publish(created())
    await one.wait_for(ready(1).id)
    await two.wait_for(ready(1).id, requested(1).id)
    await other.wait_for(created().id)
    assert [len(each.events) for each in (one, two, other)] == [1, 2, 1]
    # The work queues have their copies all the same.
    await until_stats(bus, READY_STITCHER, ready=1)
    await until_stats(bus, REQUESTED, ready=1)


async def test_a_listener_hears_events_as_they_were_published_in_their_order(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    hearer = Hearer()
    await bus.listen([EventName.VIDEO_REQUESTED], hearer)
    events = [requested(number) for number in range(20)]
    for event in events:
        await bus.publish(event)
    await hearer.wait_for(*(event.id for event in events))
    assert hearer.events == events


async def test_a_listener_that_fails_hears_the_next_event(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    hearer = Hearer(failures=1)
    await bus.listen([EventName.VIDEO_REQUESTED], hearer)
    await bus.publish(requested(1))
    await bus.publish(requested(2))
    await hearer.wait_for(requested(1).id, requested(2).id)
    assert len(hearer.events) == 2


async def test_a_listener_hears_on_while_the_bus_drains_and_nothing_after_it_closed(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    hearer = Hearer()
    await bus.listen([EventName.VIDEO_REQUESTED], hearer)
    await bus.drain(grace_s=1)
    await bus.publish(requested(1))
    await hearer.wait_for(requested(1).id)
    await bus.close()
    with pytest.raises(PublishFailed):
        await bus.publish(requested(2), transient=True)
    assert [event.id for event in hearer.events] == [requested(1).id]


async def test_a_listener_that_is_stopped_hears_nothing_more_and_the_others_hear_on(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    leaver, stayer = Hearer(), Hearer()
    hearing = await bus.listen([EventName.VIDEO_REQUESTED], leaver)
    await bus.listen([EventName.VIDEO_REQUESTED], stayer)
    await hearing.stop()
    await hearing.stop()
    await bus.publish(requested(1))
    await stayer.wait_for(requested(1).id)
    assert leaver.events == []
    again = await bus.listen([EventName.VIDEO_REQUESTED], leaver)
    await bus.publish(requested(2))
    await leaver.wait_for(requested(2).id)
    await again.stop()


async def test_a_transient_event_reaches_who_is_there_and_needs_nobody(open_bus: OpenBus) -> None:
    bus = await open_bus(REQUESTED)
    await bus.publish(created(), transient=True)
    hearer, script = Hearer(), Script()
    await bus.listen([EventName.JOB_CREATED, EventName.VIDEO_REQUESTED], hearer)
    await bus.consume(REQUESTED, script)
    await bus.publish(created(), transient=True)
    await bus.publish(requested(), transient=True)
    await hearer.wait_for(created().id, requested().id)
    await script.wait_for(1)
    assert len(hearer.events) == 2


async def test_the_observer_hears_of_every_step(open_bus: OpenBus) -> None:
    diary = Diary()
    bus = await open_bus(REQUESTED, observer=diary)
    with pytest.raises(PublishFailed):
        await bus.publish(created())
    await bus.consume(REQUESTED, Script([Retry(0.01), Reject("bad")]))
    await bus.publish(requested())
    await until_dead(bus, REQUESTED)
    await bus.drain(grace_s=5)
    queue = REQUESTED.queue
    assert [e for e in diary.entries if not e.startswith("published")] == [
        f"delivered {queue} 1",
        f"settled {queue} 1 retry",
        f"delivered {queue} 2",
        f"settled {queue} 2 dead",
        f"dead {queue} bad",
    ]
    assert [e for e in diary.entries if e.startswith("published")] == [
        "published job.created unroutable",
        "published video.requested ok",
    ]


async def test_whatever_the_handlers_do_every_message_ends_as_the_rules_say(open_bus: OpenBus) -> None:
    """Many messages with random fates at once, against a model of the rules."""
    random = Random(20_240_607)
    choices = (None, None, Retry(0.01), Retry(0.02, counts=False), ValueError("boom"), Reject("bad"))
    fates = {requested(n).id: [random.choice(choices) for _ in range(12)] + [None] for n in range(60)}
    seen: dict[str, list[int]] = {event_id: [] for event_id in fates}

    async def handler(delivery: Delivery) -> None:
        fate = fates[delivery.event.id][len(seen[delivery.event.id])]
        seen[delivery.event.id].append(delivery.attempt)
        await asyncio.sleep(0)
        if fate is not None:
            raise fate.with_traceback(None)

    bus = await open_bus(REQUESTED)
    await bus.consume(REQUESTED, handler)
    await asyncio.gather(*(bus.publish(requested(n)) for n in range(60)))

    expected = {event_id: model(fate) for event_id, fate in fates.items()}
    doomed = {event_id for event_id, (_, dead) in expected.items() if dead}

    async def all_ended() -> bool:
        return all(len(seen[event_id]) == len(attempts) for event_id, (attempts, _) in expected.items())

    await eventually(all_ended, "all messages at their end", 30)
    await until_dead(bus, REQUESTED, len(doomed))
    await until_idle(bus, REQUESTED)
    assert seen == {event_id: attempts for event_id, (attempts, _) in expected.items()}
    assert {letter.event.id for letter in await bus.dead_letters()} == doomed


def model(fate: Sequence[BaseException | None]) -> tuple[list[int], bool]:
    """Return the attempts that a message of this fate goes through, and whether it dies."""
    attempts, attempt = [], 1
    for ending in fate:
        attempts.append(attempt)
        if ending is None:
            return attempts, False
        counts = not (isinstance(ending, Retry) and not ending.counts)
        if isinstance(ending, Reject) or (counts and attempt >= REQUESTED.max_attempts):
            return attempts, True
        attempt += counts
    raise AssertionError("a fate that never ends")
