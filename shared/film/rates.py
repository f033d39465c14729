"""Frame rates as exact fractions, and the clocks films run on."""

from __future__ import annotations

from fractions import Fraction

#: Rates that cameras, models and broadcasters really use.
STANDARD_RATES = tuple(
    Fraction(n, d)
    for n, d in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (48, 1), (50, 1), (60000, 1001), (60, 1),
                 (8, 1), (10, 1), (12, 1), (15, 1), (16, 1), (20, 1), (90, 1), (100, 1), (120, 1))
)  # fmt: skip

#: The last frame of a clip of variable rate stays for at most as long as so many ordinary ones.
LAST_FRAME_STEPS = 4


def snap_rate(measured: float, frames: int, tolerance_s: float = 0.0025) -> Fraction:
    """Return the exact rate behind one measured on a coarse clock.

    Args:
        measured: Frames per second over the clip.
        frames: How many frames it was measured over.
        tolerance_s: How far the clip's last timestamp may lie from where the exact rate puts it.

    Returns:
        A standard rate if one fits, else a fraction with a denominator up to 1001; 1 when nothing is known.
    """
    if measured <= 0:
        return Fraction(1)
    steps = max(1, frames - 1)

    def miss_s(rate: Fraction) -> float:
        return abs(steps / measured - steps / float(rate))

    nearest = min(STANDARD_RATES, key=miss_s)
    if miss_s(nearest) <= tolerance_s:
        return nearest
    return max(Fraction(1, 1001), Fraction(measured).limit_denominator(1001))


def in_words(rate: Fraction) -> str:
    """Return a rate as people know it: 29.97, 23.976, 30."""
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")


def two_in_words(one: Fraction, other: Fraction) -> tuple[str, str]:
    """Return two rates as people know them, or as exact fractions if only these tell them apart."""
    words = in_words(one), in_words(other)
    return words if words[0] != words[1] else (str(one), str(other))


def film_clock(rate: Fraction) -> tuple[int, int]:
    """Return ``(timescale, ticks of one frame)`` for a constant rate, fine enough for any player."""
    scale = 1
    while rate.numerator * scale < 10_000:
        scale *= 2
    return rate.numerator * scale, rate.denominator * scale


def frames_in(duration_s: float, rate: Fraction) -> int:
    """Return how many whole frames ``duration_s`` holds at ``rate``, at least one, rounding to the nearest."""
    return max(1, round(Fraction(duration_s).limit_denominator(1_000_000) * rate))


def samples_at(frame: int, rate: Fraction, sample_rate: int) -> int:
    """Return the sample number at which ``frame`` begins, rounded to the nearest."""
    return round(Fraction(frame * sample_rate) / rate)
