"""From a provider's error to the job's words, and to when it is tried again."""

import pytest

from services.generator.failures import (
    BACKOFF_MAX_MS,
    backoff_ms,
    declined_again_at,
    failed_again_at,
    failure_of,
)
from services.generator.provider.failures import error_of
from services.generator.provider.outcomes import Advice, ErrorCode
from shared.job.model import Attempt, AttemptState, Clip, Stage
from shared.job.policy import Policy

NOW = 1_000_000


def clip(*states: AttemptState) -> Clip:
    attempts = tuple(
        Attempt(number=number, provider="kie", model="m", state=state, started_at=0)
        for number, state in enumerate(states, start=1)
    )
    return Clip(number=1, task_id="t", prompt="p", attempts=attempts)


def test_a_failure_speaks_the_originals_words() -> None:
    failure = failure_of(error_of(ErrorCode.CREDITS, "anything"), clip())
    assert failure.message == "Video 1 generation failed: Insufficient credits"
    assert (failure.stage, failure.code, failure.clip, failure.retryable) == (Stage.GENERATING, "credits", 1, True)


def test_a_retry_is_offered_unless_the_prompt_itself_is_refused() -> None:
    not_worth_it = {code for code in ErrorCode if not failure_of(error_of(code), clip()).retryable}
    assert not_worth_it == {ErrorCode.CONTENT_POLICY, ErrorCode.INVALID_INPUT, ErrorCode.ENDPOINT}


@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_declined_order_is_placed_again_when_the_advice_says(code: ErrorCode) -> None:
    error = error_of(code)
    again = declined_again_at(error, clip(AttemptState.REFUSED, AttemptState.REFUSED), NOW)
    expected = {
        Advice.GIVE_UP: None,
        Advice.NEXT_MODEL: NOW,
        Advice.WAIT: NOW + round(error.wait_s * 1000),
        Advice.RETRY: NOW + 4_000,
    }
    assert again == expected[error.advice]


def test_a_failed_task_is_ordered_anew_so_often_and_no_more() -> None:
    policy, error = Policy(max_attempts=3), error_of(ErrorCode.GENERATION_FAILED)
    failed = AttemptState.FAILED
    assert failed_again_at(error, clip(), NOW, policy, billed=False) == NOW + 1_000
    assert failed_again_at(error, clip(failed), NOW, policy, billed=False) == NOW + 2_000
    assert failed_again_at(error, clip(failed, failed), NOW, policy, billed=False) is None
    declined = clip(AttemptState.REFUSED, AttemptState.REFUSED, AttemptState.REFUSED)
    assert failed_again_at(error, declined, NOW, policy, billed=False) == NOW + 1_000


def test_a_task_that_was_billed_is_never_ordered_anew_by_itself() -> None:
    assert failed_again_at(error_of(ErrorCode.GENERATION_FAILED), clip(), NOW, Policy(), billed=True) is None


def test_a_task_that_only_a_person_can_mend_is_not_ordered_anew() -> None:
    assert failed_again_at(error_of(ErrorCode.CONTENT_POLICY), clip(), NOW, Policy(), billed=False) is None


def test_pauses_double_up_to_a_minute_however_often_it_failed() -> None:
    pauses = [backoff_ms(tries) for tries in range(12)]
    assert pauses[:4] == [1_000, 2_000, 4_000, 8_000]
    assert pauses == sorted(pauses)
    assert backoff_ms(10_000) == BACKOFF_MAX_MS
