"""RabbitMQ killed, frozen, emptied and cut off under a bus that runs."""

import asyncio
from random import Random

import pytest

from shared.bus.protocol import Delivery, Reject, Retry
from shared.bus.rabbit import RabbitBus
from shared.bus.rabbit_inbox import CrashLimits
from shared.errors import PublishFailed
from shared.events import EventName
from tests.support.bus import READY_STITCHER, REQUESTED, Epitaphs, Gate, Hearer, Script, ready, requested
from tests.support.fixtures_bus import OpenRabbit
from tests.support.rabbit import RabbitServer
from tests.support.waiting import eventually

RECOVERY_S = 60.0


async def until_healthy(bus: RabbitBus) -> None:
    async def healthy() -> bool:
        return (await bus.health(everything=True)).ok

    await eventually(healthy, "a healthy bus", RECOVERY_S)


async def until_unhealthy(bus: RabbitBus) -> None:
    async def unhealthy() -> bool:
        return not (await bus.health(everything=True)).ok

    await eventually(unhealthy, "a bus that knows of its trouble", RECOVERY_S)


async def until_empty(bus: RabbitBus, queue: str) -> None:
    """Nothing ready and, as nothing comes back when the consumers go, nothing unacknowledged either."""
    await bus.drain(grace_s=5)

    async def empty() -> bool:
        return all(q.ready == 0 for q in (await bus.health(everything=True)).queues if q.queue == queue)

    await eventually(empty, f"{queue} empty")


async def test_a_broker_that_is_killed_and_comes_back(open_rabbit: OpenRabbit, rabbit_server: RabbitServer) -> None:
    """Nothing confirmed is lost; a handler runs on undisturbed, and once; all resumes by itself."""
    bus = await open_rabbit(REQUESTED, READY_STITCHER)
    gate, script = Gate(), Script()
    await bus.consume(READY_STITCHER, gate)
    await bus.publish(ready())
    await gate.wait_started(1)
    await asyncio.gather(*(bus.publish(requested(n)) for n in range(50)))
    rabbit_server.settle()

    rabbit_server.kill()
    await until_unhealthy(bus)
    with pytest.raises(PublishFailed):
        await bus.publish(requested(99))
    await asyncio.to_thread(rabbit_server.start)
    await until_healthy(bus)

    await bus.consume(REQUESTED, script)
    await script.wait_for(50)
    assert {d.event.id for d in script.deliveries} == {requested(n).id for n in range(50)}
    gate.open.set()
    await gate.wait_ended(1)
    await until_empty(bus, READY_STITCHER.queue)
    assert (len(gate.started), gate.cancelled) == (1, [])


async def test_a_broker_that_comes_back_empty(open_rabbit: OpenRabbit, rabbit_server: RabbitServer) -> None:
    """Queues are declared again, by a process that only publishes too, and consuming goes on."""
    worker = await open_rabbit(REQUESTED, READY_STITCHER)
    gateway = await open_rabbit(REQUESTED, READY_STITCHER)
    script = Script()
    await worker.consume(REQUESTED, script)

    rabbit_server.kill()
    await asyncio.to_thread(rabbit_server.start_empty)
    await until_healthy(gateway)
    await until_healthy(worker)
    await gateway.publish(requested())
    await gateway.publish(ready())
    await script.wait_for(1)


