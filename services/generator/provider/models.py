"""Video models as data: how a clip's prompt, shape and duration map into each model's strictly typed `input`.

Models come and go (Sora 2 itself is withdrawn), so a model is a row here and nothing else in the program knows one.
kie.ai is type-strict per model: `"5"` and `5` are different, some say `ratio` or `quality`, some insist on booleans.
Sources: kie.ai's Sora 2 pages and its Market catalogue (docs.kie.ai, 2026-08). Pure: no I/O.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from services.generator.provider.outcomes import JsonValue
from shared.errors import ConfigurationError, StitcherError
from shared.job.model import AspectRatio

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
    has_required_input: bool = True

    def nearest_duration_s(self, wanted_s: int | None) -> int | None:
        """Return the length it can make that is nearest to the wanted one (the shorter, cheaper of two), in seconds.

        None when the model decides by itself.
        """
        if not self.durations_s:
            return None
        wanted = DEFAULT_DURATION_S if wanted_s is None else wanted_s
        return min(self.durations_s, key=lambda seconds: (abs(seconds - wanted), seconds))

    def estimate_credits(self, wanted_s: int | None) -> float | None:
        """Return the list price of a clip of about this length, in credits; None when it is not known."""
        seconds = self.nearest_duration_s(wanted_s)
        return None if seconds is None else self.list_price_credits.get(seconds)


def build_input(
    profile: ModelProfile, prompt: str, aspect: AspectRatio, duration_s: int | None
) -> dict[str, JsonValue]:
    """Return the `input` object of an order.

    Args:
        profile: the model.
        prompt: what the clip should show.
        aspect: its shape.
        duration_s: wanted length in seconds; clamped to the nearest the model can make. None: the usual one.

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
    model_input: dict[str, JsonValue] = {"prompt": prompt}
    shape = profile.aspects[aspect]
    if shape is not None:
        model_input[profile.aspect_field] = shape
    seconds = profile.nearest_duration_s(duration_s)
    if seconds is not None:
        model_input[profile.duration_field] = str(seconds) if profile.duration_is_text else seconds
    return model_input | copy.deepcopy(dict(profile.fixed))


def profile_of(slug: str) -> ModelProfile:
    """Return the profile of a model.

    Raises:
        ConfigurationError: no such model; names `VIDEO_MODELS` and those there are.
    """
    profile = MODELS.get(slug)
    if profile is None:
        raise ConfigurationError(f"VIDEO_MODELS names an unknown model {slug!r}; known are: {', '.join(MODELS)}")
    return profile


_RATIOS = {AspectRatio.LANDSCAPE: "16:9", AspectRatio.PORTRAIT: "9:16", AspectRatio.SQUARE: "1:1"}
_UPRIGHT_AND_WIDE = {AspectRatio.LANDSCAPE: "16:9", AspectRatio.PORTRAIT: "9:16"}


