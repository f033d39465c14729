"""The video models there are, as data.

Models come and go (Sora 2 itself is withdrawn), so a model is a row here and nothing else in the program knows one.
Sources: kie.ai's Sora 2 pages and its Market catalogue (docs.kie.ai, 2026-08). Pure: no I/O.
"""

from collections.abc import Mapping
from types import MappingProxyType

from shared.errors import ConfigurationError
from shared.job.model import AspectRatio
from shared.models.profile import JsonValue, ModelProfile


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
        resolutions={480: "480p", 720: "720p"},
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
        resolutions={480: "480P", 720: "720P", 1080: "1080P"},
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
        resolutions={720: "720p", 1080: "1080p"},
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
        resolutions={720: "720p", 1080: "1080p"},
        takes_seed=True,
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
        resolutions={768: "768P", 1440: "2K"},
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
