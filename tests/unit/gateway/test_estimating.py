"""What a job would cost and take, by what is known of the models."""

import pytest

from services.gateway.estimating import Estimate, Market, estimate
from shared.job.create import ClipWish, JobWish
from shared.job.model import AspectRatio, ClipRole

SORA, KLING, PRO = "sora-2-text-to-video", "kling/v3-turbo-text-to-video", "sora-2-pro-text-to-video"
MARKET = Market((SORA, KLING), assumed_credits=60, orders_per_window=20)


def of(*clips: ClipWish, market: Market = MARKET, **wishes: object) -> Estimate:
    return estimate(JobWish(clips=clips, **wishes), market)  # type: ignore[arg-type]


def test_credits_range_from_the_cheapest_to_the_dearest_that_may_be_chosen() -> None:
    found = of(ClipWish("a boat"), ClipWish("a harbour", model=SORA))
    assert (found.credits_min, found.credits_max) == (60, 90)
    assert found.models == [SORA]
    assert "price of kling/v3-turbo-text-to-video is not known" in found.warnings[0]


def test_models_that_are_down_are_passed_over() -> None:
    found = of(ClipWish("a boat"), market=Market((SORA, KLING), down={SORA}))
    assert (found.models, found.credits_min) == ([KLING], 60)


def test_a_model_that_cannot_make_the_shape_is_no_choice() -> None:
    assert of(ClipWish("a boat"), aspect_ratio=AspectRatio.SQUARE).models == [KLING]
    assert of(ClipWish("a boat", aspect_ratio=AspectRatio.SQUARE)).models == [KLING]


@pytest.mark.parametrize(
    ("clip", "field"),
    [
        (ClipWish("a boat", model=SORA, aspect_ratio=AspectRatio.SQUARE), "clips.0.model"),
        (ClipWish("a boat", model="no/such"), "clips.0.model"),
        (ClipWish("x" * 20_000), "clips.0.prompt"),
    ],
)
def test_a_clip_that_no_model_can_make_is_a_problem(clip: ClipWish, field: str) -> None:
    [(name, message)] = of(clip).problems
    assert name == field
    assert message.startswith("no model can make it: ")


def test_existing_films_and_music_cost_nothing() -> None:
    music = ClipWish(source="https://example.com/m.mp3", role=ClipRole.SOUNDTRACK)
    found = of(ClipWish(source="https://example.com/a.mp4"), music)
    assert (found.clips, found.cost.clips, found.cost.credits, found.seconds) == (1, 0, 0, 0)
    assert found.estimated_s < 60


def test_many_clips_wait_for_the_providers_rate() -> None:
    few, many = of(ClipWish("a boat")), of(*[ClipWish("a boat")] * 100)
    assert many.estimated_s - few.estimated_s >= 50
    assert many.seconds == 1000


def test_the_jobs_models_come_before_the_installations() -> None:
    assert of(ClipWish("a boat"), models=(PRO,)).models == [PRO]
