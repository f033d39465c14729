"""Choosing the model that makes a clip. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shared.job.model import AspectRatio, Clip, Failure, Stage
from shared.models.catalogue import MODELS
from shared.models.profile import JsonValue, UnsuitableModel, build_input

NEXT_MODEL_CODES = frozenset({"model_paused", "model_unknown", "disabled", "invalid_input"})
"""Failure codes after which this clip does not try the same model again."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The model to order from, and its typed input."""

    model: str
    model_input: Mapping[str, JsonValue]


def choose_model(
    clip: Clip, aspect: AspectRatio, models: Sequence[str], down: Collection[str], *, resolution: str | None = None
) -> Choice | Failure:
    """Return the first model that is not down, has not turned this clip away and can make it.

    Args:
        clip: its `model`, if set, is the only one considered.
        aspect: the film's shape; the clip's own goes before it.
        models: the job's or `VIDEO_MODELS`, in order of preference.
        down: models whose breaker is open.
        resolution: the picture size to ask for, if any.

    Returns:
        The choice, or why there is none.
    """
    turned_away = {
        attempt.model
        for attempt in clip.tries
        if attempt.failure is not None and attempt.failure.code in NEXT_MODEL_CODES
    }
    reasons: list[str] = []
    code = "no_model"
    for slug in (clip.model,) if clip.model else models:
        if slug in down or slug in turned_away:
            reasons.append(f"{slug} is paused, withdrawn or turned the clip away")
            continue
        profile = MODELS.get(slug)
        if profile is None:  # asked for by name; those of `VIDEO_MODELS` are checked at start
            reasons.append(f"no model {slug!r} is known here")
            code = "model_unknown"
            continue
        try:
            shape = clip.aspect_ratio or aspect
            model_input = build_input(
                profile, clip.prompt, shape, clip.duration_s, resolution=resolution, seed=clip.seed
            )
            return Choice(slug, model_input)
        except UnsuitableModel as unsuitable:
            reasons.append(str(unsuitable))
            code = unsuitable.code
    message = f"Video {clip.number} generation failed: no model takes it: {'; '.join(reasons)}"
    return Failure(stage=Stage.GENERATING, code=code, message=message, retryable=True, clip=clip.number)
