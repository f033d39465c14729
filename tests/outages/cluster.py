"""A cluster of three RabbitMQ nodes that loses its leader, and then its majority."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.bus.rabbit import RabbitBus
from shared.errors import PublishFailed
from tests.support.bus import REQUESTED, Script, requested
from tests.support.fixtures_bus import DELAYS_MS
from tests.support.rabbit_cluster import NAMES, RabbitCluster
from tests.support.waiting import eventually

RECOVERY_S = 90.0
VHOST = "cluster"

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[RabbitCluster]:
    cluster = RabbitCluster(tmp_path)
    try:
        await cluster.start()
        cluster.nodes[NAMES[0]].add_vhost(VHOST)
        yield cluster
    finally:
        cluster.close()


class Publisher:
    """Publishes without a pause, and remembers what was confirmed."""

    def __init__(self, bus: RabbitBus) -> None:
        self._bus = bus
        self._number = 0
        self.confirmed: set[str] = set()
        self.refused: set[str] = set()

    async def publish_some(self, count: int) -> None:
        for _ in range(count):
            self._number += 1
            event = requested(self._number)
            try:
                await self._bus.publish(event, timeout_s=2.0)
            except PublishFailed:
                self.refused.add(event.id)
            else:
                self.confirmed.add(event.id)

    async def until_confirmed(self) -> None:
        before = len(self.confirmed)

        async def confirmed() -> bool:
            await self.publish_some(1)
            return len(self.confirmed) > before

        await eventually(confirmed, "a publish that is confirmed", RECOVERY_S)


async def test_a_cluster_loses_its_leader_and_its_majority_but_no_confirmed_message(cluster: RabbitCluster) -> None:
    """Whatever was confirmed is delivered; what cannot be confirmed is refused in time; all resumes by itself."""
    bus = RabbitBus(cluster.url(VHOST), [REQUESTED], delays_ms=DELAYS_MS)
    try:
        await bus.start()
        script, publisher = Script(), Publisher(bus)
        await bus.consume(REQUESTED, script)
        await publisher.publish_some(50)

        leader = next(iter(cluster.nodes.values())).leader(VHOST, REQUESTED.queue)
        busy = asyncio.create_task(publisher.publish_some(200))
        cluster.nodes[leader].kill()
        await busy
        await publisher.until_confirmed()  # two of three are a majority

        lost, left = [name for name in NAMES if name != leader]
        cluster.nodes[lost].kill()
        before = set(publisher.confirmed)
        await publisher.publish_some(3)
        assert publisher.confirmed == before, "one of three nodes confirmed a message that it alone has"
        assert publisher.refused

        await asyncio.to_thread(cluster.start_nodes, leader, lost)
        await publisher.until_confirmed()

        async def all_delivered() -> bool:
            return publisher.confirmed <= {delivery.event.id for delivery in script.deliveries}

        await eventually(all_delivered, "every confirmed message", RECOVERY_S)
        assert cluster.nodes[left].members() == set(NAMES)
    finally:
        await bus.close()
