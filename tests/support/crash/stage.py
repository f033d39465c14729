"""A whole campaign, from the partners' start to their end."""

import asyncio
import json
from pathlib import Path

from tests.support.crash.campaign import Campaign, Choice
from tests.support.crash.fleet import Fleet
from tests.support.crash.partner import Partner
from tests.support.crash.scenarios import SCENARIOS
from tests.support.crash.world import Surroundings
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.system import FAST_TWINS, Process


def conducted(rabbit: RabbitServer, redis: RedisServer, folder: Path, worlds: int, choice: Choice) -> Campaign:
    """Rehearse all scenarios and kill at the places that `choice` leaves of the plan."""
    rabbit.start()
    twins = Process("twins", ["sandbox", "all"], FAST_TWINS, folder)
    twins.start()
    assert twins.process.stdout is not None
    try:
        addresses = json.loads(twins.process.stdout.readline())

        async def conduct(partner: Partner) -> Campaign:
            async with Fleet(folder) as fleet:
                redis_url = redis.url.rpartition("/")[0]
                around = Surroundings(fleet, rabbit, redis_url, addresses, partner)
                campaign = Campaign(around, folder, SCENARIOS, worlds, choice)
                await campaign.conduct()
                return campaign

        with Partner(folder / "partner") as partner:
            return asyncio.run(conduct(partner))
    finally:
        twins.kill()
        twins.process.stdout.close()
