"""What of a film is settled before all of its clips are there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .errors import InvalidWishes, TooLong
from .model import Probe
from .piece_keys import clips_of, is_encoded
from .plan_model import Plan
from .planning import form_giver, is_unwrapped, plan
from .wishes import Wishes


@dataclass(frozen=True, slots=True)
class Foresight:
    """A film as it will be if the clips that are still missing are like most of the others.

    Attributes:
        plan: How it will be made.
        probes: One per clip; those of missing ones are stand-ins, which have no fingerprint.
        settled: Numbers of the segments that are encoded and involve no missing clip, longest first; never empty.
    """

    plan: Plan
    probes: tuple[Probe, ...]
    settled: tuple[int, ...]

    @property
    def clips(self) -> tuple[int, ...]:
        """The clips that the settled segments are made from."""
        return tuple(sorted({clip for number in self.settled for clip in clips_of(self.plan.segments[number])}))


def foresee(
    found: Sequence[Probe | None],
    wishes: Wishes,
    *,
    like: Sequence[int | None] = (),
    max_duration_s: float = 3600.0,
) -> Foresight | None:
    """Return what can be encoded now of a film some of whose clips are not there yet.

    Missing clips are taken to be like others. If that turns out to be wrong, some pieces are not what the film needs;
    the plan that is made of all clips decides alone.

    Args:
        found: What each clip is; ``None`` for one that is not there.
        wishes: What the film should be.
        like: For each clip, if it is missing, which other one it is expected to be like; where that is not known, or
            is missing itself, the one that gives the film its form so far.
        max_duration_s: Longest film accepted.

    Returns:
        The foresight; ``None`` if there is nothing to encode that is settled.
    """
    # Which packets an odd container holds is known only when its clip has been taken out of it.
    there = [None if each is None or is_unwrapped(each, wishes) else each for each in found]
    known = [each for each in there if each is not None]
    if not known:
        return None
    usual = known[form_giver(known, wishes)]
    expected = (there[index] if index is not None else None for index in like or (None,) * len(there))
    stand_ins = (replace(each or usual, fingerprint="") for each in expected)
    probes = tuple(each or stand_in for each, stand_in in zip(there, stand_ins, strict=True))
    try:
        made = plan(probes, wishes, max_duration_s=max_duration_s)
    except (InvalidWishes, TooLong):
        return None  # the film itself will be refused, with the reason
    settled = [
        number
        for number, segment in enumerate(made.segments)
        if is_encoded(segment) and all(there[clip] is not None for clip in clips_of(segment))
    ]
    if not settled:
        return None
    return Foresight(made, probes, tuple(sorted(settled, key=lambda number: -made.segments[number].frames)))