def _seconds(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


def _sora(slug: str, **extra: JsonValue) -> ModelProfile:
    """Sora 2: shapes are words, `n_frames` is seconds as text, `upload_method` is wanted though called optional."""
    return ModelProfile(
        slug=slug,
        durations_s=(10, 15),
        duration_is_text=True,
        duration_field="n_frames",
        aspects={AspectRatio.LANDSCAPE: "landscape", AspectRatio.PORTRAIT: "portrait"},
        prompt_limit=10_000,
        fixed={"remove_watermark": True, "upload_method": "s3", **extra},
        list_price_credits={10: 30.0} if slug == "sora-2-text-to-video" else {},
    )


def _seedance(slug: str, prompt_limit: int, longest_s: int, prompt_minimum: int) -> ModelProfile:
    return ModelProfile(
        slug=slug,
        durations_s=_seconds(4, longest_s),
        duration_is_text=False,
        aspects=_RATIOS,
        prompt_limit=prompt_limit,
        prompt_minimum=prompt_minimum,
        fixed={"resolution": "720p", "generate_audio": True},
        has_required_input=False,
    )


def _wan_3(slug: str) -> ModelProfile:
    return ModelProfile(
        slug=slug,
        durations_s=_seconds(2, 15),
        duration_is_text=False,
        aspects=_RATIOS,
        prompt_limit=None,
        fixed={"resolution": "720P", "audio": True},
        has_required_input=False,
    )


_TABLE = (
    _sora("sora-2-text-to-video"),
    _sora("sora-2-pro-text-to-video", size="high"),
    ModelProfile(
        slug="kling/v3-turbo-text-to-video",
        durations_s=_seconds(3, 15),
        duration_is_text=True,
        aspects=_RATIOS,
        prompt_limit=2500,
        fixed={"resolution": "720p"},
    ),
    ModelProfile(
        slug="kling-3.0/video",
        durations_s=_seconds(3, 15),
        duration_is_text=True,
        aspects=_RATIOS,
        prompt_limit=None,
        fixed={"mode": "std", "sound": True, "multi_shots": False, "multi_prompt": []},
    ),
    ModelProfile(
        slug="kling-2.6/text-to-video",
        durations_s=(5, 10),
        duration_is_text=True,
        aspects=_RATIOS,
        prompt_limit=1000,
        fixed={"sound": True},
    ),
    _seedance("bytedance/seedance-2", 20_000, 15, 3),
    _seedance("bytedance/seedance-2-fast", 20_000, 15, 3),
    _seedance("bytedance/seedance-2-mini", 20_000, 15, 3),
    _seedance("bytedance/seedance-2-5", 30_000, 30, 1),
    ModelProfile(
        slug="wan/2-7-text-to-video",
        durations_s=_seconds(2, 15),
        duration_is_text=False,
        aspect_field="ratio",
        aspects=_RATIOS,
        prompt_limit=5000,
        fixed={"resolution": "720p", "watermark": False},
    ),
    _wan_3("wan/3-0-video"),
    _wan_3("wan/3-0-video-prime"),
    ModelProfile(
        slug="minimax-h3/text-to-video",
        durations_s=_seconds(4, 15),
        duration_is_text=False,
        aspects=_RATIOS,
        prompt_limit=7000,
        fixed={"resolution": "768P"},
    ),
    ModelProfile(
        slug="hailuo/02-text-to-video-standard",
        durations_s=(6, 10),
        duration_is_text=True,
        # It takes no shape and makes 16:9.
        aspects={AspectRatio.LANDSCAPE: None},
        prompt_limit=1500,
    ),
    ModelProfile(
        slug="grok-imagine/text-to-video",
        durations_s=_seconds(6, 30),
        duration_is_text=False,
        aspects=_RATIOS,
        prompt_limit=None,
        fixed={"mode": "normal", "resolution": "720p"},
    ),
    ModelProfile(
        slug="gemini-omni-video",
        durations_s=(4, 6, 8, 10),
        duration_is_text=True,
        aspects=_UPRIGHT_AND_WIDE,
        prompt_limit=20_000,
        fixed={"resolution": "720p"},
    ),
    ModelProfile(
        slug="pixverse-v6/text-to-video",
        durations_s=_seconds(1, 15),
        duration_is_text=False,
        aspects=_RATIOS,
        prompt_limit=5000,
        prompt_minimum=3,
        fixed={"quality": "720p", "generate_audio_switch": True},
    ),
    ModelProfile(
        slug="happyhorse-1-1/text-to-video",
        durations_s=_seconds(3, 15),
        duration_is_text=False,
        aspects=_RATIOS,
        # 5000 characters, or 2500 Chinese ones: only the provider knows how it counts a mixture.
        prompt_limit=4999,
        fixed={"resolution": "720p"},
    ),
)

MODELS: Mapping[str, ModelProfile] = MappingProxyType({profile.slug: profile for profile in _TABLE})
"""Every model this program can order from, by slug."""
