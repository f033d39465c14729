"""A leak is told from noise, from a step and from a fall."""

import random

import pytest

from benchmarks.soak_growth import Tolerance, trend

FEW = Tolerance(0.05, 5.0)
NOISE = random.Random(7)


def noisy(values: list[float]) -> list[float]:
    return [value + NOISE.uniform(-2, 2) for value in values]


@pytest.mark.parametrize(
    ("samples", "grows"),
    [
        (noisy([100.0] * 60), False),
        (noisy([100.0 + number / 2 for number in range(60)]), True),
        (noisy([100.0 + 20 * (number > 5) for number in range(60)]), False),
        (noisy([100.0 + 20 * (number > 30) for number in range(60)]), False),
        (noisy([100.0 - number / 2 for number in range(60)]), False),
        ([100.0] * 59 + [900.0], False),
    ],
    ids=["flat", "leak", "early step", "late step", "falling", "one spike"],
)
def test_only_what_rises_all_the_time_grows(samples: list[float], grows: bool) -> None:
    assert trend("memory", samples, FEW).grows is grows


def test_a_short_run_tells_nothing() -> None:
    with pytest.raises(ValueError, match="run longer"):
        trend("memory", [1.0] * 5, FEW)
