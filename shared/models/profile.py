"""What a video model is: how a clip's prompt, shape and duration map into its strictly typed `input`.

kie.ai is type-strict per model: `"5"` and `5` are different, some say `ratio` or `quality`, some insist on booleans.
Pure: no I/O.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from shared.errors import StitcherError
from shared.job.model import AspectRatio

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""Anything JSON can hold."""

DEFAULT_DURATION_S = 10
"""What a clip lasts when nobody said: what the original's users know from Sora, on whichever model it is made."""


class UnsuitableModel(StitcherError):
    """The clip cannot be made by this model as it stands; another model may.

    Attributes:
        model: the model's slug.
        code: stable, for jobs and metrics.
    """

    code = "unsuitable_model"

    def __init__(self, model: str, message: str) -> None:
        super().__init__(message)
        self.model = model


class PromptTooLong(UnsuitableModel):
    """The prompt has more characters than the model reads."""

    code = "prompt_too_long"

    def __init__(self, model: str, limit: int, length: int) -> None:
        super().__init__(model, f"the prompt has {length} characters, {model} takes at most {limit}: shorten it")
        self.limit = limit
        self.length = length


class PromptTooShort(UnsuitableModel):
    """The prompt has fewer characters than the model asks for."""

    code = "prompt_too_short"

    def __init__(self, model: str, minimum: int, length: int) -> None:
        super().__init__(model, f"the prompt has {length} characters, {model} needs at least {minimum}: say more")
        self.minimum = minimum
        self.length = length


class UnsupportedAspect(UnsuitableModel):
    """The model makes no pictures of this shape."""

    code = "unsupported_aspect"

    def __init__(self, model: str, aspect: AspectRatio, known: Iterable[AspectRatio]) -> None:
        shapes = ", ".join(known)
        super().__init__(model, f"{model} makes no {aspect.value} video, only {shapes}: choose another shape or model")
        self.aspect = aspect


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """One video model on kie.ai's Market.

    Attributes:
        slug: the model's name in `createTask`.
        durations_s: the lengths it can make, in seconds, ascending; empty when it takes no duration.
        duration_is_text: whether the duration is sent as `"5"` rather than `5`.
        aspects: the shapes it can make and what it calls them; a None value is made without being asked for.
        prompt_limit: most characters of a prompt; None when the provider states none.
        prompt_minimum: fewest characters of a prompt.
        duration_field: what it calls the duration.
        aspect_field: what it calls the shape.
        fixed: what else it needs or is better told, the same for every clip.
        list_price_credits: credits by seconds, where known; prices drift, so for estimates only.
        resolutions: the picture sizes it can make, by their shorter side in pixels, and what it calls them.
        resolution_field: what it calls the picture size.
        takes_seed: whether it makes the same film of the same `seed`.
        has_required_input: whether the provider documents a field it cannot do without. Only then is an empty
            `input` sure to be rejected, and so a free way to ask whether the model is alive.
    """

    slug: str
    durations_s: tuple[int, ...]
    duration_is_text: bool
    aspects: Mapping[AspectRatio, str | None]
    prompt_limit: int | None
    prompt_minimum: int = 1
    duration_field: str = "duration"
    aspect_field: str = "aspect_ratio"
    fixed: Mapping[str, JsonValue] = field(default_factory=dict)
    list_price_credits: Mapping[int, float] = field(default_factory=dict)
    resolutions: Mapping[int, str] = field(default_factory=dict)
    resolution_field: str = "resolution"
    takes_seed: bool = False
    has_required_input: bool = True

    def nearest_duration_s(self, wanted_s: int | None) -> int | None:
        """Return the length it can make that is nearest to the wanted one (the shorter, cheaper of two), in seconds.

        None when the model decides by itself.
        """
        if not self.durations_s:
            return None
        wanted = DEFAULT_DURATION_S if wanted_s is None else wanted_s
        return min(self.durations_s, key=lambda seconds: (abs(seconds - wanted), seconds))

    def nearest_resolution(self, wanted: str | None) -> str | None:
        """Return what it calls the smallest size that is not below the wanted one (`1080p`), or its largest.

        None when nobody asked for a size, or it takes none.
        """
        if wanted is None or not self.resolutions:
            return None
        lines = int(wanted.removesuffix("p"))
        enough = [known for known in self.resolutions if known >= lines]
        return self.resolutions[min(enough) if enough else max(self.resolutions)]

    def estimate_credits(self, wanted_s: int | None) -> float | None:
        """Return the list price of a clip of about this length, in credits; None when it is not known."""
        seconds = self.nearest_duration_s(wanted_s)
        return None if seconds is None else self.list_price_credits.get(seconds)


def require_suitable(profile: ModelProfile, prompt: str, aspect: AspectRatio) -> None:
    """Return if the model can make a clip of this prompt and shape.

    Raises:
        PromptTooLong: the model reads fewer characters.
        PromptTooShort: the model needs more characters.
        UnsupportedAspect: the model makes no pictures of this shape.
    """
    length = len(prompt)
    if profile.prompt_limit is not None and length > profile.prompt_limit:
        raise PromptTooLong(profile.slug, profile.prompt_limit, length)
    if length < profile.prompt_minimum:
        raise PromptTooShort(profile.slug, profile.prompt_minimum, length)
    if aspect not in profile.aspects:
        raise UnsupportedAspect(profile.slug, aspect, profile.aspects)


def build_input(
    profile: ModelProfile,
    prompt: str,
    aspect: AspectRatio,
    duration_s: int | None,
    *,
    resolution: str | None = None,
    seed: int | None = None,
) -> dict[str, JsonValue]:
    """Return the `input` object of an order.

    Args:
        profile: the model.
        prompt: what the clip should show.
        aspect: its shape.
        duration_s: wanted length in seconds; clamped to the nearest the model can make. None: the usual one.
        resolution: wanted picture size, `480p` to `2160p`; likewise. None: the model's usual one.
        seed: given to models that take one.

    Raises:
        UnsuitableModel: see `require_suitable`.
    """
    require_suitable(profile, prompt, aspect)
    model_input: dict[str, JsonValue] = {"prompt": prompt}
    shape = profile.aspects[aspect]
    if shape is not None:
        model_input[profile.aspect_field] = shape
    seconds = profile.nearest_duration_s(duration_s)
    if seconds is not None:
        model_input[profile.duration_field] = str(seconds) if profile.duration_is_text else seconds
    model_input |= copy.deepcopy(dict(profile.fixed))
    size = profile.nearest_resolution(resolution)
    if size is not None:
        model_input[profile.resolution_field] = size
    if seed is not None and profile.takes_seed:
        model_input["seed"] = seed
    return model_input
