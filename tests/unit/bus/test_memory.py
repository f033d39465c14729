"""What only the bus in memory can do; the rest is in `tests/conformance/test_bus.py`."""

from collections import Counter

import pytest

from shared.bus.memory import MemoryBus
from shared.errors import PublishFailed
from tests.support.bus import REQUESTED, Script, requested


async def test_duplicates_can_be_asked_for() -> None:
    bus = MemoryBus([REQUESTED], duplicate_every=2)
    await bus.start()
    script = Script()
    await bus.consume(REQUESTED, script)
    for number in range(4):
        await bus.publish(requested(number))
    await script.wait_for(6)
    await bus.close()
    assert Counter(d.event.id for d in script.deliveries) == {requested(n).id: 1 + n % 2 for n in range(4)}


async def order(shuffle: int | None) -> list[str]:
    bus = MemoryBus([REQUESTED], shuffle=shuffle)
    await bus.start()
    for number in range(8):
        await bus.publish(requested(number))
    script = Script()
    await bus.consume(REQUESTED, script)
    await script.wait_for(8)
    await bus.close()
    return [d.event.id for d in script.deliveries]


async def test_disorder_can_be_asked_for_and_repeated_by_its_seed() -> None:
    in_order = [requested(n).id for n in range(8)]
    assert await order(None) == in_order
    shuffled = await order(3)
    assert shuffled != in_order
    assert sorted(shuffled) == in_order
    assert await order(3) == shuffled


async def test_a_closed_bus_takes_nothing() -> None:
    bus = MemoryBus([REQUESTED])
    await bus.start()
    await bus.close()
    with pytest.raises(PublishFailed):
        await bus.publish(requested())


async def test_a_message_whose_handler_never_began_is_not_lost_by_draining() -> None:
    bus = MemoryBus([REQUESTED])
    await bus.start()
    await bus.publish(requested())
    early, late = Script(), Script()
    await bus.consume(REQUESTED, early)
    await bus.drain(0)
    assert early.deliveries == []
    await bus.consume(REQUESTED, late)
    await late.wait_for(1)
    await bus.close()