async def test_a_frozen_broker(open_rabbit: OpenRabbit, rabbit_server: RabbitServer) -> None:
    """Publishing ends in our error and in time, also when the connection is given up meanwhile."""
    bus = await open_rabbit(REQUESTED, heartbeat_s=1)
    leaving = await open_rabbit(REQUESTED)
    script, unlucky = Script(), Script()
    await bus.consume(REQUESTED, script)
    await leaving.consume(REQUESTED, unlucky)
    await leaving.drain(grace_s=1)
    rabbit_server.freeze()
    try:
        with pytest.raises(PublishFailed, match="no answer from the broker in time"):
            await bus.publish(requested(1), timeout_s=0.2)
        assert not (await bus.health(everything=True)).ok
        # The heartbeats end the connection under this one; what comes of that is not a CancelledError.
        with pytest.raises(PublishFailed):
            await bus.publish(requested(2), timeout_s=60)
        await asyncio.wait_for(leaving.close(), 30)
    finally:
        rabbit_server.thaw()
    await until_healthy(bus)
    await bus.publish(requested(3))

    async def third_came() -> bool:
        return requested(3).id in {d.event.id for d in script.deliveries}

    await eventually(third_came, "the message published after the thaw", RECOVERY_S)


async def test_a_handler_outlives_its_connection(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer, rabbit_vhost: str
) -> None:
    """The message that comes again joins the handler that still runs."""
    bus = await open_rabbit(REQUESTED)
    gate = Gate()
    await bus.consume(REQUESTED, gate)
    await bus.publish(requested())
    await gate.wait_started(1)
    for _ in range(2):
        rabbit_server.close_connections(rabbit_vhost)
        await until_unhealthy(bus)
        await until_healthy(bus)
    gate.open.set()
    await gate.wait_ended(1)
    await until_empty(bus, REQUESTED.queue)
    assert (len(gate.started), gate.cancelled) == (1, [])


async def test_a_message_whose_acknowledgement_was_lost_is_not_handled_again(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer, rabbit_vhost: str
) -> None:
    bus = await open_rabbit(REQUESTED)
    gate = Gate()
    await bus.consume(REQUESTED, gate)
    await bus.publish(requested())
    await gate.wait_started(1)
    rabbit_server.close_connections(rabbit_vhost)
    gate.open.set()
    await gate.wait_ended(1)
    await until_healthy(bus)
    await until_empty(bus, REQUESTED.queue)
    assert len(gate.started) == 1


async def test_outcomes_reached_without_a_connection_are_carried_out_later(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer, rabbit_vhost: str
) -> None:
    bus = await open_rabbit(REQUESTED)
    epitaphs = Epitaphs()
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        rabbit_server.close_connections(rabbit_vhost)
        if len(attempts) == 1:
            raise Retry(0.01)
        raise Reject("bad")

    await bus.consume(REQUESTED, handler, epitaphs)
    await bus.publish(requested())

    async def dead() -> bool:
        health = await bus.health(everything=True)
        return health.ok and len(await bus.dead_letters()) >= 1

    await eventually(dead, "the dead letter", RECOVERY_S)
    assert epitaphs.told
    await until_empty(bus, REQUESTED.queue)


async def test_connections_cut_again_and_again_lose_no_message(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer, rabbit_vhost: str
) -> None:
    """Every event that was published for sure ends handled or dead, whatever its handler does meanwhile."""
    random = Random(7)
    fates = {n: random.choice((None, None, Retry(0.01), ValueError("boom"), Reject("bad"))) for n in range(200)}
    handled: set[int] = set()

    async def handler(delivery: Delivery) -> None:
        clip = delivery.event.data["clip"]
        await asyncio.sleep(random.uniform(0, 0.02))
        fate = fates[clip]
        if fate is not None and (delivery.attempt == 1 or not isinstance(fate, Retry)):
            raise fate.with_traceback(None)
        handled.add(clip)

    generous = CrashLimits(suspect_after=4, give_up_after=100)
    workers = [await open_rabbit(REQUESTED, limits=generous) for _ in range(2)]
    for worker in workers:
        await worker.consume(REQUESTED, handler)
    gateway = await open_rabbit(REQUESTED)

    async def publish_surely(clip: int) -> None:
        async def published() -> bool:
            try:
                await gateway.publish(requested(clip))
            except PublishFailed:
                return False
            return True

        await eventually(published, f"clip {clip} published", RECOVERY_S)

    async def publish_all() -> None:
        for clip in fates:
            await publish_surely(clip)

    publishing = asyncio.create_task(publish_all())
    for _ in range(8):
        await asyncio.wait([publishing], timeout=0.15)
        rabbit_server.close_connections(rabbit_vhost)
    await publishing
    for bus in (*workers, gateway):
        await until_healthy(bus)

    async def all_ended() -> bool:
        dead = {letter.event.data["clip"] for letter in await gateway.dead_letters(limit=1000)}
        return handled | dead == set(fates)

    await eventually(all_ended, "every clip handled or dead", RECOVERY_S)
    dead = {letter.event.data["clip"] for letter in await gateway.dead_letters(limit=1000)}
    assert dead == {clip for clip, fate in fates.items() if isinstance(fate, (ValueError, Reject))}
    await until_empty(workers[0], REQUESTED.queue)
    await until_empty(workers[1], REQUESTED.queue)


