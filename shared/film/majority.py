"""Which form most of a film's seconds have. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .model import Colour, Probe, VideoInfo, display_size
from .plan_model import Target
from .rates import STANDARD_RATES, film_clock
from .wishes import Wishes

#: The frame rates a film takes over from clips that all have to be encoded anyway.
_HIGHEST_INHERITED_FPS = 60
#: Slower ones are pictures that stand: a still, a slide show. They are repeated at any rate, and nothing is lost.
_SLOWEST_MOTION_FPS = Fraction(15, 2)
#: How far the mean rate of a clip of variable rate lies from the even one that its frames were taken for.
_NEAR_RATE = Fraction(2, 100)

#: What copied clips must have in common: codec, width, height, pixel shape, rate, colours.
Form = tuple[str, int, int, Fraction, Fraction, Colour]


@dataclass(frozen=True, slots=True)
class Majority:
    """What most of a film's seconds have.

    Attributes:
        size: Upright, in square pixels.
        fps: Frame rate.
        form: The very form of clips that can be copied, if there are such of this size and rate.
        clip: The first clip that is like that.
    """

    size: tuple[int, int]
    fps: Fraction
    form: Form | None
    clip: int

    def target(self, wishes: Wishes) -> Target:
        """Return the film's form; where nothing can be copied, pixels are square and colours BT.709."""
        if self.form is not None:
            _, width, height, sar, fps, colour = self.form
            return Target(wishes.codec, width, height, sar, fps, *film_clock(fps), colour)
        fps = wishes.fps or min(Fraction(_HIGHEST_INHERITED_FPS), self.fps)
        return Target(wishes.codec, *self.size, Fraction(1), fps, *film_clock(fps), Colour(1, 1, 1))


def find_majority(
    probes: Sequence[Probe], wishes: Wishes, groups: dict[Form, list[int]], *, by_bytes: bool = True
) -> Majority:
    """Count the seconds of all clips, whether they can be copied or not.

    Size and rate are counted apart, so that clips of many rates still agree on a size; of the pairs that clips have,
    the one wins whose parts have most seconds. Between equals, what can be copied decides.

    Args:
        probes: One per clip.
        wishes: What was asked for is not voted on.
        groups: The clips that can be copied, by their form.
        by_bytes: Let the bytes of clips decide between what is still equal, rather than which comes first.
    """
    voters = _of_motion(probes) or range(len(probes))
    sizes: dict[tuple[int, int], float] = defaultdict(float)
    rates: dict[Fraction, float] = defaultdict(float)
    for index, probe in enumerate(probes):
        sizes[_size(probe, wishes)] += probe.duration_s
        if index in voters:
            rates[_rate(probe, wishes)] += probe.duration_s
    usual = max(rates, key=lambda rate: rates[rate])
    pairs: dict[tuple[tuple[int, int], Fraction], list[int]] = {}
    for index, probe in enumerate(probes):
        pair = _size(probe, wishes), _rate(probe, wishes) if index in voters else usual
        pairs.setdefault(pair, []).append(index)

    def weight(pair: tuple[tuple[int, int], Fraction]) -> tuple[float, float, int, int]:
        size, fps = pair
        copied = sorted(index for form in groups if _pair(form, wishes) == pair for index in groups[form])
        seconds, size_bytes, early = weigh(probes, copied or pairs[pair], by_bytes=by_bytes)
        return round(sizes[size] + rates[fps], 3), seconds if copied else 0.0, size_bytes, early

    size, fps = chosen = max(pairs, key=weight)
    shapes = _pixel_shapes(probes, pairs[chosen])
    forms = [form for form in groups if _pair(form, wishes) == chosen and form[3] in shapes]
    best = max(forms, key=lambda form: weigh(probes, groups[form], by_bytes=by_bytes), default=None)
    alike = groups[best] if best else sorted(pairs[chosen], key=lambda index: index not in voters)
    return Majority(size, fps, best, alike[0])


def weigh(probes: Sequence[Probe], members: Sequence[int], *, by_bytes: bool = True) -> tuple[float, int, int]:
    """Return what some clips count for: their seconds, then their bytes, then how early the first of them comes."""
    seconds = sum(probes[index].duration_s for index in members)
    size = sum(probes[index].video.size_bytes for index in members) if by_bytes else 0
    return round(seconds, 3), size, -members[0]


def _of_motion(probes: Sequence[Probe]) -> frozenset[int]:
    """Return the clips that have a frame rate worth keeping."""
    return frozenset(
        i for i, probe in enumerate(probes) if probe.video.frames > 1 and probe.video.fps >= _SLOWEST_MOTION_FPS
    )


def _size(probe: Probe, wishes: Wishes) -> tuple[int, int]:
    return wishes.size or probe.video.display_size


def _rate(probe: Probe, wishes: Wishes) -> Fraction:
    """The rate that a clip is for; frames that are missing here and there do not make it one of its own."""
    fps = probe.video.fps
    if wishes.fps is not None or probe.video.constant_rate:
        return wishes.fps or fps
    nearest = min(STANDARD_RATES, key=lambda rate: abs(rate - fps))
    return nearest if abs(nearest - fps) <= _NEAR_RATE * fps else fps


def _pair(form: Form, wishes: Wishes) -> tuple[tuple[int, int], Fraction]:
    _, width, height, sar, fps, _ = form
    return wishes.size or display_size(width, height, sar), fps


def _pixel_shapes(probes: Sequence[Probe], members: Sequence[int]) -> frozenset[Fraction]:
    """Return the pixel shapes a film may take over: square ones, and what most of the clips have.

    Else a short clip of wide pixels would take half of the columns from all others.
    """
    shapes: dict[Fraction, float] = defaultdict(float)
    for index in members:
        shapes[probes[index].video.sar] += probes[index].duration_s
    return frozenset({Fraction(1), max(shapes, key=lambda shape: shapes[shape])})


def form_of(video: VideoInfo) -> Form:
    """Return what a clip must have in common with others to be copied beside them."""
    return (video.codec, video.width, video.height, video.sar, video.fps, video.colour)
