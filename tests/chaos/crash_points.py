"""Every crash point: the process is killed with SIGKILL exactly there, started again, and the job ends right.

The points are read from the code (`tests.support.crash.points`), so a new handler or a new wait is tested, or fails
here for want of a scenario that leads to it. How it works is told in `tests.support.crash.campaign` and in
`docs/reliability.md`.
"""

import os

import pytest

from shared.bus.protocol import Subscription
from shared.bus.topology import SUBSCRIPTIONS
from tests.support.crash.campaign import Campaign, Place
from tests.support.crash.catalogue import SELDOM, all_points, is_unreached, stale_exceptions
from tests.support.crash.points import Point
from tests.support.crash.stage import conducted
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer

WORLDS = int(os.environ.get("CRASH_WORLDS", "6"))
POINTS = all_points()
REACHED = [point for point in POINTS if not is_unreached(point)]
UNREACHED = [point for point in POINTS if is_unreached(point)]
ACKNOWLEDGEMENT = "shared.bus.rabbit_inbox:Inbox._acknowledge"

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def campaign(
    request: pytest.FixtureRequest,
    rabbit_server: RabbitServer,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Campaign:
    """All kills of the chosen tests, done."""
    wanted = {name for item in request.session.items if (name := _point_of(item)) is not None}
    rest = [item for item in request.session.items if item.path == request.path and _point_of(item) is None]

    def choice(places: list[Place]) -> list[Place]:
        return places if rest else [place for place in places if place.point in wanted]

    return conducted(rabbit_server, redis_server, tmp_path_factory.mktemp("crash"), WORLDS, choice)


def _point_of(item: pytest.Item) -> str | None:
    """Return the point that a test is about, if it is about one."""
    point = getattr(getattr(item, "callspec", None), "params", {}).get("point")
    return point.name if isinstance(point, Point) else None


@pytest.mark.parametrize("point", REACHED, ids=lambda point: point.name)
def test_a_kill_at_this_point_loses_nothing_and_pays_for_nothing_twice(campaign: Campaign, point: Point) -> None:
    """The job ends right although its process dies before it waits for what the point waits for."""
    verdicts = campaign.of_point(point.name)
    led = {place.scenario for place in campaign.places if place.point == point.name}
    assert led or point.name in SELDOM, f"no scenario leads to {point.name} (line {point.line}: {point.waits_for})"
    assert verdicts or point.name in SELDOM, (
        f"nobody came by {point.name} again, as in the rehearsal of {', '.join(sorted(led))}"
    )
    for verdict in verdicts:
        assert not verdict.problems, "\n".join([f"killed at {verdict.place}", *verdict.problems])


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=lambda subscription: subscription.queue)
def test_a_kill_between_a_handlers_end_and_the_acknowledgement_does_no_harm(
    campaign: Campaign, subscription: Subscription
) -> None:
    """Every queue's message is handled twice when its process dies before it can acknowledge."""
    struck = [
        verdict
        for verdict in campaign.verdicts.values()
        if verdict.place.entry == subscription.queue and verdict.struck
    ]
    assert any(ACKNOWLEDGEMENT in point for verdict in struck for point in verdict.place.chain)


def test_points_that_are_said_to_be_out_of_reach_are(campaign: Campaign) -> None:
    """An exception that is none any more must go."""
    reached = {place.point for place in campaign.verdicts}
    assert [point.name for point in UNREACHED if point.name in reached] == []


def test_no_exception_names_code_that_is_gone() -> None:
    """The tables of exceptions are kept current."""
    assert stale_exceptions() == []