async def test_a_queue_deleted_under_its_consumer_is_declared_and_consumed_again(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer, rabbit_vhost: str
) -> None:
    bus = await open_rabbit(REQUESTED)
    script = Script()
    await bus.consume(REQUESTED, script)
    rabbit_server.delete_queue(rabbit_vhost, REQUESTED.queue)
    await bus.publish(requested())
    await script.wait_for(1)
    await until_healthy(bus)


async def test_a_queue_deleted_under_a_publisher_is_declared_again(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer, rabbit_vhost: str
) -> None:
    bus = await open_rabbit(REQUESTED)
    rabbit_server.delete_queue(rabbit_vhost, REQUESTED.queue)
    await asyncio.gather(*(bus.publish(requested(n)) for n in range(5)))
    script = Script()
    await bus.consume(REQUESTED, script)
    await script.wait_for(5)


async def test_a_delivery_held_beyond_the_brokers_limit_is_not_handled_twice_at_once(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer
) -> None:
    """RabbitMQ closes the channel of a consumer that takes too long; our handler runs on, and once."""
    rabbit_server.limit_consumers(after_ms=500)
    try:
        bus = await open_rabbit(REQUESTED)
        gate = Gate()
        await bus.consume(REQUESTED, gate)
        await bus.publish(requested())
        await gate.wait_started(1)
        await until_unhealthy(bus)
        await until_healthy(bus)
    finally:
        rabbit_server.limit_consumers(after_ms=1_800_000)
    gate.open.set()
    await gate.wait_ended(1)
    await until_empty(bus, REQUESTED.queue)
    assert (len(gate.started), gate.cancelled) == (1, [])


async def test_listeners_hear_again_after_the_broker_was_killed(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer
) -> None:
    """Two processes listen; each has a queue of its own again, and a third's transient events reach both."""
    one, two, sender = [await open_rabbit(REQUESTED) for _ in range(3)]
    hearers = Hearer(), Hearer()
    for bus, hearer in zip((one, two), hearers, strict=True):
        await bus.listen([EventName.VIDEO_READY], hearer)
    await sender.publish(ready(1), transient=True)
    for hearer in hearers:
        await hearer.wait_for(ready(1).id)
    rabbit_server.settle()

    rabbit_server.kill()
    await until_unhealthy(sender)

    async def is_refused() -> bool:
        try:
            await sender.publish(ready(2), transient=True)
        except PublishFailed:
            return True
        return False  # a question of ours was lost, but not yet the connection: unconfirmed, it went into nothing

    await eventually(is_refused, "a connection that is known to be lost", RECOVERY_S)
    await asyncio.to_thread(rabbit_server.start)
    await until_healthy(sender)

    for hearer in hearers:

        async def hears(hearer: Hearer = hearer) -> bool:
            await sender.publish(ready(3), transient=True)
            return any(event.id == ready(3).id for event in hearer.events)

        await eventually(hears, "the listener hears again", RECOVERY_S)
