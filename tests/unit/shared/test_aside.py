"""Jobs that nothing can be done for are left alone, tried again now and then, and never in the way of others."""

import pytest

from shared.aside import AGAIN, PAUSE_MS, Aside
from tests.support.fixtures_store import FakeClock

IDS = [f"job_{number:03}" for number in range(100)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def aside(clock: FakeClock) -> Aside:
    return Aside(clock)


def test_others_take_the_places_of_those_put_aside(aside: Aside) -> None:
    for job_id in IDS[:3]:
        aside.put(job_id)
    assert aside.chosen(IDS, 2) == IDS[3:5]


def test_after_a_pause_some_are_tried_again_beside_the_others_and_whoever_has_waited_longest_first(
    aside: Aside, clock: FakeClock
) -> None:
    for job_id in reversed(IDS[:50]):
        aside.put(job_id)
        clock.now += 1
    clock.now += PAUSE_MS - 51
    assert aside.chosen(IDS, 2) == IDS[50:52]
    clock.now += 50
    assert aside.chosen(IDS, 2) == IDS[50:52] + IDS[49 : 49 - AGAIN : -1]


def test_who_is_not_in_the_index_any_more_or_could_be_dealt_with_is_forgotten(aside: Aside) -> None:
    for job_id in IDS[:3]:
        aside.put(job_id)
    aside.take_back(IDS[1])
    assert aside.chosen(IDS[1:], 2) == [IDS[1], IDS[3]]
    assert len(aside) == 1


def test_no_more_than_so_many_are_remembered(aside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.aside.MOST", 2)
    for job_id in IDS:
        aside.put(job_id)
    assert len(aside) == 2
