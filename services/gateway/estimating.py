"""What a job would cost and take, before anything is ordered. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.gateway.budgets import Cost
from services.gateway.wishes import Problem
from shared.job.create import ClipWish, JobWish
from shared.job.model import ClipRole
from shared.models.catalogue import MODELS
from shared.models.profile import ModelProfile, UnsuitableModel, require_suitable

GENERATION_S = 180
"""What providers commonly take for a clip; they work on many at once."""
JOINING_S_PER_CLIP = 2
DELIVERY_S = 10
ORDER_WINDOW_S = 10


@dataclass
class Estimate:
    """What a job would come to.

    Attributes:
        clips: shown in the film.
        ordered: of these, to be made.
        seconds: of film that is made; existing films come on top.
        credits_min: if every clip is made by the cheapest model that may be chosen.
        credits_max: by the dearest.
        estimated_s: until the film stands.
        models: that the clips would be ordered from, the first choice of each.
        warnings: what a person should know.
        problems: clips that no model can make.
    """

    clips: int = 0
    ordered: int = 0
    seconds: float = 0.0
    credits_min: float = 0.0
    credits_max: float = 0.0
    estimated_s: int = 0
    models: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def cost(self) -> Cost:
        """What budgets reserve: the dearest."""
        return Cost(self.ordered, self.credits_max)

    def view(self) -> dict[str, Any]:
        """Return it as `dryRun` answers."""
        return {
            "dryRun": True,
            "clips": self.clips,
            "seconds": self.seconds,
            "credits": {"min": round(self.credits_min, 3), "max": round(self.credits_max, 3)},
            "estimatedSeconds": self.estimated_s,
            "warnings": self.warnings,
            "models": self.models,
        }


@dataclass(frozen=True, slots=True)
class Market:
    """What is known of the models.

    Attributes:
        models: `VIDEO_MODELS`, for those who name none.
        down: models whose breaker is open.
        assumed_credits: of a clip whose price nobody knows.
        orders_per_window: how many orders the provider takes in `ORDER_WINDOW_S`.
    """

    models: Sequence[str]
    down: Collection[str] = ()
    assumed_credits: float = 60.0
    orders_per_window: int = 20


def estimate(wish: JobWish, market: Market) -> Estimate:
    """Return what the job would come to."""
    found = Estimate()
    shots = [clip for clip in wish.clips if clip.role is ClipRole.CLIP]
    unpriced: dict[str, None] = {}
    for index, clip in enumerate(shots):
        found.clips += 1
        if clip.source is None:
            _add_clip(found, index, clip, wish, market, unpriced)
    if unpriced:
        names = ", ".join(unpriced)
        found.warnings.append(
            f"the price of {names} is not known; a clip is taken to cost {market.assumed_credits:g} credits"
        )
    if found.clips > found.ordered:
        found.warnings.append("existing films are not counted in `seconds`: their length is known once they are here")
    waiting = ORDER_WINDOW_S * (found.ordered // market.orders_per_window)
    making = GENERATION_S + waiting if found.ordered else 0
    found.estimated_s = making + JOINING_S_PER_CLIP * found.clips + DELIVERY_S
    return found


def _add_clip(
    found: Estimate, index: int, clip: ClipWish, wish: JobWish, market: Market, unpriced: dict[str, None]
) -> None:
    asked = (clip.model,) if clip.model is not None else (wish.models or market.models)
    able, reasons = _able(clip, wish, asked)
    found.ordered += 1
    if not able:
        field_name = f"clips.{index}.{'model' if clip.model is not None else 'prompt'}"
        found.problems.append((field_name, f"no model can make it: {'; '.join(reasons)}"))
        return
    up = [profile for profile in able if profile.slug not in market.down]
    if not up:
        names = ", ".join(profile.slug for profile in able)
        warning = f"at this moment no model takes orders for clip {index + 1}: {names} paused or withdrawn"
        found.warnings.append(warning)
    choices = up or able
    prices = []
    for profile in choices:
        price = profile.estimate_credits(clip.duration_s)
        if price is None:
            unpriced[profile.slug] = None
        prices.append(market.assumed_credits if price is None else price)
    found.credits_min += min(prices)
    found.credits_max += max(prices)
    first = choices[0]
    seconds = first.nearest_duration_s(clip.duration_s)
    found.seconds += seconds or 0
    if first.slug not in found.models:
        found.models.append(first.slug)
    if clip.duration_s is not None and seconds is not None and seconds != clip.duration_s:
        found.warnings.append(f"clip {index + 1}: {first.slug} makes {seconds} s, not {clip.duration_s} s")


def _able(clip: ClipWish, wish: JobWish, asked: Sequence[str]) -> tuple[list[ModelProfile], list[str]]:
    """Return the models that can make the clip, and why the others cannot."""
    able, reasons = list[ModelProfile](), list[str]()
    for slug in asked:
        profile = MODELS.get(slug)
        if profile is None:
            reasons.append(f"no model {slug!r} is known here")
            continue
        try:
            require_suitable(profile, clip.prompt, clip.aspect_ratio or wish.aspect_ratio)
        except UnsuitableModel as unsuitable:
            reasons.append(str(unsuitable))
        else:
            able.append(profile)
    return able, reasons
