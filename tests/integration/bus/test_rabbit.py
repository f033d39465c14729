"""What only RabbitMQ can do to a bus that works: strange messages, strange topologies, addresses."""

import asyncio

import aio_pika
import pytest

from shared.bus.delays import DELAYS_MS
from shared.bus.protocol import Retry
from shared.bus.rabbit import RabbitBus
from shared.bus.topology import EXCHANGE, SUBSCRIPTIONS
from shared.bus.wire import encode
from shared.errors import PublishFailed
from tests.support.bus import READY_STITCHER, REQUESTED, Epitaphs, Script, created, ready, requested
from tests.support.fixtures_bus import OpenRabbit
from tests.support.ports import free_port
from tests.support.rabbit import RabbitServer
from tests.support.waiting import eventually


async def put(url: str, *bodies: bytes) -> None:
    """Publish bodies as a stranger would, without any of our headers."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EXCHANGE)
        for body in bodies:
            await exchange.publish(aio_pika.Message(body), str(REQUESTED.event))


async def test_malformed_messages_become_dead_letters_and_harm_nobody(open_rabbit: OpenRabbit, rabbit_url: str) -> None:
    bus = await open_rabbit(REQUESTED)
    script, epitaphs = Script(), Epitaphs()
    await bus.consume(REQUESTED, script, epitaphs)
    await put(rabbit_url, b"", b"not json", b"\x00\xff", b"[1]", encode(ready()))
    await bus.publish(requested())
    await script.wait_for(1)

    async def buried() -> bool:
        return len(await bus.dead_letters()) == 5

    await eventually(buried, "five dead letters")
    letters = await bus.dead_letters()
    assert all(letter.reason for letter in letters)
    assert {letter.event.type for letter in letters} == {"malformed"}
    assert sum("does not belong" in letter.reason for letter in letters) == 1
    assert epitaphs.told == []
    assert (await bus.health(everything=True)).ok
    await bus.drain(grace_s=5)
    assert len(script.deliveries) == 1
    assert await bus.drop_dead(REQUESTED.queue, letters[0].id) == 1
    assert len(await bus.dead_letters()) == 4


async def test_an_event_that_a_stranger_published_is_handled(open_rabbit: OpenRabbit, rabbit_url: str) -> None:
    bus = await open_rabbit(REQUESTED)
    script = Script([Retry(0.01)])
    await bus.consume(REQUESTED, script)
    await put(rabbit_url, encode(requested(1)), encode(requested(2)))
    await script.wait_for(4)
    assert sorted(d.attempt for d in script.deliveries) == [1, 1, 2, 2]


async def test_a_delay_that_no_queue_has_is_made_of_several(open_rabbit: OpenRabbit) -> None:
    bus = await open_rabbit(REQUESTED, delays_ms=(50, 100, 300))
    script = Script([Retry(0.75)])
    await bus.consume(REQUESTED, script)
    clock = asyncio.get_running_loop().time
    began = clock()
    await bus.publish(requested())
    await script.wait_for(2)
    assert clock() - began >= 0.65
    assert [d.attempt for d in script.deliveries] == [1, 2]
    await bus.drain(grace_s=5)
    assert len(script.deliveries) == 2


async def test_the_same_id_in_flight_twice_is_unroutable_twice(open_rabbit: OpenRabbit) -> None:
    """aiormq would report the first of them as stored (measured)."""
    bus = await open_rabbit(REQUESTED)
    results = await asyncio.gather(*(bus.publish(created()) for _ in range(5)), return_exceptions=True)
    assert [type(result).__mro__[1] for result in results] == [PublishFailed] * 5


async def test_a_gateway_alone_furnishes_the_broker_for_all_services(rabbit_url: str) -> None:
    bus = RabbitBus(rabbit_url, SUBSCRIPTIONS)
    await bus.start()
    try:
        await bus.publish(created())
        names = [delay for ms in DELAYS_MS for delay in [f"delay.{ms}"]]
        names += [s.queue + ending for s in SUBSCRIPTIONS for ending in ("", ".dead", ".suspect")]
        async with await aio_pika.connect(rabbit_url) as connection:
            channel = await connection.channel()
            for name in names:
                await channel.declare_queue(name, passive=True)
    finally:
        await bus.close()


async def test_a_message_on_the_wire_looks_as_documented(open_rabbit: OpenRabbit, rabbit_url: str) -> None:
    bus = await open_rabbit(REQUESTED)
    event = requested()
    await bus.publish(event)
    async with await aio_pika.connect(rabbit_url) as connection:
        channel = await connection.channel()
        message = await (await channel.get_queue(REQUESTED.queue)).get(timeout=5)
        assert message is not None
        await message.ack()
    assert message.body == encode(event)
    assert message.content_type == "application/cloudevents+json; charset=utf-8"
    assert (message.message_id, message.type, message.correlation_id) == (event.id, event.type, event.subject)
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.routing_key == str(event.name)
    assert message.headers["attempt"] == 1


async def test_a_broker_that_cannot_be_reached_is_named_without_its_password() -> None:
    port = free_port()
    bus = RabbitBus(f"amqp://user:geheim@127.0.0.1:{port}/", [REQUESTED])
    with pytest.raises(PublishFailed, match=f"127.0.0.1:{port}") as caught:
        await bus.start()
    assert "geheim" not in str(caught.value)
    health = await bus.health(everything=True)
    assert not health.ok
    assert "geheim" not in health.problem
    await bus.close()


async def test_a_wrong_password_is_an_error_without_the_password(
    rabbit_server: RabbitServer, rabbit_vhost: str
) -> None:
    url = rabbit_server.url(rabbit_vhost).replace("guest:guest", "guest:geheim")
    bus = RabbitBus(url, [REQUESTED])
    with pytest.raises(PublishFailed) as caught:
        await bus.start()
    assert "geheim" not in str(caught.value)
    await bus.close()


async def test_the_next_node_is_used_where_one_is_down(open_rabbit: OpenRabbit, rabbit_url: str) -> None:
    bus = await open_rabbit(REQUESTED, url=f"amqp://guest:guest@127.0.0.1:{free_port()}/,{rabbit_url}")
    script = Script()
    await bus.consume(REQUESTED, script)
    await bus.publish(requested())
    await script.wait_for(1)


async def test_starting_can_wait_for_the_broker(rabbit_server: RabbitServer, rabbit_vhost: str) -> None:
    late = f"{rabbit_vhost}-late"
    bus = RabbitBus(rabbit_server.url(late), [REQUESTED], wait_s=60, delays_ms=(50,))
    starting = asyncio.create_task(bus.start())
    try:
        done, _ = await asyncio.wait([starting], timeout=0.5)
        assert not done
        rabbit_server.add_vhost(late)
        await starting
        await bus.publish(requested())
    finally:
        await bus.close()
        rabbit_server.drop_vhost(late)


async def test_a_queue_that_exists_with_other_arguments_is_named(open_rabbit: OpenRabbit, rabbit_url: str) -> None:
    async with await aio_pika.connect(rabbit_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(REQUESTED.queue, durable=True)
    with pytest.raises(PublishFailed, match=r"generator\.video\.requested.*another virtual host"):
        await open_rabbit(REQUESTED)


async def test_two_buses_share_the_work_and_the_dead_letters(open_rabbit: OpenRabbit) -> None:
    one, two = await open_rabbit(REQUESTED, READY_STITCHER), await open_rabbit(REQUESTED, READY_STITCHER)
    script = Script()
    await two.consume(REQUESTED, script)
    await one.publish(requested())
    await script.wait_for(1)
    health = await one.health(everything=True)
    assert {q.queue: q.consumers for q in health.queues} == {REQUESTED.queue: 1, READY_STITCHER.queue: 0}
