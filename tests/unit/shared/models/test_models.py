"""The table of models, and orders built from it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.job.model import AspectRatio
from shared.models.catalogue import MODELS, profile_of
from shared.models.profile import PromptTooLong, PromptTooShort, UnsuitableModel, UnsupportedAspect, build_input

LANDSCAPE, PORTRAIT, SQUARE = AspectRatio.LANDSCAPE, AspectRatio.PORTRAIT, AspectRatio.SQUARE
PROMPT = "A boat on the sea"


@pytest.mark.parametrize(
    ("slug", "aspect", "duration_s", "expected"),
    [
        (
            "sora-2-text-to-video",
            PORTRAIT,
            None,
            {"aspect_ratio": "portrait", "n_frames": "10", "remove_watermark": True, "upload_method": "s3"},
        ),
        (
            "sora-2-pro-text-to-video",
            LANDSCAPE,
            14,
            {
                "aspect_ratio": "landscape",
                "n_frames": "15",
                "remove_watermark": True,
                "upload_method": "s3",
                "size": "high",
            },
        ),
        (
            "kling/v3-turbo-text-to-video",
            LANDSCAPE,
            5,
            {"aspect_ratio": "16:9", "duration": "5", "resolution": "720p"},
        ),
        (
            "kling-3.0/video",
            SQUARE,
            60,
            {
                "aspect_ratio": "1:1",
                "duration": "15",
                "mode": "std",
                "sound": True,
                "multi_shots": False,
                "multi_prompt": [],
            },
        ),
        ("kling-2.6/text-to-video", PORTRAIT, 1, {"aspect_ratio": "9:16", "duration": "5", "sound": True}),
        (
            "bytedance/seedance-2-fast",
            PORTRAIT,
            3,
            {"aspect_ratio": "9:16", "duration": 4, "resolution": "720p", "generate_audio": True},
        ),
        ("wan/2-7-text-to-video", SQUARE, 7, {"ratio": "1:1", "duration": 7, "resolution": "720p", "watermark": False}),
        ("wan/3-0-video", LANDSCAPE, 5, {"aspect_ratio": "16:9", "duration": 5, "resolution": "720P", "audio": True}),
        ("minimax-h3/text-to-video", LANDSCAPE, 6, {"aspect_ratio": "16:9", "duration": 6, "resolution": "768P"}),
        ("hailuo/02-text-to-video-standard", LANDSCAPE, 8, {"duration": "6"}),
        (
            "grok-imagine/text-to-video",
            PORTRAIT,
            2,
            {"aspect_ratio": "9:16", "duration": 6, "mode": "normal", "resolution": "720p"},
        ),
        ("gemini-omni-video", PORTRAIT, 5, {"aspect_ratio": "9:16", "duration": "4", "resolution": "720p"}),
        (
            "pixverse-v6/text-to-video",
            SQUARE,
            99,
            {"aspect_ratio": "1:1", "duration": 15, "quality": "720p", "generate_audio_switch": True},
        ),
        ("happyhorse-1-1/text-to-video", LANDSCAPE, 3, {"aspect_ratio": "16:9", "duration": 3, "resolution": "720p"}),
    ],
)
def test_each_model_gets_its_input_in_its_own_names_and_types(
    slug: str, aspect: AspectRatio, duration_s: int | None, expected: dict[str, object]
) -> None:
    built = build_input(profile_of(slug), PROMPT, aspect, duration_s)
    assert json.dumps(built, sort_keys=True) == json.dumps({"prompt": PROMPT, **expected}, sort_keys=True)


def test_the_table_holds_both_sora_models_and_at_least_eight_others() -> None:
    assert {"sora-2-text-to-video", "sora-2-pro-text-to-video"} < set(MODELS)
    assert len(MODELS) >= 10
    assert all(slug == profile.slug for slug, profile in MODELS.items())


@pytest.mark.parametrize("slug", MODELS)
def test_a_clip_of_unsaid_length_lasts_ten_seconds_on_every_model(slug: str) -> None:
    assert profile_of(slug).nearest_duration_s(None) == 10


@given(slug=st.sampled_from(sorted(MODELS)), wanted=st.integers(-1000, 1000))
def test_any_length_is_clamped_to_the_nearest_the_model_makes(slug: str, wanted: int) -> None:
    profile = profile_of(slug)
    seconds = profile.nearest_duration_s(wanted)
    assert seconds in profile.durations_s
    assert all(abs(seconds - wanted) <= abs(other - wanted) for other in profile.durations_s)


def test_a_prompt_over_the_limit_names_model_limit_and_length() -> None:
    with pytest.raises(PromptTooLong, match=r"1001 characters, kling-2\.6/text-to-video takes at most 1000") as caught:
        build_input(profile_of("kling-2.6/text-to-video"), "x" * 1001, LANDSCAPE, 5)
    assert (caught.value.model, caught.value.limit, caught.value.length) == ("kling-2.6/text-to-video", 1000, 1001)


def test_a_prompt_at_the_limit_is_taken() -> None:
    assert build_input(profile_of("kling-2.6/text-to-video"), "x" * 1000, LANDSCAPE, 5)["prompt"] == "x" * 1000


def test_a_prompt_below_the_minimum_is_refused() -> None:
    with pytest.raises(PromptTooShort, match="at least 3"):
        build_input(profile_of("pixverse-v6/text-to-video"), "hi", LANDSCAPE, 5)


@pytest.mark.parametrize("slug", ["sora-2-text-to-video", "gemini-omni-video", "hailuo/02-text-to-video-standard"])
def test_a_shape_the_model_does_not_make_is_refused_by_name(slug: str) -> None:
    with pytest.raises(UnsupportedAspect, match=f"{slug} makes no square video, only landscape") as caught:
        build_input(profile_of(slug), PROMPT, SQUARE, None)
    assert isinstance(caught.value, UnsuitableModel)


def test_an_unknown_model_is_a_configuration_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"VIDEO_MODELS.*'sora-3'.*sora-2-text-to-video.*kling-2\.6"):
        profile_of("sora-3")


def test_an_order_shares_nothing_with_the_table() -> None:
    profile = profile_of("kling-3.0/video")
    shots = build_input(profile, PROMPT, LANDSCAPE, 5)["multi_prompt"]
    assert isinstance(shots, list)
    shots.append("changed")
    assert build_input(profile, PROMPT, LANDSCAPE, 5)["multi_prompt"] == []


def test_a_list_price_is_known_for_sora_only_and_at_the_clamped_length() -> None:
    assert profile_of("sora-2-text-to-video").estimate_credits(4) == 30.0
    assert profile_of("sora-2-text-to-video").estimate_credits(15) is None
    assert profile_of("wan/2-7-text-to-video").estimate_credits(5) is None
