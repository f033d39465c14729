from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bus.delays import DELAYS_MS, backoff_s, next_hop_ms, randomness

LONGEST_MS = 5_000
ladders = st.lists(st.integers(1, LONGEST_MS), min_size=1, max_size=12, unique=True).map(sorted)


def test_the_delay_queues_reach_from_a_quarter_second_to_over_four_minutes() -> None:
    assert (DELAYS_MS[0], DELAYS_MS[-1]) == (250, 256_000)
    assert list(DELAYS_MS) == sorted(set(DELAYS_MS))


@pytest.mark.parametrize(
    ("remaining_ms", "hop_ms"),
    [
        (-5, 250),
        (0, 250),
        (250, 250),
        (1_000, 1_000),
        (1_700, 2_000),
        (5_000, 4_000),
        (7_000, 8_000),
        (600_000, 256_000),
    ],
)
def test_a_delay_takes_the_step_that_fits_or_else_a_shorter_one_first(remaining_ms: int, hop_ms: int) -> None:
    assert next_hop_ms(remaining_ms, DELAYS_MS) == hop_ms


@settings(deadline=None)  # thousands of hops take longer on a busy machine
@given(st.floats(0, LONGEST_MS), ladders)
def test_hops_end_at_the_right_time(delay_ms: float, ladder_ms: list[int]) -> None:
    """Never early; late by no more than a quarter of what was left, or by the shortest step."""
    remaining_ms = delay_ms
    for _ in range(LONGEST_MS + 1):  # with a ladder that has but a step of 1 ms below what is left
        hop_ms = next_hop_ms(remaining_ms, ladder_ms)
        assert hop_ms in ladder_ms
        allowed_ms = max(0.25 * remaining_ms, ladder_ms[0])
        remaining_ms -= hop_ms
        assert remaining_ms >= -allowed_ms
        if remaining_ms <= 0:
            return
    raise AssertionError("the hops never end")


@given(st.floats(0, 3_600_000))
def test_an_hour_takes_few_hops(delay_ms: float) -> None:
    hops = 0
    remaining_ms = delay_ms
    while remaining_ms > 0:
        remaining_ms -= next_hop_ms(remaining_ms, DELAYS_MS)
        hops += 1
    assert hops <= delay_ms / DELAYS_MS[-1] + 7


@given(st.integers(0, 10_000), st.floats(0.001, 10), st.floats(0.001, 1000), st.integers())
def test_backoff_is_between_half_and_all_of_what_doubling_gives(
    failures: int, first_s: float, max_s: float, seed: int
) -> None:
    full_s = min(max_s, first_s * 2.0 ** min(max(failures, 1) - 1, 30))
    assert full_s / 2 <= backoff_s(failures, first_s, max_s, Random(seed)) <= max(full_s, max_s)


def test_backoff_doubles_up_to_its_limit() -> None:
    class NoJitter(Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    waits = [backoff_s(failures, 0.5, 10, NoJitter()) for failures in range(1, 8)]
    assert waits == [0.5, 1, 2, 4, 8, 10, 10]


def test_a_seed_makes_jitter_repeatable() -> None:
    assert randomness(7).random() == randomness(7).random()
