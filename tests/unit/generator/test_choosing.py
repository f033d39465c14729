"""Which model makes a clip, or why none does."""

from services.generator.choosing import Choice, choose_model
from shared.job.model import AspectRatio, Attempt, AttemptState, Clip, Failure, Stage

SORA, KLING, WAN = "sora-2-text-to-video", "kling/v3-turbo-text-to-video", "wan/2-7-text-to-video"
MODELS = (SORA, KLING, WAN)


def clip(prompt: str = "a boat", **more: object) -> Clip:
    return Clip(number=2, task_id="t", prompt=prompt).but(**more)


def turned_away(model: str, code: str, number: int = 1) -> Attempt:
    why = Failure(stage=Stage.GENERATING, code=code, message="no")
    return Attempt(number=number, provider="kie", model=model, state=AttemptState.REFUSED, started_at=0, failure=why)


def chosen(of: Clip, down: set[str] | None = None, aspect: AspectRatio = AspectRatio.LANDSCAPE) -> str:
    choice = choose_model(of, aspect, MODELS, down or set())
    assert isinstance(choice, Choice), choice
    return choice.model


def refused(of: Clip, down: set[str] | None = None, aspect: AspectRatio = AspectRatio.LANDSCAPE) -> Failure:
    failure = choose_model(of, aspect, MODELS, down or set())
    assert isinstance(failure, Failure), failure
    assert (failure.stage, failure.clip) == (Stage.GENERATING, 2)
    assert failure.message.startswith("Video 2 generation failed: ")
    return failure


def test_the_first_model_that_is_not_down_is_taken_with_its_own_input() -> None:
    choice = choose_model(clip(), AspectRatio.PORTRAIT, MODELS, ())
    assert isinstance(choice, Choice)
    assert (choice.model, choice.model_input["prompt"], choice.model_input["aspect_ratio"]) == (
        SORA,
        "a boat",
        "portrait",
    )
    assert chosen(clip(), {SORA}) == KLING


def test_a_model_that_turned_this_clip_away_is_not_asked_again_but_one_in_trouble_is() -> None:
    for code in ("model_paused", "model_unknown", "disabled", "invalid_input"):
        assert chosen(clip(attempts=(turned_away(SORA, code),))) == KLING
    for code in ("server", "rate_limited", "network", "generation_failed"):
        assert chosen(clip(attempts=(turned_away(SORA, code),))) == SORA


def test_a_prompt_too_long_for_one_model_goes_to_one_that_reads_it() -> None:
    assert chosen(clip("x" * 4_000), {SORA}) == WAN


def test_a_wished_model_is_the_only_one() -> None:
    assert chosen(clip(model=WAN)) == WAN
    failure = refused(clip(model=WAN), {WAN})
    assert (failure.code, failure.retryable, SORA in failure.message) == ("no_model", True, False)


def test_an_unknown_wished_model_is_a_failure_and_no_crash() -> None:
    failure = refused(clip(model="no/such\nmodel"))
    assert failure.code == "model_unknown"
    assert "no/such" in failure.message
    assert "\n" not in failure.message


def test_when_no_model_is_left_each_one_and_its_reason_are_named() -> None:
    failure = refused(clip("x" * 9_000, attempts=(turned_away(SORA, "model_paused"),)), {WAN})
    for slug in MODELS:
        assert slug in failure.message
    assert "9000 characters" in failure.message
    assert failure.code == "prompt_too_long"
