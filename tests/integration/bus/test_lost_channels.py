"""What becomes of an outcome whose channel is gone by the time it is reached."""

import itertools

import pytest

from shared.bus.protocol import Delivery, Retry
from shared.errors import PublishFailed
from tests.integration.bus.test_faults import RECOVERY_S, until_empty, until_healthy, until_unhealthy
from tests.support.bus import REQUESTED, requested
from tests.support.fixtures_bus import OpenRabbit
from tests.support.rabbit import RabbitServer
from tests.support.waiting import eventually


async def test_a_message_whose_channel_died_comes_again_without_an_error_of_ours(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer, rabbit_vhost: str, caplog: pytest.LogCaptureFixture
) -> None:
    bus = await open_rabbit(REQUESTED)
    handled: list[str] = []

    async def handler(delivery: Delivery) -> None:
        handled.append(delivery.event.id)
        if len(handled) == 1:
            rabbit_server.close_connections(rabbit_vhost)
            await until_unhealthy(bus)
            raise Retry(0.01)

    await bus.consume(REQUESTED, handler)
    await bus.publish(requested())

    async def came_again() -> bool:
        return len(handled) >= 2

    await eventually(came_again, "the message comes again", RECOVERY_S)
    await until_healthy(bus)
    await until_empty(bus, REQUESTED.queue)
    assert "could not be settled" not in caplog.text


async def test_what_is_refused_comes_on_another_channel_next(
    open_rabbit: OpenRabbit, rabbit_server: RabbitServer, rabbit_vhost: str
) -> None:
    """A channel on which the broker refused once may go on refusing, and none is left over."""
    bus = await open_rabbit(REQUESTED)
    await bus.publish(requested())
    before = rabbit_server.channels(rabbit_vhost)
    assert before >= 1
    rabbit_server.limit_queues(rabbit_vhost, 1)
    number = itertools.count(2)

    async def is_taken() -> bool:
        try:
            await bus.publish(requested(next(number)))
        except PublishFailed:
            return False
        return True

    async def is_refused() -> bool:
        return not await is_taken()

    await eventually(is_refused, "a full queue refuses", RECOVERY_S)
    for _ in range(5):
        await is_taken()
    rabbit_server.limit_queues(rabbit_vhost, None)
    await eventually(is_taken, "a queue with room takes", RECOVERY_S)

    async def none_is_left_over() -> bool:
        return rabbit_server.channels(rabbit_vhost) == before

    await eventually(none_is_left_over, "the channels that were left are closed", RECOVERY_S)
