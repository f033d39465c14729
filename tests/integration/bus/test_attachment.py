"""Attaching to the broker, and being told to stop meanwhile."""

import asyncio
from random import Random

import pytest
from aio_pika.abc import AbstractChannel
from yarl import URL

from shared.bus.rabbit_attachment import Attachment
from shared.bus.rabbit_link import Link
from shared.bus.rabbit_topology import Topology
from tests.support.bus import REQUESTED
from tests.support.fixtures_bus import DELAYS_MS


async def test_who_is_cancelled_in_the_very_moment_of_attaching_stops(rabbit_url: str) -> None:
    """Whoever waits for it to stop would wait for ever: a gateway that is told to stop does."""

    async def furnish(_: AbstractChannel) -> None:
        asyncio.get_running_loop().call_soon(starting.cancel)

    link = Link([URL(rabbit_url)], Topology("stitcher", (REQUESTED,), DELAYS_MS), "test", 10, Random(1))
    await link.start(20)
    attachment = Attachment(link, furnish, Random(1), doing="test", name="test")
    starting = asyncio.create_task(attachment.start())
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert attachment.is_up
    await attachment.hold()
    await attachment.close()
    await link.close()
