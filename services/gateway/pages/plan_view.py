"""How a film was joined, for people: what was taken over bit by bit, what was encoded, and why. Pure.

The plan is the film engine's own account, kept with the film; films of earlier versions have its lines only.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BAR = 1000
"""Width of the bar that shows the film from its start to its end, in its own units."""
MOST_STRETCHES = 200
_TONES = {"copy": "copy", "normalise": "adapt", "encode": "encode"}
_WORDS = {"copy": "Copied", "normalise": "Adapted", "encode": "Encoded"}
_LINE = re.compile(r"\s*(copy|normalise|encode)\s+clips? (\S+): (\d+) frames?: (.+)")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the film's picture, and where it lies on the bar."""

    word: str
    tone: str
    clip: str
    frames: int
    reason: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class PlanView:
    """How a film was joined.

    Attributes:
        copied_percent: of its frames, taken over bit by bit; None if that is not known.
        copies_nothing: not one frame was; what is below half a percent is something all the same.
        lines: what else there is to say.
    """

    headline: str
    copied_percent: int | None
    copies_nothing: bool
    stretches: Sequence[Stretch]
    lines: Sequence[str]


def plan_view(plan: Mapping[str, Any]) -> PlanView | None:
    """Return the view of a film's plan; None if there is none."""
    explained = [str(line) for line in plan.get("explained") or ()]
    fallbacks = [f"Tried before, in vain: {line}" for line in plan.get("fallbacks") or ()]
    if not explained and not fallbacks:
        return None
    parts = list(_parts(explained))
    total = sum(frames for _, _, frames, _ in parts) or 1
    stretches, x = [], 0.0
    for action, clip, frames, reason in parts[:MOST_STRETCHES]:
        width = BAR * frames / total
        stretches.append(Stretch(_WORDS[action], _TONES[action], clip, frames, reason, round(x, 2), round(width, 2)))
        x += width
    copied = sum(frames for action, _, frames, _ in parts if action == "copy")
    others = [line.strip() for line in explained[1:] if not _LINE.fullmatch(line)]
    return PlanView(
        headline=explained[0].removeprefix("Film: ") if explained else "",
        copied_percent=int(100 * copied / total) if parts else None,
        copies_nothing=bool(parts) and not copied,
        stretches=stretches,
        lines=[*others, *fallbacks],
    )


def _parts(lines: Iterable[str]) -> Iterable[tuple[str, str, int, str]]:
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is not None:
            yield match[1], match[2], int(match[3]), match[4]
