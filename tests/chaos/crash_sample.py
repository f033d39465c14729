"""Crash points, in short: all are come by, and a kill at a few of them does no harm. `make crash-points` does all.

A new wait between reading a message and acknowledging it, or in a request that changes something, fails here until a
scenario leads to it or `tests.support.crash.catalogue` says why none does.
"""

import os
from random import Random

import pytest

from tests.support.crash.campaign import Campaign, Place, matters
from tests.support.crash.catalogue import SELDOM, all_points, is_unreached, stale_exceptions
from tests.support.crash.stage import conducted
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer

SEED = int(os.environ.get("CRASH_SEED", "20240613"))
KILLS = 16
WORLDS = 3
REACHED = {point.name: point for point in all_points() if not is_unreached(point)}

pytestmark = pytest.mark.timeout(400)


def few(places: list[Place]) -> list[Place]:
    """Return one place of each of a few points."""
    chance = Random(SEED)
    points = chance.sample(sorted(REACHED.keys() - SELDOM.keys()), KILLS)
    of_points = [sorted((place for place in places if place.point == point), key=str) for point in points]
    return [chance.choice(found) for found in of_points if found]


@pytest.fixture(scope="module")
def campaign(
    rabbit_server: RabbitServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Campaign:
    """All scenarios rehearsed, and a few kills."""
    return conducted(rabbit_server, redis_server, tmp_path_factory.mktemp("crash"), WORLDS, few)


def test_every_point_is_come_by(campaign: Campaign) -> None:
    visited = {place.point for place in campaign.places if matters(place)}
    missing = [point for name, point in REACHED.items() if name not in visited and name not in SELDOM]
    lines = [f"{point.name} (line {point.line}: {point.waits_for})" for point in missing]
    assert not missing, "no scenario of tests/support/crash leads to\n" + "\n".join(lines)


def test_a_kill_at_any_of_a_few_points_does_no_harm(campaign: Campaign) -> None:
    for verdict in campaign.verdicts.values():
        assert not verdict.problems, "\n".join([f"seed {SEED}, killed at {verdict.place}", *verdict.problems])
    struck = {verdict.place.point for verdict in campaign.verdicts.values() if verdict.struck}
    wanted = {verdict.place.point for verdict in campaign.verdicts.values()}
    assert wanted == struck, f"seed {SEED}: nobody came by {sorted(wanted - struck)} again"


def test_no_exception_names_code_that_is_gone() -> None:
    assert stale_exceptions() == []
