"""How long to wait, as pure functions: exponential backoff, and long delays made of a few fixed ones."""

from collections.abc import Sequence
from random import Random

DELAYS_MS: tuple[int, ...] = tuple(250 * 2**step for step in range(11))
"""The delay queues' times, 250 ms to 256 s. A longer or odd delay takes several hops (`next_hop_ms`)."""

EARLY_MS = 50
"""A message this close to its time is due: the broker's timers are about 15 ms exact (measured)."""

_OVERSHOOT = 1.25
_MAX_DOUBLINGS = 32


def backoff_s(failures: int, first_s: float, max_s: float, random: Random) -> float:
    """Return the wait after the `failures`-th failure in a row (1 is the first), in seconds.

    It doubles from `first_s` up to `max_s`. Jitter takes away up to half, so that what failed together does not
    come back together.
    """
    full = min(max_s, first_s * 2.0 ** min(max(failures, 1) - 1, _MAX_DOUBLINGS))
    return full * random.uniform(0.5, 1.0)


def next_hop_ms(remaining_ms: float, ladder_ms: Sequence[int]) -> int:
    """Choose the delay queue for a message that is due in `remaining_ms`.

    One hop if a step of the ladder fits without coming more than a quarter late; otherwise the longest step that
    is not too long, and the rest is decided when the message comes by again.

    Args:
        remaining_ms: time until the message is due; may be negative.
        ladder_ms: the delays there are, in ascending order, at least one.
    """
    shorter = [step for step in ladder_ms if step < remaining_ms]
    longer = ladder_ms[len(shorter) :]
    if longer and (not shorter or longer[0] <= remaining_ms * _OVERSHOOT):
        return longer[0]
    return shorter[-1]


def randomness(seed: int | None = None) -> Random:
    """Return a source of jitter and of random order; nothing secret comes of it."""
    return Random(seed)  # noqa: S311
